"""Every link of the documents leads somewhere, every name in docs/papers.md is one of the code, every message in
docs/troubleshooting.md is one of the program, and CITATION.cff has the version.

    check_documents.py SOURCE_FOLDER

Links to files and to headings are followed, not those to other sites. In docs/papers.md each code span is looked up: paths
in kedge/, all other names in the code, the tasks and the figures; those in a column "shown by" among the tests.
"""

import re
import sys
from pathlib import Path

# Words of commands, of the shell and of file formats.
COMMON = {"ctest", "preset", "release"}


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(root: Path) -> list[str]:
    wrong = []
    for page in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("examples/**/*.md")]):
        text = page.read_text()
        for link in re.findall(r'\]\(([^)\s]+)(?: "[^"]*")?\)', text):
            if re.match(r"\w+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists():
                wrong.append(f"{page.relative_to(root)}: {link} does not exist")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
                wrong.append(f"{page.relative_to(root)}: {link} is no heading there")
    return wrong


def unknown_names(root: Path) -> list[str]:
    page = (root / "docs/papers.md").read_text()
    sources = [*root.glob("kedge/**/*.h"), *root.glob("kedge/**/*.cpp"), *root.glob("tasks/**/*.toml"),
               *root.glob("cli/*.cpp")]
    code = set(re.findall(r"\w+", " ".join(source.read_text() for source in sources)))
    tests = set()
    for source in root.glob("tests/**/*_test.cpp"):
        for suite, name in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", source.read_text(), re.MULTILINE):
            tests |= {suite, f"{suite}.{name}"}
    figures = {figure.stem for figure in root.glob("experiments/*.toml")}
    wrong = []
    for table in re.findall(r"^\|.*\| shown by [^\n]*\n(?:\|[^\n]*\n)*", page, re.MULTILINE):
        named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[-2])}
        wrong += [f"docs/papers.md: {name} is no test" for name in sorted(named - tests)]
    for span in sorted(set(re.findall(r"`([^`]+)`", page))):
        for word in re.findall(r"[\w./*-]+", span):
            if "/" in word:
                if not (root / "kedge" / word).exists() and not (root / word).exists():
                    wrong.append(f"docs/papers.md: {word} is no file, nor one of kedge/")
            elif word not in tests | figures | COMMON:
                parts = [part for part in re.findall(r"[A-Za-z]\w+", word) if not part.endswith("_")]
                wrong += [f"docs/papers.md: {part} in `{span}` is no name of the code or of a test" for part in parts
                          if part not in code | COMMON]
    return wrong


def unknown_messages(root: Path) -> list[str]:
    """Messages in the first column of docs/troubleshooting.md that nothing prints.

    Numbers, names in quotation marks and "..." stand for anything; every run of three or more words between them must be in
    a text of the program or of scripts/setup.sh.
    """
    sources = [*root.glob("kedge/**/*.cpp"), *root.glob("cli/*.cpp"), *root.glob("scripts/setup.sh")]
    texts = " ".join(re.sub(r'"\s*\n\s*"', "", source.read_text()) for source in sources)
    texts = re.sub(r"\s+", " ", re.sub(r"\{[^{}\n]*\}", "...", texts))
    wrong = []
    for row in re.findall(r"^\| (.*?) \|", (root / "docs/troubleshooting.md").read_text(), re.MULTILINE):
        for message in re.findall(r"`([^`]+)`", row):
            for words in re.split(r"\.\.\.|\"[^\"]*\"|'[^']*'(?= has)|[-+]?\d[\d.e+]*|\[\[\w+\]\]|[()]", message):
                if len(words.split()) >= 3 and words.strip(" ;,:") not in texts:
                    wrong.append(f"docs/troubleshooting.md: nothing prints {words.strip()!r}")
    return wrong


def cited_version(root: Path) -> list[str]:
    version = re.search(r"project\(kedge VERSION ([\d.]+)", (root / "CMakeLists.txt").read_text())[1]
    cited = re.search(r"^version: (\S+)$", (root / "CITATION.cff").read_text(), re.MULTILINE)[1]
    return [] if cited == version else [f"CITATION.cff: version is {cited}, but kedge's is {version}"]


def main() -> int:
    root = Path(sys.argv[1])
    wrong = broken_links(root) + unknown_names(root) + unknown_messages(root) + cited_version(root)
    print("\n".join(wrong) or "all links and names are there")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
