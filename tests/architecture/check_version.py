#!/usr/bin/env python3
"""Fails if the version is not the same everywhere: CMake, the wheel, the Debian package, the changelog, the citation file.

    python3 check_version.py SOURCE_DIR

CMakeLists.txt has the version that is released next, or is the newest (CONTRIBUTING.md, "Versions").
"""
import re
import sys
from pathlib import Path


def problems(root: Path) -> list[str]:
    """Returns a line for each file that says something else."""

    def found(file: str, pattern: str) -> list[str]:
        return re.findall(pattern, (root / file).read_text(), re.MULTILINE)

    version = found("CMakeLists.txt", r"^project\(kedge VERSION (\S+)")[0]
    number = [int(part) for part in version.split(".")]
    wrong = []
    if "CMakeLists.txt" not in found("pyproject.toml", r'^metadata\.version\.input = "(.*)"'):
        wrong.append("pyproject.toml: the version of the wheel is not that of CMakeLists.txt")
    package, distribution = re.match(r"kedge \((.*)-\d+\) (\w+);", (root / "debian/changelog").read_text()).groups()
    if package != version:
        wrong.append(f"debian/changelog: {package}, but CMakeLists.txt has {version}")
    headings = found("CHANGELOG.md", r"^## \[(.*?)\]")
    released = [heading for heading in headings if heading != "Unreleased"]
    numbers = [[int(part) for part in heading.split(".")] for heading in released]
    if numbers != sorted(numbers, reverse=True) or "Unreleased" in headings[1:]:
        wrong.append(f"CHANGELOG.md: {', '.join(headings)}: must be the newest first")
    newest = [0] if not numbers else numbers[0]
    if headings[0] == "Unreleased" and newest >= number:
        wrong.append(f"CHANGELOG.md: {released[0]} is released and more has changed, but CMakeLists.txt has {version}")
    if headings[0] != "Unreleased" and newest != number:
        wrong.append(f"CHANGELOG.md: the newest is {headings[0]}, but CMakeLists.txt has {version}")
    if (distribution == "UNRELEASED") != (headings[0] == "Unreleased"):
        wrong.append(f"debian/changelog: {distribution}, but the newest part of CHANGELOG.md is {headings[0]}")
    if (root / "CITATION.cff").exists() and found("CITATION.cff", r'^version: "?([^"\s]+)') not in ([], [version]):
        wrong.append(f"CITATION.cff: is not of {version}")
    return wrong


if __name__ == "__main__":
    lines = problems(Path(sys.argv[1]))
    print("\n".join(lines))
    sys.exit(bool(lines))
