#!/usr/bin/env python3
"""Fails if a function is too long to be read at once.

    check_lengths.py ROOT

A function of kedge/algorithms has at most 60 lines, any other of kedge/ and cli/ at most 80, from its first line to its
closing brace. Lambdas count as lines of the function around them. The layout of scripts/format.sh is assumed.
"""

import pathlib
import re
import sys

LIMITS = {"kedge/algorithms": 60, "kedge": 80, "cli": 80}  # the first folder that holds the file decides

IGNORED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b(?!.*\))")  # its braces hold declarations


def without_text(source):
    """The source with comments and literals blanked, so that every brace that is left counts. Lines stay."""
    return IGNORED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)


def functions(source):
    """Yields (first line, lines, header) of every function that is defined at the level of namespaces and classes."""
    code = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", lambda found: re.sub(r"[^\n]", " ", found[0]), without_text(source),
                  flags=re.MULTILINE)
    begin = 0  # of the declaration that is being read
    depth = 0  # of braces inside of a function or an initialiser; 0: between declarations
    first, header = None, ""
    for place, c in enumerate(code):
        if depth > 0:
            depth += (c == "{") - (c == "}")
            if depth == 0:
                if first is not None:
                    yield first, code.count("\n", 0, place) + 2 - first, header
                    begin = place + 1
                first = None
        elif c == "{":
            text = " ".join(code[begin:place].split())
            if SCOPE.search(text):
                begin = place + 1
            else:
                depth = 1
                # A body stands apart from its header: f() {, not the member x_{0} or the array y = {.
                if ")" in text and code[place - 1] in " \n" and not text.endswith(("=", ",", "(")):
                    start = begin + len(code[begin:place]) - len(code[begin:place].lstrip())
                    first, header = code.count("\n", 0, start) + 1, text
        elif c in ";}":
            begin = place + 1


def check(root):
    """All faults under `root`, each "file:line: what", and the number of functions read."""
    root = pathlib.Path(root)
    faults, count = [], 0
    for path in sorted(p for top in ("kedge", "cli") for p in (root / top).rglob("*") if p.suffix in (".h", ".cpp")):
        name = path.relative_to(root)
        limit = next(lines for folder, lines in LIMITS.items() if name.is_relative_to(folder))
        for first, lines, header in functions(path.read_text(encoding="utf-8")):
            count += 1
            if lines > limit:
                faults.append(f"{name}:{first}: {lines} lines, but at most {limit} are allowed: {header[:80]}")
    return faults, count


def main():
    faults, count = check(sys.argv[1])
    for fault in faults:
        print(fault)
    print(f"{count} functions, {len(faults)} too long")
    return 1 if faults or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
