"""check_version.py sees each file that says another version."""
import tempfile
import unittest
from pathlib import Path

from check_version import problems

FILES = {
    "CMakeLists.txt": "project(kedge VERSION 1.10.0 LANGUAGES CXX)\n",
    "pyproject.toml": 'metadata.version.input = "CMakeLists.txt"\n',
    "CHANGELOG.md": "## [Unreleased]\n\n## [1.9.2] - 2026-01-01\n",
    "debian/changelog": "kedge (1.10.0-1) UNRELEASED; urgency=medium\n",
    "CITATION.cff": "version: 1.10.0\n",
}


def problems_with(**changes):
    with tempfile.TemporaryDirectory() as folder:
        for file, text in FILES.items():
            path = Path(folder) / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(changes.get(path.stem, text) if file != "debian/changelog" else changes.get("debian", text))
        return problems(Path(folder))


class Version(unittest.TestCase):
    def test_the_same_everywhere_is_right(self):
        self.assertEqual(problems_with(), [])
        self.assertEqual(problems_with(CHANGELOG="## [1.10.0] - 2026-02-01\n\n## [1.9.2] - 2026-01-01\n",
                                       debian="kedge (1.10.0-2) unstable; urgency=medium\n"), [])

    def test_others_are_seen(self):
        for changes, says in [({"CMakeLists": "project(kedge VERSION 1.11.0 LANGUAGES CXX)\n"}, "debian/changelog: 1.10.0"),
                              ({"pyproject": 'version = "1.10.0"\n'}, "pyproject.toml"),
                              ({"CITATION": "version: 1.9.2\n"}, "CITATION.cff"),
                              ({"debian": "kedge (1.10.0-1) unstable; urgency=medium\n"}, "unstable, but"),
                              ({"CHANGELOG": "## [Unreleased]\n\n## [1.10.0] - 2026-01-01\n"}, "more has changed"),
                              ({"CHANGELOG": "## [1.9.2] - 2026-01-01\n"}, "the newest is 1.9.2"),
                              ({"CHANGELOG": "## [Unreleased]\n\n## [1.2.0]\n\n## [1.9.2]\n"}, "the newest first")]:
            with self.subTest(says):
                self.assertIn(says, "\n".join(problems_with(**changes)))


if __name__ == "__main__":
    unittest.main()
