"""kedge's TRPO beside sb3-contrib's on kedge's double link: the same options, the same number of steps. Run by hand.

    python3 -m venv venv && venv/bin/pip install "gymnasium[mujoco]" sb3-contrib     # brings torch
    venv/bin/python bench/peers/trpo_reference.py --kedge build/release/kedge --work runs/reference --out curves.csv

What has been run stays under --work, and is not run again. The curves are means over ten batches of the median return of the
rollouts of a batch, with exploration noise.
"""

import argparse
import csv
import pathlib
import subprocess

import numpy as np

BATCH, BLOCK, SCALE = 1024, 10, 1e-4  # control steps of a batch; batches of a point of the curves; of the rewards


def of_sb3(a, seed):
    """Returns the median return of each batch, trained here unless that was done before. @return [batches, 2] rollouts, return"""
    path = a.work / f"sb3-s{seed}.csv"
    if not path.exists():
        from environments import DoubleLink
        from sb3_trpo import Curve, make_trpo

        rows = []
        batch = lambda returns: rows.append([len(returns), np.median(returns) / SCALE])
        make_trpo(DoubleLink, seed).learn(BATCH * a.iterations, callback=Curve(batch))
        np.savetxt(path, np.column_stack([np.cumsum(np.array(rows)[:, 0]), np.array(rows)[:, 1]]), delimiter=",")
    return np.loadtxt(path, delimiter=",")


def of_kedge(a, seed):
    path = a.work / f"kedge-s{seed}"
    if not path.exists():
        subprocess.run([a.kedge, "train", "double_link", "--algorithm", "trpo", "--seed", str(seed), "--threads", "1",
                        "--out", path, "--quiet", "--set", f"iterations={a.iterations}"], check=True)
    with open(path / "metrics.csv", newline="") as file:
        return np.array([[float(row["rollouts_total"]), float(row["return_median"])] for row in csv.DictReader(file)])


def interquartile_mean(values):
    """Of the middle half of the values on an axis of length n, as kedge compare's."""
    v, n = np.sort(values), len(values)
    left, right = np.maximum(np.arange(n), n / 4), np.minimum(np.arange(n) + 1, 3 * n / 4)
    return np.sum(np.maximum(right - left, 0) * v) / (n / 2)


def interval(values, statistic):
    """Percentile bootstrap, 95 %, 2000 resamples."""
    random = np.random.default_rng(0)
    found = [statistic(random.choice(values, len(values))) for _ in range(2000)]
    return np.quantile(found, [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kedge", default="kedge")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=300)
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    seeds = range(a.first_seed, a.first_seed + a.seeds)
    curves = {name: np.array([run(a, seed) for seed in seeds])
              for name, run in (("kedge", of_kedge), ("sb3-contrib", of_sb3))}  # [seeds, batches, 2]

    blocks = a.iterations // BLOCK
    with open(a.out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["program", "seed", "steps", "return_median"])
        for name, curve in curves.items():
            for seed, of_seed in zip(seeds, curve):
                means = of_seed[:blocks * BLOCK, 1].reshape(blocks, BLOCK).mean(axis=1)
                writer.writerows([name, seed, BATCH * BLOCK * (i + 1), f"{m:.6g}"] for i, m in enumerate(means))

    print(f"{'steps':>8} {'program':<12} {'interquartile mean [95 %]':<40} {'median [95 %]':<40} each seed")
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        end = round(share * blocks) * BLOCK
        for name, curve in curves.items():
            values = curve[:, end - BLOCK:end, 1].mean(axis=1)
            words = [f"{f(values):.3g} [{', '.join(f'{x:.3g}' for x in interval(values, f))}]"
                     for f in (interquartile_mean, np.median)]
            print(f"{BATCH * end:>8} {name:<12} {words[0]:<40} {words[1]:<40} {' '.join(f'{v:.3g}' for v in values)}")


if __name__ == "__main__":
    main()
