#!/usr/bin/env python3
"""Shows that check_lengths.py sees what it is for."""

import pathlib
import tempfile
import unittest

import check_lengths


def lengths(source):
    return [lines for _, lines, _ in check_lengths.functions(source)]


def function(lines, name="f"):
    """A function of so many lines."""
    return f"int {name}(int x) {{\n" + "  x += 1;\n" * (lines - 2) + "}\n"


class CheckLengths(unittest.TestCase):
    def test_the_limit_of_the_folder_holds(self):
        with tempfile.TemporaryDirectory() as folder:
            for path, lines in (("kedge/algorithms/a.cpp", 60), ("kedge/math/b.cpp", 80), ("cli/c.cpp", 80)):
                file = pathlib.Path(folder) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("// a file\n" + function(lines), encoding="utf-8")
            self.assertEqual(check_lengths.check(folder), ([], 3))
            for path, lines in (("kedge/algorithms/a.cpp", 61), ("kedge/math/b.cpp", 81), ("cli/c.cpp", 81)):
                (pathlib.Path(folder) / path).write_text("// a file\n" + function(lines), encoding="utf-8")
            faults, _ = check_lengths.check(folder)
            self.assertEqual([fault.split(":")[:2] for fault in faults],
                             [["cli/c.cpp", "2"], ["kedge/algorithms/a.cpp", "2"], ["kedge/math/b.cpp", "2"]])

    def test_functions_are_found_at_every_level_of_declarations(self):
        inner = function(5) + "struct S final : T {\n  S() : x_{1}, y_(2) {}\n" + function(3, "operator()") + "};\n"
        self.assertEqual(lengths("namespace a {\nnamespace {\n" + inner + "}\n}\n"), [5, 1, 3])
        self.assertEqual(lengths("template <class T>\nrequires Number<T>\nvoid f(T x,\n       T y) {\n  x = y;\n}\n"), [6])

    def test_lambdas_belong_to_the_function_around_them(self):
        self.assertEqual(lengths("void f() {\n  g([](int x) {\n    return x;\n  });\n}\n"), [5])

    def test_braces_in_texts_comments_and_values_do_not_count(self):
        self.assertEqual(lengths('char a = \'{\';\nconst char* b = "{";  // {\nconst char* c = R"({)";\n' + function(4)), [4])
        self.assertEqual(lengths("const std::vector<int> x = {f(1),\n f(2)};\nint y{f(3)};\n" + function(4)), [4])


if __name__ == "__main__":
    unittest.main()
