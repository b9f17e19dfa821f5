"""read_with_h5py.py FILE EXPECTED: does h5py read what was written?

EXPECTED has one line for each dataset, "path [shape] values", and each attribute, "path@name value", with numbers in
hexadecimal: every bit counts.
"""
import sys

import h5py
import numpy as np

with h5py.File(sys.argv[1], "r") as file:
    for line in open(sys.argv[2]):
        path, *values = line.split()
        if "@" in path:
            path, name = path.split("@")
            found = np.atleast_1d(file[path or "/"].attrs[name])
            if found.dtype.kind == "f":
                found = [float(x).hex() for x in found]
                values = [float.fromhex(x).hex() for x in values]
            assert [str(x) for x in found] == values, (path, name, found, values)
        else:
            shape = tuple(int(n) for n in values[0].strip("[]").split(",") if n)
            found = file[path][...]
            assert found.shape == shape, (path, found.shape, shape)
            if found.dtype.kind == "i":
                assert found.dtype == np.int32, (path, found.dtype)
                assert [str(x) for x in found.ravel()] == values[1:], path
            else:
                assert found.dtype == np.float64, (path, found.dtype)
                expected = np.array([float.fromhex(x) for x in values[1:]])
                assert found.tobytes() == expected.reshape(shape).tobytes(), path
print("ok")
