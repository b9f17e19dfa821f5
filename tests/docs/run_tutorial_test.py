"""The runner of tutorials sees what a page promises and the program does not do."""

import tempfile
import unittest
from pathlib import Path

from run_tutorial import check

PROGRAM = "#!/bin/bash\n[ \"$1\" = fail ] && echo 'kedge: error: a.toml:3:1: no' && exit 2\necho return -1.5 of $1\necho success 20/20\n"


class RunTutorial(unittest.TestCase):
    def faults(self, text):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "program"
            program.write_text(PROGRAM)
            program.chmod(0o755)
            (Path(folder) / "work").mkdir()
            return check(text, program, Path(folder) / "work")[0]

    def one(self, text, part):
        found = self.faults(text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_accepts_other_numbers_and_lines_that_are_left_out(self):
        self.assertEqual(self.faults("Run\n\n```sh\nkedge a\n```\n\n```text\nreturn -3e+2 of a\n...\nsuccess 20/20\n```\n"), [])

    def test_writes_files_that_commands_read(self):
        self.assertEqual(self.faults("Save it as `d/a.toml`:\n\n```toml\nx = 1\n```\n\nRun\n\n```sh\ngrep 'x = 1' d/a.toml\n```\n"), [])

    def test_sees_another_share_another_text_and_another_order(self):
        self.one("Run\n\n```sh\nkedge a\n```\n\n```text\nsuccess 19/20\n```\n", "19/20")
        self.one("Run\n\n```sh\nkedge a\n```\n\n```text\nreward -1.5 of a\n```\n", "reward")
        self.one("Run\n\n```sh\nkedge a\n```\n\n```text\nsuccess 20/20\nreturn -1.5 of a\n```\n", "return")

    def test_sees_a_failure_that_is_not_told_and_one_that_does_not_happen(self):
        self.one("Run\n\n```sh\nkedge fail\n```\n", "code 2")
        self.one("Run\n\n```sh\nkedge fail\nkedge a\n```\n\nMore\n\n```sh\ntrue\n```\n", "code 2")
        self.one("Run\n\n```sh\nkedge a\n```\n\n```text\nkedge: error: a.toml:3:1: no\n```\n", "code 0")
        self.assertEqual(self.faults("Run\n\n```sh\nkedge fail\n```\n\n```text\nkedge: error: a.toml:3:1: no\n```\n"), [])

    def test_refuses_blocks_that_nobody_runs(self):
        self.one("Then\n\n```python\nimport kedge\n```\n", "nobody can try")
        self.one("Then\n\n```text\nprinted\n```\n", "no command")
        self.one("Run\n\n```sh\nkedge a\n```\n\n* a list\n  ```sh\n  kedge fail\n  ```\n", "stand alone")


if __name__ == "__main__":
    unittest.main()
