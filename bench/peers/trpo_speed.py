"""Environment steps a second of TRPO, learning included: kedge's against sb3-contrib's, on the same tasks, in one run.

    python3 -m venv venv && venv/bin/pip install "gymnasium[mujoco]" sb3-contrib h5py     # brings torch
    venv/bin/python bench/peers/trpo_speed.py --kedge build/release/kedge

Processor time of one thread each, so that other work beside it matters little; the two take turns, and of each the fastest
repetition counts. Starting a program is not counted: it is the time of the longer of two runs less that of the shorter.
"""

import argparse
import functools
import pathlib
import resource
import subprocess
import tempfile
import time

import h5py
import numpy as np

from environments import DoubleLink, Walker
from sb3_trpo import make_trpo

BATCH = 1024


def kedge_seconds(kedge, folder, task, iterations, options):
    """Processor time of a run."""
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    before = used()
    subprocess.run([kedge, "train", task, "--algorithm", "trpo", "--seed", "1", "--threads", "1", "--quiet", "--out",
                    tempfile.mkdtemp(dir=folder) + "/run", "--set", f"iterations={iterations}"]
                   + [word for option in options for word in ("--set", option)], check=True)
    return used() - before


def sb3_seconds(model, iterations):
    begin = time.process_time()
    model.learn(BATCH * iterations, reset_num_timesteps=False)
    return time.process_time() - begin


def first_state(kedge, folder):
    """Returns where the walker starts: the first state of the task's demonstration."""
    path = str(folder / "walk.h5")
    subprocess.run([kedge, "demonstrate", "walker", "-o", path], check=True, stdout=subprocess.DEVNULL)
    with h5py.File(path) as file:
        return np.array(file["state"]).reshape(-1, file["state"].shape[-1])[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kedge", default="kedge")
    parser.add_argument("--repetitions", type=int, default=3)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        walker = functools.partial(Walker, first_state(a.kedge, folder))
        cases = [("double_link", 32, 3.0, "1e-4", 20, 120, DoubleLink), ("walker", 64, 5.0, "1e-3", 10, 40, walker)]
        for task, hidden, std, scale, few, many, environment in cases:
            options = [f"hidden={hidden}", f"initial_std={std}", f"reward_scale={scale}", "epsilon=0.1"]
            model = make_trpo(environment, 1, hidden)
            sb3_seconds(model, 1)
            kedge, sb3 = np.inf, np.inf
            for _ in range(a.repetitions):
                sb3 = min(sb3, sb3_seconds(model, 3) / (3 * BATCH))
                longer, shorter = (kedge_seconds(a.kedge, folder, task, n, options) for n in (many, few))
                kedge = min(kedge, (longer - shorter) / ((many - few) * BATCH))
            print(f"{task}, networks of 2 x {hidden} units: kedge {1 / kedge:.0f} steps/s, sb3-contrib {1 / sb3:.0f} steps/s, "
                  f"ratio {sb3 / kedge:.1f}", flush=True)


if __name__ == "__main__":
    main()
