#!/usr/bin/env python3
"""Asks exported controllers and compares their answers with kedge's.

    check_exports.py FOLDER python|onnx|json

FOLDER has the files that export_test.cpp writes. Exit code 77: a package is missing.
"""

import glob
import json
import math
import os
import runpy
import sys


def skip(error):
    print(f"not tested: {error} (scripts/setup.sh python)")
    sys.exit(77)


try:
    import numpy as np
except ImportError as missing:
    skip(missing)


class Case:
    """A case of the test: its initial state x0 and, one a row, steps t, observations s, means and actions."""

    def __init__(self, stem):
        with open(stem + ".txt", encoding="ascii") as text:
            ds, da = map(int, text.readline().split())
            self.x0 = np.array(text.readline().split(), float)
            rows = np.array([line.split() for line in text], float)
        self.t = rows[:, 0].astype(int)
        self.s, self.mean, self.action = np.split(rows[:, 1:], [ds, ds + da], axis=1)


def compare(stem, found, expected, tolerance):
    scale = 1 + np.abs(expected).max()
    worst = np.abs(found - expected).max() / scale
    assert worst < tolerance, f"{stem}: differs by {worst:.2g}, relative to the largest action"


def check_python(stem):
    case = Case(stem)
    module = runpy.run_path(stem + ".py")
    first = (module["start"](case.x0),) if "start" in module else ()
    for name, expected in (("mean", case.mean), ("action", case.action)):
        found = [module[name](*first, t, s) for t, s in zip(case.t, case.s)]
        compare(f"{stem}.py, {name}", np.array(found), expected, 1e-13)
    if "STEPS" in module:
        for t in (-1, module["STEPS"]):
            try:
                module["action"](*first, t, case.s[0])
            except IndexError:
                continue
            raise AssertionError(f"{stem}.py: takes t = {t}")


def check_onnx(stem, onnx, runtime):
    case = Case(stem)
    model = onnx.load(stem + ".onnx")
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(stem + ".onnx", providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    fixed = {}
    if "context" in wanted:
        entries = {p.key: p.value for p in model.metadata_props}["context"]
        fixed["context"] = case.x0[[int(e) for e in entries.split()]].astype(np.float32)
    for t in set(case.t):
        here = case.t == t
        inputs = {"observation": case.s[here].astype(np.float32), **fixed}
        if "t" in wanted:
            inputs["t"] = np.array(t, np.int64)
        mean, action = session.run(["mean", "action"], inputs)
        size = 1 + np.abs(case.s[here]).max()  # sums of terms as large as the observations
        compare(f"{stem}.onnx, mean, t = {t}", mean, case.mean[here], 2e-5 * size)
        compare(f"{stem}.onnx, action, t = {t}", action, case.action[here], 2e-5 * size)
    if any(node.op_type == "Gather" for node in model.graph.node):
        try:
            session.run(["action"], {**inputs, "t": np.array(10**6, np.int64)})
        except runtime.capi.onnxruntime_pybind11_state.InvalidArgument:
            return
        raise AssertionError(f"{stem}.onnx: takes t = 10^6")


def check_json(stem, h5py):
    """Every attribute and dataset of policy.h5 is a member with the same numbers, and there is no other."""

    def check(group, found):
        names = set(group.keys()) | set(group.attrs.keys())
        assert names == set(found), f"{stem}.json: members {sorted(found)}, expected {sorted(names)}"
        for name, value in list(group.attrs.items()) + list(group.items()):
            if isinstance(value, h5py.Group):
                check(value, found[name])
                continue
            value = np.asarray(value)
            if value.dtype.kind in "fiu":
                numbers = np.array(found[name], float)  # None: nan
                expected = np.where(np.isfinite(value), value, math.nan)
                assert np.array_equal(numbers, expected, equal_nan=True), f"{stem}.json: {name}"
            else:
                assert found[name] == value.tolist(), f"{stem}.json: {name}"

    with h5py.File(stem + ".h5", "r") as file, open(stem + ".json", encoding="utf-8") as text:
        check(file, json.load(text))


def main():
    folder, what = sys.argv[1:]
    try:
        if what == "onnx":
            import onnx
            import onnxruntime
        if what == "json":
            import h5py
    except ImportError as missing:
        skip(missing)
    ending = ".json" if what == "json" else ".txt"
    stems = [os.path.splitext(path)[0] for path in glob.glob(os.path.join(folder, "*" + ending))]
    assert len(stems) > 10
    for stem in stems:
        if what == "python":
            check_python(stem)
        elif what == "onnx":
            check_onnx(stem, onnx, onnxruntime)
        else:
            check_json(stem, h5py)


if __name__ == "__main__":
    main()
