"""Every library that kedge links and every package inside a page has a section in THIRD_PARTY_NOTICES.md.

    check_notices.py SOURCE_FOLDER
"""

import json
import re
import sys
from pathlib import Path

# What CMake and npm call it, and its section; None: nothing that is distributed.
SECTION = {
    "Python": None,
    "Threads": None,
    "CLI11": "CLI11",
    "Eigen3": "Eigen",
    "HDF5": "HDF5",
    "MuJoCo": "MuJoCo",
    "NLopt": "NLopt",
    "PNG": "libpng",
    "TBB": "oneTBB",
    "ZLIB": "zlib",
    "fmt": "{fmt}",
    "hwy": "Highway",
    "nanobind": "nanobind",
    "nlohmann_json": "nlohmann-json",
    "tinyxml2": "TinyXML-2",
    "tomlplusplus": "toml++",
    "@mujoco/mujoco": "MuJoCo for the browser",
    "three": "three.js",
    "uplot": "uPlot",
}


def main() -> int:
    root = Path(sys.argv[1])
    cmake = (root / "cmake/Dependencies.cmake").read_text()
    cmake += (root / "CMakeLists.txt").read_text().split("if(KEDGE_TESTS)")[0]  # what is for the program alone
    cmake += (root / "python/CMakeLists.txt").read_text()
    used = re.findall(r"find_(?:dependency|package)\((\w+)", cmake)
    used += json.loads((root / "viewer/package.json").read_text())["dependencies"]
    there = re.findall(r"^### (.+)$", (root / "THIRD_PARTY_NOTICES.md").read_text(), re.MULTILINE)
    wrong = [f"{name}: is used, but tests/architecture/check_notices.py does not know its section"
             for name in used if name not in SECTION]
    wanted = {SECTION[name] for name in used if SECTION.get(name)}
    wrong += [f"THIRD_PARTY_NOTICES.md has no section \"{title}\"" for title in sorted(wanted - set(there))]
    wrong += [f"THIRD_PARTY_NOTICES.md has a section \"{title}\", but nothing uses it"
              for title in sorted(set(there) - wanted)]
    print("\n".join(wrong) or f"{len(there)} notices, all that are needed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
