#!/usr/bin/env python3
"""Counts how often the return fell in runs of MOTO, against noise and against the bound of Theorem 4.

    kedge reproduce moto-fig1c --seeds 15
    experiments/monotonic.py runs/moto-fig1c/MOTO/s* > monotonic.csv

One row for each run. An update from iteration i to i + 1 changes the mean return of the rollouts by d.
  updates       all of them
  falls         those with d < 0
  beyond_noise  those with d < -1.96 standard errors; of updates that change nothing it would be one in 40
  below_bound   those with d below the improvement_bound of iteration i
  last_below    the largest such i; -1 if there is none
  largest       the largest fall beyond noise, as a share of the return before; 0 if there is none
"""
import csv
import math
import pathlib
import sys


def of_run(run: pathlib.Path) -> list:
    rows = list(csv.DictReader(open(run / "metrics.csv")))
    mean, std, bound, total = ([float(row[name]) for row in rows]
                               for name in ("return_mean", "return_std", "improvement_bound", "rollouts_total"))
    falls, beyond_noise, below_bound, largest = 0, 0, [], 0.0
    for i in range(len(rows) - 1):
        change = mean[i + 1] - mean[i]
        error = math.hypot(std[i], std[i + 1]) / math.sqrt(total[0])
        falls += change < 0
        if change < bound[i]:
            below_bound.append(i)
        if change < -1.96 * error:
            beyond_noise += 1
            largest = max(largest, change / mean[i])
    return [run.parent.parent.name, run.parent.name, run.name, len(rows) - 1, falls, beyond_noise, len(below_bound),
            below_bound[-1] if below_bound else -1, f"{largest:.4g}"]


if __name__ == "__main__":
    runs = [pathlib.Path(name) for name in sys.argv[1:] if not name.endswith(".log")]
    if not runs:
        sys.exit(__doc__)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow("figure,run,seed,updates,falls,beyond_noise,below_bound,last_below,largest".split(","))
    out.writerows(of_run(run) for run in runs)
