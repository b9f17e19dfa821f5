#!/usr/bin/env python3
"""Fails if a folder includes one that it may not know, or outgrows the others.

    check_includes.py ROOT

Reads the #include "..." lines of kedge/ and cli/ and compares them with ALLOWED. A direction that is not checked by a
machine is lost. No folder of kedge/ may hold more than a fifth of the library's lines: one that does has lost its
subject. Every header must also begin with a comment that says what it is for, and be included by its path
from the root, so that installed and uninstalled headers are found alike.
"""

import pathlib
import re
import sys

# What a run is made of: everything that knows no run directory.
BELOW_RUN = {"core", "math", "policy", "system", "files", "mujoco", "worlds", "rollout", "tasks", "evaluation", "update",
             "algorithms", "catalogue"}

# Folder -> the folders it may include besides itself.
ALLOWED = {
    "core": set(),
    "math": {"core"},
    "policy": {"core", "math"},
    "system": {"core", "math"},
    "files": {"core", "math", "policy", "system"},
    "export": {"core", "math", "policy", "system", "files"},
    "mujoco": {"core", "math", "policy", "system"},
    "worlds": {"core", "math", "policy", "system", "mujoco"},
    "rollout": {"core", "math", "policy", "system"},
    "tasks": {"core", "math", "policy", "system", "files", "mujoco", "worlds", "rollout"},
    "evaluation": {"core", "math", "policy", "system"},
    "update": {"core", "math", "policy"},
    "algorithms": {"core", "math", "policy", "system", "rollout", "evaluation", "update"},
    "catalogue": {"core", "math", "policy", "system", "rollout", "evaluation", "update", "algorithms"},
    "run": BELOW_RUN,
    "study": BELOW_RUN | {"run"},
    "pages": BELOW_RUN | {"run", "study"},
    "cli": {"core", "math", "files", "export", "tasks", "algorithms", "catalogue", "run", "study", "pages"},
}

# Libraries that belong to one place: prefix of the header -> the folders that may include it.
CONFINED = {
    "mujoco/": {"mujoco", "worlds", "tasks", "run"},  # tasks: demonstrations; run: the version, for run.toml
    "hwy/": {"math", "policy", "evaluation"},  # vector kernels
    "tbb/": {"core"},
    "oneapi/": {"core"},
    "nlopt": {"math"},
    "tinyxml2": {"mujoco"},
    "CLI/": {"cli"},
    "nlohmann/": {"files", "export", "run", "study", "pages", "cli"},
}

# Headers that the build writes; they are not installed.
GENERATED = {"commit.h"}

LARGEST_SHARE = 0.2  # of the lines of kedge/, in one folder

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SOURCES = {".h", ".hpp", ".cpp", ".cc"}


def folder_of(path, root):
    """The folder whose rules hold for a source file: kedge/math/x.h -> math, cli/x.cpp -> cli."""
    parts = path.relative_to(root).parts
    return parts[1] if parts[0] == "kedge" and len(parts) > 2 else parts[0]


def faults_of_line(folder, line):
    """What is wrong with one line of a file in `folder`: a list of sentences, mostly empty."""
    match = INCLUDE.match(line)
    if not match:
        return []
    quote, header = match.groups()
    parts = header.split("/")
    for prefix, folders in CONFINED.items():
        if quote == "<" and header.startswith(prefix) and folder not in folders:
            return [f"{folder} includes <{header}>, which only {', '.join(sorted(folders))} may"]
    if quote == "<":
        return ["<%s>: write \"%s\"" % (header, header)] if parts[0] in ("kedge", "cli") else []
    if header in GENERATED:
        return []
    if folder == "cli" and (parts[0] == "cli" or len(parts) == 1):  # the program is not installed: a bare name will do
        return []
    if parts[0] == "cli":
        return [f"{folder} includes {header}; nothing but cli may"]
    if parts[0] != "kedge" or len(parts) != 3:
        return [f'"{header}": write the path from the root, "kedge/<folder>/<file>.h"']
    target = parts[1]
    if target == folder or target in ALLOWED[folder]:
        return []
    allowed = ", ".join(sorted(ALLOWED[folder])) or "nothing"
    return [f"{folder} includes {target}; it may include {allowed}"]


def faults_of_sizes(lines_of):
    """Folders that hold more than LARGEST_SHARE of the lines. `lines_of`: folder -> lines."""
    total = sum(lines_of.values())
    return [f"kedge/{folder}: {lines} of {total} lines, more than {LARGEST_SHARE:.0%}; split it by subject"
            for folder, lines in sorted(lines_of.items()) if lines > LARGEST_SHARE * total]


def check(root):
    """All faults under `root`, each "file:line: what", and the number of files read."""
    root = pathlib.Path(root)
    faults, files, lines_of = [], 0, {}
    for path in sorted(p for top in ("kedge", "cli") for p in (root / top).rglob("*") if p.suffix in SOURCES):
        files += 1
        folder = folder_of(path, root)
        name = path.relative_to(root)
        if folder not in ALLOWED:
            faults.append(f"{name}:1: folder {folder} is unknown; give it a row in {pathlib.Path(__file__).name}")
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        if name.parts[0] == "kedge":
            lines_of[folder] = lines_of.get(folder, 0) + len(lines)
        if path.suffix == ".h" and not (lines and lines[0].startswith("//")):
            faults.append(f"{name}:1: a header begins with a comment that says what it is for")
        for number, line in enumerate(lines, 1):
            faults += [f"{name}:{number}: {fault}" for fault in faults_of_line(folder, line)]
    if set(lines_of) == set(ALLOWED) - {"cli"}:  # the whole library, not a part of it
        faults += faults_of_sizes(lines_of)
    return faults, files


def main():
    faults, files = check(sys.argv[1])
    for fault in faults:
        print(fault)
    print(f"{files} files, {len(faults)} wrong")
    return 1 if faults or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
