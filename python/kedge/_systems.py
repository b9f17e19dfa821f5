"""Tasks of which a part is written in Python: a system, a cost, or an environment of Gymnasium.

Each control step takes the interpreter, which one thread at a time has: ten to a thousand times slower than a task file,
whatever `threads` is.
"""

import math
from typing import Optional

import numpy as np

from . import _kedge
from ._kedge import InputError, Task
from ._packages import need


def _numbers(value, size, what):
    """Returns `size` finite numbers; one number stands for all of them."""
    array = np.asarray(value, float)
    array = np.full(size, float(array)) if array.ndim == 0 else array.copy()
    if array.shape != (size,) or not np.isfinite(array).all():
        raise InputError(f"{what}: must be {size} finite numbers, but is {value!r}")
    return array


def _limits(actions):
    low, high = (np.atleast_1d(np.asarray(limit, float)) for limit in actions)
    if low.ndim != 1 or low.shape != high.shape:
        raise InputError(f"actions: must be (low, high), numbers or arrays [da] of one size, but is {actions!r}")
    return low, high


def _words(name, summary, horizon, control_step, low, high):
    words = _kedge.TaskWords()
    words.name, words.summary = str(name), str(summary)
    words.horizon, words.control_step = int(horizon), float(control_step)
    words.action_low, words.action_high = low, high
    words.action_names = [f"action[{i}]" for i in range(len(low))]
    return words


class FunctionSystem:
    """x' = f(x, u) and its costs, as PySystem (python/systems.h) asks for them."""

    def __init__(self, step, final):
        self.function, self.final_cost, self.x = step, final, None

    def clone(self):
        return FunctionSystem(self.function, self.final_cost)

    def reset(self, x):
        self.x = x
        return x

    def step(self, u):
        after, cost = self.function(self.x.copy(), u)
        self.x = np.array(after, float)
        return self.x, cost

    def final(self):
        return 0.0 if self.final_cost is None else self.final_cost(self.x.copy())


def from_function(step, *, start, actions, horizon: int, start_spread=0.0, final=None, control_step: float = 1.0,
                  observation_names=None, name: str = "function", summary: str = "") -> Task:
    """Returns a task whose system is a function of Python.

    step               step(x, u) -> (x', cost): the state [nx] after a control step, and what the step costs, >= 0. It depends
                       on its arguments only; several threads call it, one at a time
    start              [nx] mean of the initial state
    actions            (low, high), the limits of the action: numbers, or arrays [da]
    horizon            control steps
    start_spread       standard deviation of the initial state: a number, or [nx]
    final              final(x) -> cost >= 0 of the last state
    control_step       seconds
    observation_names  [nx]; the policy sees the whole state

    What `step` and `final` raise ends the work and is raised from it; what is not finite is a divergence. Algorithms that need
    derivatives (ilqr, vgps, ...) are refused. Slow: each step takes the interpreter. Raises InputError.
    """
    x0 = np.atleast_1d(np.asarray(start, float))
    low, high = _limits(actions)
    words = _words(name, summary, horizon, control_step, low, high)
    words.has_final = final is not None
    words.start_mean = _numbers(x0, len(x0), "start")
    words.start_spread = _numbers(start_spread, len(x0), "start_spread")
    words.observation = list(range(len(x0)))
    words.observation_names = list(observation_names or (f"x[{i}]" for i in words.observation))
    if len(words.observation_names) != len(x0):
        raise InputError(f"observation_names: must be {len(x0)} names, but are {len(words.observation_names)}")
    return _kedge.python_task(words, FunctionSystem(step, final), "a function of Python gives none of its system")


def with_cost(self, cost, final=None) -> Task:
    """Returns the task with its costs replaced by functions of Python.

    cost   cost(x, u, y) -> what a control step costs, >= 0: of the state [nx] before it, the controls [nu] within their limits
           and the sensors [nsensor] of the model
    final  final(x, y) -> what the last state costs, >= 0

    What was said of from_function holds. The simulation itself is as fast as it was. Option files beside the task are not read.
    """
    return _kedge.with_cost(self, cost, final)


class GymnasiumSystem:
    """An environment of Gymnasium as PySystem (python/systems.h) asks for it.

    x is [seed, step, ended, observation]. An episode begins at [seed, 0, ...], which env.reset(seed=seed) makes the start.
    """

    SEED, STEP, ENDED, OBSERVATION = 0, 1, 2, 3

    def __init__(self, make, reset_options, reward_max, ends, idle):
        self.make, self.reset_options, self.reward_max, self.ends, self.idle = make, reset_options, reward_max, ends, idle
        self.env = idle.pop() if idle else make()
        self.x = None

    def __del__(self):
        if hasattr(self, "env"):
            self.idle.append(self.env)  # for the next clone: to make one takes longer than an episode

    def clone(self):
        return GymnasiumSystem(self.make, self.reset_options, self.reward_max, self.ends, self.idle)

    def state(self, seed, step, ended, observation):
        return np.concatenate([[seed, step, ended], np.asarray(observation, float)])

    def reset(self, x):
        if x[self.STEP] == 0:
            seed = math.floor(x[self.SEED])
            self.x = self.state(seed, 0, 0, self.env.reset(seed=seed, options=self.reset_options)[0])
        elif self.x is None or not np.array_equal(x, self.x):
            raise InputError("an environment of Gymnasium begins at its reset() only, and must do the same again for the same "
                             f"seed and actions; it is at {self.x}, but {x} was asked for")
        return self.x

    def step(self, u):
        space = self.env.action_space
        observation, reward, terminated, truncated, _ = self.env.step(u.astype(space.dtype))
        if reward > self.reward_max:
            raise InputError(f"reward = {reward}, but reward_max = {self.reward_max}; raise it")
        if truncated or (terminated and not self.ends):
            raise InputError(f"an episode ended early ({'truncated' if truncated else 'terminated'}) although ends = {self.ends}")
        self.x = self.state(self.x[self.SEED], self.x[self.STEP] + 1, terminated, observation)
        return self.x, self.reward_max - reward

    def final(self):
        return 0.0


def from_gymnasium(env, *, reward_max: float, horizon: Optional[int] = None, ends: bool = True,
                   reset_options: Optional[dict] = None, **arguments) -> Task:
    """Returns the task of an environment of Gymnasium with continuous observations and actions.

    env            an id, "Hopper-v5", or a function that makes an environment
    reward_max     the largest reward of a step: a step costs reward_max - reward, as costs are >= 0. The return of an episode
                   is Gymnasium's minus horizon * reward_max. A larger reward ends the work with InputError
    horizon        control steps; default: the limit of the id, which is not applied otherwise
    ends           False: its episodes never end early (terminated). Then every algorithm that needs rollouts only learns it;
                   else those that learn from episodes that end (trpo, reps, more, random_search)
    reset_options  of every reset: {"x_init": 0.3, "y_init": 0.1}, a pendulum that begins near the top
    arguments      of gymnasium.make: terminate_when_unhealthy=False

    Episodes are the environment's own, bit for bit: reset(seed) with a seed that is drawn, step, reward. Algorithms that need
    derivatives (ilqr, vgps, ...) are refused. Slow: each step is one of Gymnasium's, one at a time. Raises InputError.
    """
    need("gymnasium", "kedge.Task.from_gymnasium")
    import gymnasium

    def make():
        if callable(env):
            return env(**arguments)
        return gymnasium.make(env, disable_env_checker=True, max_episode_steps=-1, **arguments)

    name = getattr(env, "__name__", str(env))
    if horizon is None:
        horizon = None if callable(env) else gymnasium.spec(env).max_episode_steps
        if horizon is None:
            raise InputError(f"{name}: has no limit of steps, so horizon must be given")
    if not math.isfinite(reward_max) or (ends and reward_max < 0):
        rule = "a finite number, >= 0 where episodes can end early (ends = True)" if ends else "a finite number"
        raise InputError(f"reward_max = {reward_max}, but must be {rule}")
    system = GymnasiumSystem(make, reset_options, float(reward_max), bool(ends), [])
    seen, done = system.env.observation_space, system.env.action_space
    for what, space in (("observations", seen), ("actions", done)):
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise InputError(f"{name}: its {what} are {space}, but must be a Box of one dimension")
    words = _words(name, f"{name} of Gymnasium", horizon, getattr(system.env.unwrapped, "dt", 1.0), np.asarray(done.low, float),
                   np.asarray(done.high, float))
    begin, size = GymnasiumSystem.OBSERVATION, seen.shape[0]
    words.start_mean, words.start_spread = np.zeros(begin + size), np.zeros(begin + size)
    words.start_mean[GymnasiumSystem.SEED] = words.start_spread[GymnasiumSystem.SEED] = 2.0**30  # seeds in [0, 2^31)
    words.uniform_start = True
    words.observation = list(range(begin, begin + size))
    words.observation_names = [f"observation[{i}]" for i in range(size)]
    if ends:
        words.ended, words.missing_step = GymnasiumSystem.ENDED, float(reward_max)
    return _kedge.python_task(words, system, "an environment of Gymnasium has none")
