"""Runs the tests of the module. Exit code 77: there is no pytest."""

import pathlib
import sys

if __name__ == "__main__":  # processes that a test spawns read this file, too
    try:
        import pytest
    except ImportError as missing:
        print(f"not tested: {missing} (scripts/setup.sh python)")
        sys.exit(77)
    sys.dont_write_bytecode = True
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(pathlib.Path(__file__).parent)]))
