"""Many trainings, shared by the workers of an executor."""

import os
import pathlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from typing import NamedTuple, Optional, Union

from . import _kedge
from ._kedge import InputError, SystemFailure, Task
from ._options import settings


class TrainedRun(NamedTuple):
    """A run in a directory, as kedge.train_many returns it."""

    directory: pathlib.Path
    state: str
    """finished, or failed: a numerical failure, with the last good policy"""
    iterations: int
    message: str
    """why it failed"""


class _Work(NamedTuple):
    """What a worker is told: values that go to other processes."""

    task: Task
    algorithm: str
    seed: int
    options: list[str]
    threads: int
    directory: str


def _plan(configuration, folder, threads):
    given = dict(configuration)
    task, algorithm, seed = given.pop("task", None), given.pop("algorithm", "moto"), given.pop("seed", 1)
    if task is None:
        raise InputError("task is missing")
    if not isinstance(task, Task):
        task = _kedge.load_task(os.fspath(task), [])
    options = settings(given)
    return _Work(task, algorithm, seed, options, threads, os.path.join(folder, _kedge.run_name(task, algorithm, seed, options)))


def _train(work):
    """Trains a run, or goes on with it, or finds that it has ended."""
    if not os.path.exists(os.path.join(work.directory, "run.toml")):  # killed before that, it has not begun
        _kedge.train(work.task, work.algorithm, work.seed, work.options, work.threads, work.directory, False, None)
    elif _kedge.run_status(work.directory)[0] not in ("finished", "failed"):
        _kedge.resume(work.directory, None, work.threads, None)


def train_many(configurations: Iterable[Mapping], folder: Union[str, os.PathLike], *, executor: Optional[Executor] = None,
               threads: int = 1) -> list[TrainedRun]:
    """Learns a policy for each configuration, and returns the runs in their order.

    configurations  the arguments of kedge.train for each: {"task": "double_link", "algorithm": "moto", "seed": 3, "epsilon": 0.1}
    folder          each run is a directory in it, named after task, algorithm, seed and a digest of the task and all options
    executor        of concurrent.futures, or one like it (mpi4py, Dask): its workers see the same folder; None: one run after
                    the other, here
    threads         of each run; no result depends on it, nor on the executor

    A run that is there is kept, one that was interrupted goes on: the same call again continues.
    Raises InputError, which names the configuration, before any run begins; SystemFailure, which does too, if a run could not be
    done: after all others, which are kept. A numerical failure is a result.
    """
    folder = os.path.abspath(os.fspath(folder))
    configurations, works = [dict(configuration) for configuration in configurations], []
    for place, configuration in enumerate(configurations):
        try:
            works.append(_plan(configuration, folder, threads))
        except (InputError, TypeError) as error:
            raise InputError(f"configurations[{place}] = {configuration!r}: {error}") from error
    futures = {}  # of equal configurations there is one run
    failures = []
    try:
        for work in works:
            if executor is not None and work.directory not in futures:
                futures[work.directory] = executor.submit(_train, work)
        for configuration, work in zip(configurations, works):
            try:
                futures[work.directory].result() if executor is not None else _train(work)
            except Exception as error:
                failures.append((configuration, error))
    except BaseException:  # Ctrl-C
        for future in futures.values():
            future.cancel()
        raise
    if failures:
        configuration, error = failures[0]
        raise SystemFailure(f"{len(failures)} of {len(works)} runs are not done, the first {configuration!r}: {error}; the same "
                            "call again goes on") from error
    return [TrainedRun(pathlib.Path(work.directory), *_kedge.run_status(work.directory)) for work in works]
