"""make_with_h5py.py FOLDER: policies as other people write them, good_*.h5, and as kedge must refuse them, bad_*.h5."""
import os
import sys

import h5py
import numpy as np

T, da, ds = 4, 2, 3
K = np.arange(T * da * ds, dtype=float).reshape(T, da, ds)
k = np.arange(T * da, dtype=float).reshape(T, da)
Sigma = np.tile(np.array([[2.0, 0.5], [0.5, 1.0]]), (T, 1, 1))
os.chdir(sys.argv[1])


def policy(name, kind="tv_linear_gaussian", libver="earliest", **changes):
    with h5py.File(name, "w", libver=libver) as file:
        if kind is not None:
            file.attrs["kind"] = kind
        for key, value in {"K": K, "k": k, "Sigma": Sigma, **changes}.items():
            if callable(value):
                value(file)
            elif value is not None:
                file[key] = value
    return name


policy("good_plain.h5")
policy("good_latest.h5", libver="latest")
policy("good_fixed_text.h5", kind=np.bytes_("tv_linear_gaussian"))
policy("good_single.h5", K=K.astype("f4"), k=k.astype(">f8"), Sigma=Sigma.astype("f2"))
policy("good_integer.h5", K=K.astype("i4"))
policy("good_compressed.h5", K=lambda f: f.create_dataset("K", data=K, compression="gzip"))
with h5py.File(policy("good_more.h5"), "a") as file:
    file["notes"] = np.zeros(3)
    file.attrs["task"] = "own"
    file.attrs["action_low"] = np.array([-1.0, -np.inf])
    file.attrs["action_high"] = np.array([1.0, np.inf])
    file.attrs["observation_names"] = ["a", "b", "c"]

policy("bad_kind.h5", kind="mlp\ngaussian")
policy("bad_no_kind.h5", kind=None)
policy("bad_kind_number.h5", kind=3)
policy("bad_kind_two.h5", kind=["a", "b"])
policy("bad_no_K.h5", K=None)
policy("bad_no_Sigma.h5", Sigma=None)
policy("bad_K_rank.h5", K=K[0])
policy("bad_K_scalar.h5", K=1.0)
policy("bad_K_empty.h5", K=np.zeros((0, da, ds)))
policy("bad_K_null.h5", K=h5py.Empty("f8"))
policy("bad_K_group.h5", K=lambda f: f.create_group("K"))
policy("bad_K_text.h5", K="K")
policy("bad_K_complex.h5", K=K.astype(complex))
policy("bad_K_dangling.h5", K=lambda f: f.__setitem__("K", h5py.SoftLink("/nowhere")))
policy("bad_K_nan.h5", K=np.where(K == 13.0, np.nan, K))
policy("bad_K_huge.h5", K=lambda f: f.create_dataset("K", (10**6, 10**3, 10**4), "f8", chunks=(1, 10, 10)))
policy("bad_K_overflow.h5", K=lambda f: f.create_dataset("K", (2**62, 2**62, 2**62), "f8", chunks=(1, 1, 1)))
policy("bad_k_steps.h5", k=k[:3])
policy("bad_k_inf.h5", k=k - np.inf)
policy("bad_Sigma_shape.h5", Sigma=np.ones((T, da, ds)))
policy("bad_Sigma_asymmetric.h5", Sigma=np.tile(np.array([[2.0, 0.5], [0.4, 1.0]]), (T, 1, 1)))
policy("bad_Sigma_indefinite.h5", Sigma=np.tile(np.array([[1.0, 2.0], [2.0, 1.0]]), (T, 1, 1)))
policy("bad_Sigma_zero.h5", Sigma=0 * Sigma)
for name, key, value in [
    ("bad_limits.h5", "action_low", np.array([2.0, 0.0])),
    ("bad_limits_nan.h5", "action_low", np.array([np.nan, 0.0])),
    ("bad_limits_size.h5", "action_high", np.ones(3)),
    ("bad_limits_one.h5", "action_high", None),
    ("bad_names.h5", "action_names", ["one"]),
    ("bad_task.h5", "task", 3),
]:
    with h5py.File(policy(name), "a") as file:
        file.attrs["action_low"] = -np.ones(da)
        file.attrs["action_high"] = np.ones(da)
        if value is None:
            del file.attrs[key]
        else:
            file.attrs[key] = value

whole = open("good_plain.h5", "rb").read()
open("bad_longer.h5", "wb").write(whole + b"more")
open("bad_shorter.h5", "wb").write(whole[:-1])
open("bad_half.h5", "wb").write(whole[: len(whole) // 2])
open("bad_text.h5", "wb").write(b"K = 1\n")
open("bad_empty.h5", "wb").write(b"")

if os.path.exists("edited.h5"):  # a file of kedge, changed afterwards by its owner
    with h5py.File("edited.h5", "a") as file:
        file["k"][...] = 7.0
print("ok")
