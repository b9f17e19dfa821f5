"""Pictures of runs, by matplotlib.

    kedge.plot.learning({"MOTO": [run_a, run_b], "GPS": "runs/gps-*"})
    kedge.plot.rollouts(run.task, run.evaluate(20))

Each function draws into the axes that it is given, or into a new figure, and returns the axes.
"""

import csv as _csv
import glob as _glob
import os as _os
from typing import Optional as _Optional

import numpy as _np

from ._kedge import Evaluation, InputError, Run, Task
from ._packages import need as _need


def read_metrics(run) -> dict[str, _np.ndarray]:
    """Returns the metrics of a run, {name: array}.

    run  a Run, the directory of one, or its metrics.csv
    """
    if isinstance(run, Run):
        return run.metrics
    path = _os.fspath(run)
    if _os.path.isdir(path):
        path = _os.path.join(path, "metrics.csv")
    try:
        with open(path, newline="") as file:
            header, *rows = list(_csv.reader(file)) or [[]]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected the directory of a run") from None
    return {name: _np.array([float(row[i]) for row in rows]) for i, name in enumerate(header)}


def _runs(runs) -> list:
    """The runs of one curve: a Run, a directory, a pattern of directories, or a list of these."""
    if isinstance(runs, Run):
        return [runs]
    if not isinstance(runs, (str, _os.PathLike)):
        return [one for each in runs for one in _runs(each)]
    found = sorted(_glob.glob(_os.fspath(runs)))
    if not found:
        raise InputError(f"{_os.fspath(runs)}: there is no such run")
    return found


def _value_at(metrics, column: str, rollouts: _np.ndarray) -> _np.ndarray:
    """What a run had at these numbers of rollouts: its last iteration until then; NaN before the first and after the last."""
    own = metrics["rollouts_total"]
    if not own.size:
        return _np.full(rollouts.shape, _np.nan)
    at = _np.searchsorted(own, rollouts, side="right") - 1
    known = (at >= 0) & (rollouts <= own[-1])
    return _np.where(known, metrics[column][_np.maximum(at, 0)], _np.nan)


def learning(runs, column: str = "return_median", *, ax=None, scale: _Optional[str] = None):
    """Draws a metric over the rollouts: for each label the median of its runs, and the range of their middle half.

    runs    {label: runs}; runs are a Run, a directory, a pattern ("runs/moto-*"), or a list of these. Without labels: one curve
    column  a column of metrics.csv; one with NaN or infinity shows a gap
    scale   of the y axis; default: "symlog" for a return, "linear" for others

    A curve ends where its first run ends: the same runs make all of it.
    """
    labelled = runs if isinstance(runs, dict) else {"": runs}
    ax = _axes(ax)
    for label, own in labelled.items():
        every = [read_metrics(run) for run in _runs(own)]
        for metrics in every:
            missing = {column, "rollouts_total"} - metrics.keys()
            if missing:
                raise InputError(f"a run of \"{label}\" has no column {', '.join(sorted(missing))}; it has {', '.join(metrics)}")
        x = _np.unique(_np.concatenate([metrics["rollouts_total"] for metrics in every]))
        values = _np.array([_value_at(metrics, column, x) for metrics in every])
        there = _np.isfinite(values).all(axis=0)
        middle = _np.full((3, x.size), _np.nan)
        middle[:, there] = _np.quantile(values[:, there], (0.25, 0.5, 0.75), axis=0)
        (line,) = ax.plot(x, middle[1], label=f"{label} ({len(every)} runs)" if len(every) > 1 else label)
        if len(every) > 1:
            ax.fill_between(x, middle[0], middle[2], color=line.get_color(), alpha=0.2, linewidth=0)
    ax.set_xlabel("rollouts")
    ax.set_ylabel(column.replace("_", " "))
    ax.set_yscale(scale or ("symlog" if column.startswith("return") else "linear"))
    ax.grid(alpha=0.3)
    if any(labelled):
        ax.legend()
    return ax


def rollouts(task: Task, evaluation: Evaluation, names=None, *, axes=None):
    """Draws what a policy saw and did, one axes a quantity over time, one line a rollout. Actions are drawn within their limits.

    evaluation  of the same task: run.evaluate(20)
    names       of observations and actions; default: all
    axes        as many as names
    """
    known = list(task.observation_names) + list(task.action_names)
    names = known if names is None else list(names)
    for name in names:
        if name not in known:
            raise InputError(f"the task has no observation or action \"{name}\"; it has {', '.join(known)}")
    if axes is None:
        _need("matplotlib", "kedge.plot")
        from matplotlib import pyplot

        _, axes = pyplot.subplots(len(names), 1, sharex=True, squeeze=False, layout="constrained",
                                  figsize=(7, 1 + 1.2 * len(names)))
    axes = _np.ravel(axes)
    if len(axes) != len(names):
        raise InputError(f"{len(axes)} axes for {len(names)} quantities")
    n, T = evaluation.rollouts, task.horizon
    actions = evaluation.actions
    if task.action_low.size:
        actions = _np.clip(actions, task.action_low[:, None], task.action_high[:, None])
    numbers = [row.reshape(n, -1) for row in (*evaluation.observations, *actions)]
    for ax, name in zip(axes, names):
        rows = numbers[known.index(name)]
        time = _np.arange(rows.shape[1]) * task.control_step
        ax.plot(time, rows.T, linewidth=0.8, alpha=max(0.1, 1 / _np.sqrt(n)), color="C0",
                drawstyle="default" if rows.shape[1] > T else "steps-post")
        ax.set_ylabel(name)
        ax.grid(alpha=0.3)
    axes[-1].set_xlabel("time [s]")
    return axes


def _axes(ax):
    if ax is None:
        _need("matplotlib", "kedge.plot")
        from matplotlib import pyplot

        _, ax = pyplot.subplots(layout="constrained")
    return ax
