#!/usr/bin/env python3
"""Runs a tutorial as a reader does, and compares what it shows with what is printed.

    run_tutorial.py PROGRAM PAGE

Each block of the page is one of these, and no other:

* ```sh: commands, run in order in one empty folder, with PROGRAM as `kedge`.
* ```text: lines that these commands print, in this order. Numbers may differ, since they depend on the processor, but
  shares ("20/20") and names of files may not; "..." stands for any lines, and what follows the last line is left open. With a line
  "kedge: error: ..." the last command must fail with exit code 2, otherwise all must succeed.
* any other language, after "Save ... as `FILE`:": the file.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<language>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w/.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w/]|\.\d)")


def without_numbers(line):
    return NUMBER.sub("#", line.rstrip())


def missing(expected, printed):
    """The first line of `expected` that `printed` lacks, in order; None if it has all."""
    rest = iter(without_numbers(line) for line in printed)
    for line in expected:
        if line.strip() != "..." and without_numbers(line) not in rest:
            return line
    return None


def run(commands, folder, program):
    """(exit code of the last command, all that was printed). A command that fails ends the block."""
    home = folder / ".bin"
    home.mkdir(exist_ok=True)
    if not (home / "kedge").exists():
        (home / "kedge").symlink_to(program)
    environment = os.environ | {"PATH": f"{home}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-e", "-c", commands], cwd=folder, env=environment, text=True, timeout=600,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout


def check(text, program, folder):
    """Faults of a page, run in `folder`."""
    faults, commands, code, printed = [], "", None, ""
    count = 0

    def judge(expected):
        if code is None:
            return
        wanted = 2 if any(line.startswith("kedge: error:") for line in expected) else 0
        lacks = missing(expected, printed.splitlines())
        if code != wanted:
            faults.append(f"{commands!r} ended with code {code}, not {wanted}:\n{printed}")
        elif lacks is not None:
            faults.append(f"{commands!r} does not print, or not in this order, {lacks!r}:\n{printed}")

    for block in BLOCK.finditer(text):
        count += 1
        language, body = block["language"], block["body"]
        if language == "text":
            if code is None:
                faults.append(f"no command prints {body!r}")
            judge(body.splitlines())
            code = None
            continue
        judge([])
        code = None
        if language == "sh":
            commands = body
            code, printed = run(body, folder, program)
        elif file := re.search(r"[Ss]ave .*as `([\w./-]+)`:$", block["before"]):
            path = folder / file[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)
        else:
            faults.append(f"nobody can try the block after {block['before']!r}")
    judge([])
    if count != len(re.findall(r"^ *```\w+", text, re.MULTILINE)):
        faults.append("a block does not stand alone, with an empty line before it")
    return faults, count


def main():
    program, page = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        faults, count = check(page.read_text(), program, Path(folder))
    print("\n".join(faults))
    print(f"{page}: {count} blocks, {len(faults)} faults")
    return 1 if faults or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
