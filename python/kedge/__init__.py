"""kedge: trajectory-centric policy search for simulated robots.

    task = kedge.Task.load("double_link")
    run = kedge.train(task, "moto", seed=1, epsilon=0.05, callback=lambda it: print(it.return_median))
    action = run.policy(observation, t)
    run.evaluate(deterministic=True)

Numbers are those of the program `kedge` with the same task, options and seed, to the last bit.
"""

import json as _json
import os as _os

import numpy as _np

from . import _kedge
from ._kedge import Evaluation, InputError, Iteration, Policy, Run, SystemFailure, Task, __version__
from ._options import changes as _changes, settings as _settings, trainer as _trainer

# What an installed wheel has inside. The program finds the same by its own place.
_shared = _os.path.join(_os.path.dirname(__file__), "share", "kedge")
for _variable, _folder in (("KEDGE_TASKS", "tasks"), ("KEDGE_EXPERIMENTS", "experiments")):
    if _variable not in _os.environ and _os.path.isdir(_os.path.join(_shared, _folder)):
        _os.environ[_variable] = _os.path.join(_shared, _folder)


def _threads(threads):
    return len(_os.sched_getaffinity(0)) if threads is None else threads


def load_task(name_or_path, **changes):
    """Returns a task: the name of a bundled one, a task file, or a folder with a task.toml.

    Keyword arguments change keys of the file: horizon=50, actions={"limit": 10.0}.
    Raises InputError that names file, line and column.
    """
    return _kedge.load_task(_os.fspath(name_or_path), _changes(changes))


def train(task, algorithm="moto", seed=1, *, threads=None, out=None, force=False, callback=None, **options):
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


def resume(directory, iterations=None, *, threads=None, callback=None):
    """Continues a run that was interrupted, or a finished one up to `iterations`, as `kedge resume` does. Returns the run.

    Its history begins where it was continued; its task is the run's own copy, without option files beside it. The other
    arguments are those of kedge.train.
    """
    return _kedge.resume(_os.fspath(directory), iterations, _threads(threads), callback)


def evaluate(task, policy, rollouts=100, *, deterministic=None, seed=1, threads=None):
    """Runs a policy on a task and summarises the rollouts, as `kedge evaluate` does with the same seed.

    deterministic  the mean action; default: only where the policy's noise is a by-product (of ilqr)
    """
    return _kedge.evaluate(task, policy, rollouts, deterministic, seed, _threads(threads))


def load_policy(policy_or_run):
    """Returns the policy of a file policy.h5 or of a run's directory."""
    return _kedge.load_policy(_os.fspath(policy_or_run))


def tasks():
    """Returns the names of the bundled tasks."""
    return _kedge.task_names()


def algorithms():
    """Returns the algorithms, {name: summary}."""
    return dict(_kedge.algorithms())


def options(algorithm):
    """Returns the options of an algorithm: dictionaries with name, default, allowed, unit, meaning and source."""
    return _kedge.options(algorithm)


def make(task, **arguments):
    """Returns a Gymnasium environment of a task: kedge.gym.TaskEnv."""
    from .gym import TaskEnv

    return TaskEnv(task, **arguments)


def _run_evaluate(self, rollouts=100, **arguments):
    """Runs the policy of the run on its task: kedge.evaluate."""
    return evaluate(self.task, self.policy, rollouts, **arguments)


def _run_metrics(self):
    """The metrics of all iterations, {name: array}: what metrics.csv holds."""
    names = list(self.history[0].metrics) if self.history else []
    return {name: _np.array([i.metrics[name] for i in self.history]) for name in names}


def _policy_call(self, observation, t=0):
    """Returns the mean action [da] at step t, before limits. observation: [ds], an array or a list."""
    return self.mean(_np.asarray(observation, float), t)


def _policy_predict(self, observation, state=None, episode_start=None, deterministic=True, rng=None):
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
        action = [self.sample(s, int(n), int(rng.integers(2**63))) for s, n in zip(many, t)]
    action = _np.array(action)
    if self.action_low.size:
        action = _np.clip(action, self.action_low, self.action_high)
    return (action, t + 1) if observation.ndim > 1 else (action[0], t + 1)


def _policy_data(self):
    """The contents of policy.h5, {name: value}, numbers as arrays; infinite limits are NaN."""
    with_arrays = {}
    for name, value in _json.loads(self.export_text("json")).items():
        is_numbers = isinstance(value, list) and not any(isinstance(entry, str) for entry in value)
        with_arrays[name] = _np.array(value, float) if is_numbers else value
    return with_arrays


def _task_repr(self):
    return (f"<kedge.Task {self.name}: {self.horizon} steps of {self.control_step} s, {len(self.observation_names)} "
            f"observations, {len(self.action_names)} actions>")


def _policy_repr(self):
    return f"<kedge.Policy {self.kind}: {self.observation_dim} observations, {self.action_dim} actions>"


def _run_repr(self):
    return f"<kedge.Run of {self.algorithm} on {self.task.name}, seed {self.seed}: {self.iterations} iterations, {self.stop}>"


Run.evaluate = _run_evaluate
Run.__repr__ = _run_repr
Task.__repr__ = _task_repr
Policy.__call__ = _policy_call
Policy.__repr__ = _policy_repr
Run.metrics = property(_run_metrics)
Policy.predict = _policy_predict
Policy.data = property(_policy_data)
Task.load = staticmethod(load_task)
Task.from_file = staticmethod(load_task)

for _name, _summary in _kedge.algorithms():
    globals()[_name] = _trainer(_name, _summary, _kedge.options(_name), train)

__all__ = ["Evaluation", "InputError", "Iteration", "Policy", "Run", "SystemFailure", "Task", "algorithms", "evaluate",
           "load_policy", "load_task", "make", "options", "resume", "tasks", "train", *algorithms()]
