#!/usr/bin/env python3
"""Fails if the default MuJoCo is not the same everywhere: where it is fetched, in the browser, beside the Python module, in the documents.

    python3 check_mujoco_version.py SOURCE_DIR
"""
import json
import re
import sys
from pathlib import Path


def main() -> int:
    root = Path(sys.argv[1])

    def found(file: str, pattern: str) -> str:
        match = re.search(pattern, (root / file).read_text(), re.MULTILINE)
        return match.group(1) if match else "none"

    versions = {
        "scripts/setup.sh": found("scripts/setup.sh", r"^mujoco_default=(\S+)"),
        "viewer/package.json": json.loads((root / "viewer/package.json").read_text())["dependencies"]["@mujoco/mujoco"],
        "python/requirements.txt": found("python/requirements.txt", r"^mujoco==(\S+)"),
        "docs/mujoco.md": found("docs/mujoco.md", r"MuJoCo \*\*(\S+)\*\*"),
        "README.md": found("README.md", r"\[MuJoCo\]\(docs/mujoco.md\) ([\d.]*\d)"),
    }
    if len(set(versions.values())) > 1:
        print("\n".join(f"{file}: MuJoCo {version}" for file, version in versions.items()))
    return len(set(versions.values())) > 1


if __name__ == "__main__":
    sys.exit(main())
