"""kedge: trajectory-centric policy search for simulated robots.

    task = kedge.Task.load("double_link")
    run = kedge.train(task, "moto", seed=1, epsilon=0.05, callback=lambda it: print(it.return_median))
    action = run.policy(observation, t)
    run.evaluate(deterministic=True)

Numbers are those of the program `kedge` with the same task, options and seed, to the last bit.
"""

import json as _json
import os as _os
import re as _re
from collections.abc import Callable as _Callable
from types import FunctionType as _FunctionType
from typing import Optional as _Optional, Union as _Union

import numpy as _np

from . import _kedge
from ._kedge import Evaluation, InputError, Iteration, Policy, Run, SystemFailure, Task, __version__
from ._many import TrainedRun, train_many
from ._options import changes as _changes, settings as _settings, trainer as _trainer
from ._systems import from_function as _from_function, from_gymnasium as _from_gymnasium, with_cost as _with_cost

# What an installed wheel has inside. The program finds the same by its own place.
_here = _os.path.dirname(__file__)
_shared = _os.path.join(_here, "share", "kedge")
for _variable, _folder in (("KEDGE_TASKS", "tasks"), ("KEDGE_EXPERIMENTS", "experiments")):
    if _variable not in _os.environ and _os.path.isdir(_os.path.join(_shared, _folder)):
        _os.environ[_variable] = _os.path.join(_shared, _folder)

_of_model = _os.path.join(_here, "of_model.toml")


def _threads(threads):
    return len(_os.sched_getaffinity(0)) if threads is None else threads


def load_task(name_or_path: _Union[str, _os.PathLike], **changes) -> Task:
    """Returns a task: the name of a bundled one, a task file, or a folder with a task.toml.

    Keyword arguments change keys of the file: horizon=50, actions={"limit": 10.0}.
    Raises InputError that names file, line and column.
    """
    return _kedge.load_task(_os.fspath(name_or_path), _changes(changes))


def from_mjcf(model: _Union[str, _os.PathLike], *, horizon: int, control_step: float, cost, final=None, name: _Optional[str] = None,
              **keys) -> Task:
    """Returns the task of a MuJoCo model without a task file.

    model         path of an MJCF or URDF file
    horizon       control steps
    control_step  seconds
    cost          [[cost]] of a task file: [{"name": "effort", "of": "action", "weight": 0.01}, ...], or a function
                  cost(x, u, y); then final(x, y) may be one, too: Task.with_cost
    name          default: that of the file
    keys          every other key of a task file: actions={"limit": 10.0}, start={"qpos_spread": 0.1}

    Raises InputError.
    """
    path = _os.path.abspath(_os.fspath(model))
    if name is None:
        name = _re.sub(r"^(?=[^A-Za-z])", "model_", _re.sub(r"\W", "_", _os.path.splitext(_os.path.basename(path))[0], flags=_re.ASCII))
    declared = [{"name": "none", "of": "action"}] if callable(cost) else cost
    task = load_task(_of_model, name=name, model=path, horizon=horizon, control_step=control_step, cost=declared, **keys)
    return _with_cost(task, cost, final) if callable(cost) else task


def train(task: _Union[Task, str, _os.PathLike], algorithm: str = "moto", seed: int = 1, *, threads: _Optional[int] = None,
          out: _Union[str, _os.PathLike, None] = None, force: bool = False, callback: _Optional[_Callable[[Iteration], object]] = None,
          **options) -> Run:
    """Learns a policy and returns the run.

    task       a Task, or what load_task takes
    algorithm  a name of kedge.algorithms(); kedge.moto(task, ...) and so on are the same with their options in the signature
    seed       of all random numbers
    threads    default: all cores; no result depends on it
    out        directory of a run to write, as `kedge train --out` does; None: nothing is written
    force      replaces a run that is there
    callback   called with each completed Iteration; what it raises ends the training and is raised here
    options    of the algorithm: kedge.options(algorithm); lambda is lambda_. Those in <algorithm>.toml beside the task file are the defaults.

    The GIL is released. Ctrl-C raises KeyboardInterrupt within about a second; a run in a directory can be resumed.
    Raises InputError before work starts. A numerical failure is a result: run.stop, run.message.
    """
    if not isinstance(task, Task):
        task = load_task(task)
    directory = None if out is None else _os.fspath(out)
    return _kedge.train(task, algorithm, seed, _settings(options), _threads(threads), directory, force, callback)


def resume(directory: _Union[str, _os.PathLike], iterations: _Optional[int] = None, *, threads: _Optional[int] = None,
           callback: _Optional[_Callable[[Iteration], object]] = None) -> Run:
    """Continues a run that was interrupted, or a finished one up to `iterations`, as `kedge resume` does. Returns the run.

    Its history begins where it was continued; its task is the run's own copy, without option files beside it. The other
    arguments are those of kedge.train.
    """
    return _kedge.resume(_os.fspath(directory), iterations, _threads(threads), callback)


def evaluate(task: _Union[Task, str, _os.PathLike], policy: _Union[Policy, str, _os.PathLike], rollouts: int = 100, *,
             deterministic: _Optional[bool] = None, seed: int = 1, threads: _Optional[int] = None) -> Evaluation:
    """Runs a policy on a task and summarises the rollouts, as `kedge evaluate` does with the same seed.

    task           a Task, or what load_task takes
    policy         a Policy, or what load_policy takes
    deterministic  the mean action; default: only where the policy's noise is a by-product (of ilqr)
    """
    if not isinstance(task, Task):
        task = load_task(task)
    if not isinstance(policy, Policy):
        policy = load_policy(policy)
    return _kedge.evaluate(task, policy, rollouts, deterministic, seed, _threads(threads))


def load_policy(policy_or_run: _Union[str, _os.PathLike]) -> Policy:
    """Returns the policy of a file policy.h5 or of a run's directory."""
    return _kedge.load_policy(_os.fspath(policy_or_run))


def tasks() -> list[str]:
    """Returns the names of the bundled tasks."""
    return _kedge.task_names()


def algorithms() -> dict[str, str]:
    """Returns the algorithms, {name: summary}."""
    return dict(_kedge.algorithms())


def options(algorithm: str) -> list[dict[str, str]]:
    """Returns the options of an algorithm: dictionaries with name, default, allowed, unit, meaning and source."""
    return _kedge.options(algorithm)


def make(task, **arguments):
    """Returns a Gymnasium environment of a task: kedge.gym.TaskEnv."""
    from .gym import TaskEnv

    return TaskEnv(task, **arguments)


def _run_evaluate(self, rollouts: int = 100, **arguments) -> Evaluation:
    """Runs the policy of the run on its task: kedge.evaluate."""
    return evaluate(self.task, self.policy, rollouts, **arguments)


def _run_metrics(self) -> dict[str, _np.ndarray]:
    """The metrics of all iterations, {name: array}: what metrics.csv holds."""
    names = list(self.history[0].metrics) if self.history else []
    return {name: _np.array([i.metrics[name] for i in self.history]) for name in names}


def _policy_call(self, observation, t: int = 0) -> _np.ndarray:
    """Returns the mean action [da] at step t, before limits. observation: [ds], an array or a list."""
    return self.mean(_np.asarray(observation, float), t)


def _policy_predict(self, observation, state=None, episode_start=None, deterministic: bool = True,
                    rng: _Optional[_np.random.Generator] = None) -> tuple[_np.ndarray, _np.ndarray]:
    """Returns actions within their limits, and the next state, as a model of Stable-Baselines3 does.

    observation    [ds], or [n, ds] of n environments
    state          None at the beginning, then what the call before returned: the step t of each environment
    episode_start  [n] true where an episode begins: t is 0 there
    deterministic  False: with exploration noise, drawn with `rng`, a numpy.random.Generator
    """
    observation = _np.asarray(observation, float)
    many = _np.atleast_2d(observation)
    t = _np.zeros(len(many), int) if state is None else _np.array(state, int).reshape(len(many))
    if episode_start is not None:
        t[_np.asarray(episode_start, bool).reshape(len(many))] = 0
    if deterministic:
        action = [self(s, int(n)) for s, n in zip(many, t)]
    else:
        if rng is None:
            raise InputError("predict: deterministic = False, so rng must be a numpy.random.Generator")
        action = [self.sample(s, int(n), seed=int(rng.integers(2**63))) for s, n in zip(many, t)]
    action = _np.array(action)
    if self.action_low.size:
        action = _np.clip(action, self.action_low, self.action_high)
    return (action, t + 1) if observation.ndim > 1 else (action[0], t + 1)


def _policy_data(self) -> dict:
    """The contents of policy.h5, {name: value}, numbers as arrays; infinite limits are NaN."""
    with_arrays = {}
    for name, value in _json.loads(self.export_text("json")).items():
        is_numbers = isinstance(value, list) and not any(isinstance(entry, str) for entry in value)
        with_arrays[name] = _np.array(value, float) if is_numbers else value
    return with_arrays


def _task_repr(self) -> str:
    return (f"<kedge.Task {self.name}: {self.horizon} steps of {self.control_step} s, {len(self.observation_names)} "
            f"observations, {len(self.action_names)} actions>")


def _loaded(source, changed):
    return _kedge.load_task(source, changed)


def _task_reduce(self):
    """For pickle: a Task goes to another process as its file and what was changed."""
    if not self.source:
        raise InputError(f"task {self.name}: a part of it is written in Python, so it cannot go to another process")
    bundled = self.source in _kedge.task_names()
    return _loaded, (self.source if bundled else _os.path.abspath(self.source), self.changes)


def _policy_repr(self) -> str:
    return f"<kedge.Policy {self.kind}: {self.observation_dim} observations, {self.action_dim} actions>"


def _run_repr(self) -> str:
    return f"<kedge.Run of {self.algorithm} on {self.task.name}, seed {self.seed}: {self.iterations} iterations, {self.stop}>"


def _add(of, kind=None, **methods):
    """Adds functions to a class of _kedge as methods of its own, which is how type stubs find them. kind: staticmethod, property."""
    for name, function in methods.items():
        own = _FunctionType(function.__code__, function.__globals__, name, function.__defaults__, function.__closure__)
        own.__kwdefaults__, own.__annotations__, own.__doc__ = function.__kwdefaults__, function.__annotations__, function.__doc__
        own.__module__, own.__qualname__ = of.__module__, f"{of.__name__}.{name}"
        setattr(of, name, kind(own) if kind else own)


_add(Task, __repr__=_task_repr, __reduce__=_task_reduce, with_cost=_with_cost)
_add(Task, staticmethod, load=load_task, from_file=load_task, from_mjcf=from_mjcf, from_function=_from_function,
     from_gymnasium=_from_gymnasium)
_add(Run, __repr__=_run_repr, evaluate=_run_evaluate)
_add(Run, property, metrics=_run_metrics)
_add(Policy, __repr__=_policy_repr, __call__=_policy_call, predict=_policy_predict)
_add(Policy, property, data=_policy_data)

for _name, _summary in _kedge.algorithms():
    globals()[_name] = _trainer(_name, _summary, _kedge.options(_name), train)

__all__ = ["Evaluation", "InputError", "Iteration", "Policy", "Run", "SystemFailure", "Task", "TrainedRun", "algorithms",
           "evaluate", "load_policy", "load_task", "make", "options", "resume", "tasks", "train", "train_many", *algorithms()]
