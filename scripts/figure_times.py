#!/usr/bin/env python3
"""Writes the table of docs/reproduce.md that says how long each figure takes: from the pages in docs/results that have the
command of a figure and a table of its runs. With --check it changes nothing and fails if the page differs.

    figure_times.py [--check]
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/reproduce.md"
MARK = re.compile(r"(<!-- times of figures -->\n).*?(<!-- end of times -->)", re.DOTALL)


def figures():
    """Name, runs and minutes of one core of each figure: seeds times the median seconds of a run, by its page's table."""
    for page in sorted((ROOT / "docs/results").glob("*.md")):
        text = page.read_text()
        command = re.search(r"^    kedge reproduce (\S+) --seeds", text, re.MULTILINE)
        rows = re.findall(r"^\| [^|]+ \| (\d+) \|.*\| ([\d.e+]+) \|$", text, re.MULTILINE)
        if command and rows and "seconds a run, median" in text:
            yield command[1], page.name, sum(int(n) for n, _ in rows), sum(int(n) * float(s) for n, s in rows) / 60


def main():
    found = list(figures())
    lines = [f"| [{name}](results/{page}) | {runs} | {minutes:.0f} |" for name, page, runs, minutes in found]
    lines.append(f"| all | {sum(f[2] for f in found)} | {sum(f[3] for f in found):.0f} |")
    rows = "\n".join(["| figure | runs | minutes of one core |", "|---|---|---|", *lines])
    text = PAGE.read_text()
    if len(MARK.findall(text)) != 1:
        sys.exit(f"{PAGE}: its marks of the times must be there once")
    new = MARK.sub(lambda m: f"{m[1]}\n{rows}\n\n{m[2]}", text)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new)
    elif new != text:
        sys.exit(f"{PAGE}: the times of the figures differ from the pages; scripts/figure_times.py writes them")


if __name__ == "__main__":
    main()
