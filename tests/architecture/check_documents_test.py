"""check_documents.py finds links that lead nowhere and names that the code does not have."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from check_documents import broken_links, cited_version, unknown_messages, unknown_names  # noqa: E402

PAPERS = """# Items
| section | kedge | | shown by `ctest --preset release -R` |
|---|---|---|---|
| 1 | `step`, `update/step.h`; `epsilon` | same | `Step`, `Step.IsExact` |
"""


class CheckDocuments(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("kedge/update/step.h", "void step(double epsilon);")
        self.write("tests/update/step_test.cpp", "TEST(Step, IsExact) {\n")
        self.write("docs/papers.md", PAPERS)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def test_good_pages_pass(self) -> None:
        self.write("README.md", "[a](docs/papers.md) [b](docs/papers.md#items) [c](https://example.org/x)")
        self.assertEqual(broken_links(self.root) + unknown_names(self.root), [])

    def test_links_to_nothing_are_found(self) -> None:
        self.write("README.md", "[a](docs/paper.md) [b](docs/papers.md#item)")
        self.assertEqual(broken_links(self.root), ["README.md: docs/paper.md does not exist",
                                                   "README.md: docs/papers.md#item is no heading there"])

    def test_names_that_are_not_there_are_found(self) -> None:
        for old, new in (("`step`", "`stop`"), ("step.h", "stop.h"), ("`epsilon`", "`eps`"), ("`Step`", "`Stop`"),
                         ("Step.IsExact", "Step.IsNear"), ("`Step`", "`step`")):
            self.write("docs/papers.md", PAPERS.replace(old, new))
            self.assertNotEqual(unknown_names(self.root), [], new)

    def test_messages_that_nothing_prints_are_found(self) -> None:
        self.write("kedge/run/a.cpp", 'fmt::format("{}: few rollouts: {} for dynamics with {} coefficients; "\n    "raise rollouts", a)')
        for message, faults in (("few rollouts: 10 for dynamics with 20 coefficients; raise rollouts", 0),
                                ("... for dynamics with 20 coefficients", 0), ("task.toml:3: few rollouts", 0),
                                ("few rollouts: 10 for dynamics of 20 coefficients; raise rollouts", 1),
                                ("few rollouts: 10 for dynamics with 20 coefficients; raise the rollouts", 1)):
            self.write("docs/troubleshooting.md", f"| message | do |\n|---|---|\n| `{message}` | as it says |\n")
            self.assertEqual(len(unknown_messages(self.root)), faults, message)

    def test_another_version_in_the_citation_is_found(self) -> None:
        self.write("CMakeLists.txt", "project(kedge VERSION 1.2.3 LANGUAGES CXX)")
        for version, faults in (("1.2.3", 0), ("1.2.2", 1)):
            self.write("CITATION.cff", f"cff-version: 1.2.0\nversion: {version}\n")
            self.assertEqual(len(cited_version(self.root)), faults)


if __name__ == "__main__":
    unittest.main()
