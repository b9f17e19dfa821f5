#!python
"""The command `kedge` of an installed wheel: runs the program inside the package, without importing it."""

import importlib.util
import os
import sys

folder = importlib.util.find_spec("kedge").submodule_search_locations[0]
os.execv(os.path.join(folder, "bin", "kedge"), ["kedge", *sys.argv[1:]])
