#!/usr/bin/env python3
"""Shows that check_includes.py sees what it is for."""

import pathlib
import re
import tempfile
import unittest

import check_includes


def faults(files):
    """Checks a made-up tree {path: text}."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        return check_includes.check(root)[0]


class CheckIncludes(unittest.TestCase):
    def test_every_edge_but_the_allowed_ones_is_refused(self):
        for folder, allowed in check_includes.ALLOWED.items():
            top = "cli" if folder == "cli" else f"kedge/{folder}"
            for target in check_includes.ALLOWED:
                if target == "cli":
                    continue
                found = faults({f"{top}/x.cpp": f'#include "kedge/{target}/y.h"\n'})
                ok = target == folder or target in allowed
                self.assertEqual(found == [], ok, f"{folder} -> {target}: {found}")

    def test_the_table_has_no_cycle(self):
        order = list(check_includes.ALLOWED)
        for folder, allowed in check_includes.ALLOWED.items():
            for target in allowed:
                self.assertLess(order.index(target), order.index(folder))
                if folder != "cli":  # the program speaks to runs, studies and pages only
                    self.assertLessEqual(check_includes.ALLOWED[target], allowed)

    def test_contributing_shows_this_table(self):
        text = (pathlib.Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
        shown = {}
        for folder, targets in re.findall(r"^\| `([a-z]+)/?` \|.*\| ([^|]+) \|$", text, re.MULTILINE):
            named = set(re.findall(r"[a-z]+", targets.replace("and below", "")))
            below = set().union(*(shown[target] for target in named)) if "and below" in targets else set()
            shown[folder] = named | below
        self.assertEqual(shown, check_includes.ALLOWED)

    def test_a_folder_that_holds_more_than_a_fifth_is_named(self):
        even = {folder: 100 for folder in check_includes.ALLOWED}
        self.assertEqual(check_includes.faults_of_sizes(even), [])
        found = check_includes.faults_of_sizes({**even, "run": 25 * len(even)})
        self.assertEqual(len(found), 1)
        self.assertIn("kedge/run", found[0])

    def test_an_update_never_sees_a_simulator(self):
        found = faults({"kedge/update/step.cpp": '// a step\n#  include "kedge/system/task.h"  // for T\n'})
        self.assertEqual(found, ["kedge/update/step.cpp:2: update includes system; it may include core, math, policy"])

    def test_third_party_libraries_stay_in_their_place(self):
        self.assertTrue(faults({"kedge/algorithms/x.cpp": "#include <mujoco/mujoco.h>\n"}))
        self.assertTrue(faults({"kedge/rollout/x.cpp": "#include <tbb/parallel_for.h>\n"}))
        self.assertFalse(faults({"kedge/mujoco/x.cpp": "#include <mujoco/mujoco.h>\n"}))

    def test_paths_start_at_the_root(self):
        self.assertTrue(faults({"kedge/math/x.cpp": '#include "gaussian.h"\n'}))
        self.assertTrue(faults({"kedge/math/x.cpp": '#include "../system/task.h"\n'}))
        self.assertTrue(faults({"kedge/math/x.cpp": "#include <kedge/core/types.h>\n"}))
        self.assertTrue(faults({"kedge/core/x.cpp": '#include "cli/progress.h"\n'}))

    def test_headers_begin_with_a_comment_and_new_folders_need_a_row(self):
        self.assertTrue(faults({"kedge/math/x.h": "#pragma once\n"}))
        self.assertFalse(faults({"kedge/math/x.h": "// Sums.\n#pragma once\n"}))
        self.assertTrue(faults({"kedge/extra/x.h": "// Sums.\n#pragma once\n"}))


if __name__ == "__main__":
    unittest.main()
