#!/usr/bin/env python3
"""Writes the tables of the columns of metrics.csv in docs/: which there are, from a short run of each algorithm; what
they mean, from docs/columns.toml. With --check it changes nothing, names what differs, and fails.

    column_tables.py [--check] [PROGRAM]      (default: build/release/kedge)
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TASK = ["double_link", "--set", "task.horizon=20", "--set", "task.success.steps=last 5"]


def columns_of(program, algorithm, folder):
    subprocess.run([program, "train", *TASK, "--algorithm", algorithm, "--iterations", "1", "--threads", "1", "--quiet",
                    "--out", f"{folder}/{algorithm}"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Path(folder, algorithm, "metrics.csv").read_text().splitlines()[0].split(",")


def table(names, meaning):
    rows = [f"| `{name}` | {meaning(name)[0]} | {meaning(name)[1]} |" for name in names]
    return "\n".join(["| column | meaning | look twice when |", "|---|---|---|", *rows])


def with_table(text, name, rows):
    """The page with `rows` between the two marks of `name`; None if it does not have them once."""
    mark = re.compile(rf"(<!-- columns: {name} -->\n).*?(<!-- end of columns -->)", re.DOTALL)
    return mark.sub(lambda found: f"{found[1]}\n{rows}\n\n{found[2]}", text) if len(mark.findall(text)) == 1 else None


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    program = arguments[0] if arguments else str(ROOT / "build/release/kedge")
    meanings = tomllib.loads((ROOT / "docs/columns.toml").read_text())
    listed = subprocess.run([program, "list"], check=True, capture_output=True, text=True).stdout
    algorithms = re.findall(r"^  (\w+) ", re.search(r"^algorithms.*?\n\n", listed, re.MULTILINE | re.DOTALL)[0], re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        columns = {algorithm: columns_of(program, algorithm, folder) for algorithm in algorithms}

    faults, unused = [], {(section, name) for section, names in meanings.items() for name in names}
    pages = {"docs/reference/run_directory.md": ("all", list(meanings["all"]))}
    pages |= {f"docs/algorithms/{algorithm}.md": (algorithm, [n for n in columns[algorithm] if n not in meanings["all"]])
              for algorithm in algorithms}
    for algorithm in algorithms:
        faults += [f"metrics.csv of {algorithm} has no column {name}, which docs/columns.toml gives to all"
                   for name in meanings["all"] if name not in columns[algorithm]]

    for page, (section, names) in pages.items():
        def meaning(name):
            for place in (section, "shared"):
                if name in meanings.get(place, {}):
                    unused.discard((place, name))
                    return meanings[place][name]
            faults.append(f"docs/columns.toml does not say what {name} of {section} means")
            return "", ""

        old = (ROOT / page).read_text()
        new = with_table(old, section, table(names, meaning))
        if new is None:
            faults.append(f"{page}: must have one '<!-- columns: {section} -->' and, after it, '<!-- end of columns -->'")
        elif new != old and "--check" in sys.argv:
            faults.append(f"{page}: its table of columns is not that of {program}; run scripts/column_tables.py")
        elif new != old:
            (ROOT / page).write_text(new)
            print(f"{page}: written")
    faults += [f"docs/columns.toml: no metrics.csv has {name} of [{section}]" for section, name in sorted(unused)]
    print("\n".join(faults) or f"the columns of {len(algorithms)} algorithms are explained")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
