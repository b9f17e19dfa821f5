"""Tasks of kedge as environments of Gymnasium.

    import gymnasium, kedge.gym
    env = gymnasium.make("kedge/DoubleLink-v0")
    env = kedge.make("my_robot/task.toml")

The import registers the bundled tasks.
"""

import numpy as np

from ._packages import need

need("gymnasium", "kedge.gym")
import gymnasium  # noqa: E402
from gymnasium.utils import seeding  # noqa: E402
from gymnasium.vector import AutoresetMode, VectorEnv  # noqa: E402
from gymnasium.vector.utils import batch_space  # noqa: E402

from . import _kedge, _threads, load_task  # noqa: E402
from ._kedge import Task  # noqa: E402


def _spaces(task, observe_time):
    size = len(task.observation_names) + (1 if observe_time else 0)
    return (gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float64),
            gymnasium.spaces.Box(task.action_low, task.action_high, dtype=np.float64))


def _seed(random):
    """Draws the seed of a start."""
    return int(random.integers(2**63))


def _task(task, changes):
    """Loads a task, unless it is one."""
    if not isinstance(task, Task):
        return load_task(task, **changes)
    if changes:
        raise TypeError(f"a Task is as it was loaded; give {', '.join(changes)} to kedge.load_task")
    return task


class TaskEnv(gymnasium.Env):
    """A task of kedge. The reward is minus the cost of a step; the return of an episode is that of kedge for the same actions.

    task                what kedge.load_task takes, or a Task
    diverged_reward     of the step at which the simulation diverges, where kedge has no return
    observe_time        adds t / horizon, as costs of a task may depend on the step
    changes             of the task, as for load_task: horizon=50

    Actions are limited by the task. An episode ends (terminated) at the horizon, which is a part of the task, not a limit of
    patience; the cost of the final state is in the last reward. It also ends where the task says so ([[termination]], whose
    cost is in the reward), and where the simulation diverges. info has
    "success", the value of the task's measure, "diverged" and "why" at the end. reset(options={"state": x0}) begins at a
    state of your own.
    """

    metadata = {"render_modes": []}

    def __init__(self, task, diverged_reward=-1e6, observe_time=False, **changes):
        self.task = _task(task, changes)
        self.diverged_reward = float(diverged_reward)
        self.observe_time = observe_time
        self._episode = _kedge.Episode(self.task)
        self.observation_space, self.action_space = _spaces(self.task, observe_time)

    def _observation(self):
        s = self._episode.observation
        return np.append(s, self._episode.time / self.task.horizon) if self.observe_time else s

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        state = None if options is None else options.get("state")
        if state is None:
            self._episode.reset_to_start(_seed(self.np_random))
        else:
            self._episode.reset(np.asarray(state, float))
        return self._observation(), {}

    def step(self, action):
        episode = self._episode
        cost = episode.step(np.asarray(action, float))
        ended = not episode.goes_on
        if ended and not episode.diverged:
            cost += episode.finish()
        info = {}
        if ended:
            info = {"success": episode.success, "diverged": episode.diverged, "why": episode.why}
        reward = self.diverged_reward if episode.diverged else -cost
        return self._observation(), reward, ended, False, info


class TaskVectorEnv(VectorEnv):
    """Many episodes of a task at once, on kedge's threads: those of as many TaskEnv with the same seeds, to the last bit.

    An episode that has ended begins anew at the next step, with reward 0 (AutoresetMode.NEXT_STEP). Other arguments are
    those of TaskEnv. threads: default all cores; no number depends on it.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, task, num_envs=1, threads=None, diverged_reward=-1e6, observe_time=False, **changes):
        self.task = _task(task, changes)
        self.diverged_reward = float(diverged_reward)
        self.observe_time = observe_time
        self.num_envs = num_envs
        self._episodes = _kedge.Episodes(self.task, num_envs, _threads(threads))
        self.single_observation_space, self.single_action_space = _spaces(self.task, observe_time)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._randoms = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._begin = range(num_envs)  # the environments that begin at the next step
        self._rest = np.zeros((num_envs, len(self.task.action_names)))

    def _observed(self, observations):
        if not self.observe_time:
            return observations
        times = [self._episodes.time(i) / self.task.horizon for i in range(self.num_envs)]
        return np.column_stack([observations, times])

    def _advance(self, actions):
        seeds = []
        if self._begin:
            seeds = [None] * self.num_envs
            for i in self._begin:
                seeds[i] = _seed(self._randoms[i])
        result = self._episodes.advance(actions, seeds, self.diverged_reward)
        self._begin = ()
        return result

    def reset(self, *, seed=None, options=None):
        if options:
            raise ValueError("TaskVectorEnv.reset has no options; TaskEnv begins at a state of your own")
        seeds = [None if seed is None else seed + i for i in range(self.num_envs)] if seed is None or isinstance(
            seed, (int, np.integer)) else seed
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        for i, own in enumerate(seeds):
            if own is not None:
                self._randoms[i] = seeding.np_random(int(own))[0]
        self._begin = range(self.num_envs)
        observations, *_ = self._advance(self._rest)
        return self._observed(observations), {}

    def step(self, actions):
        observations, rewards, ended, any_ended = self._advance(np.asarray(actions, float))
        infos = {}
        if any_ended:
            self._begin = np.flatnonzero(ended).tolist()
            for i in self._begin:
                info = {"success": self._episodes.success(i), "diverged": self._episodes.diverged(i), "why": self._episodes.why(i)}
                infos = self._add_info(infos, info, i)
        return self._observed(observations), rewards, ended, np.zeros(self.num_envs, bool), infos


def environment_id(task):
    """Returns the id of a bundled task's environment: double_link is kedge/DoubleLink-v0."""
    return "kedge/" + "".join(word.capitalize() for word in task.split("_")) + "-v0"


def _register(environment, task):
    gymnasium.register(id=environment, entry_point="kedge.gym:TaskEnv", vector_entry_point="kedge.gym:TaskVectorEnv",
                       kwargs={"task": task})


for _name in _kedge.task_names():
    _register(environment_id(_name), _name)
for _name in ("double_link", "quad_link"):  # as the papers call them
    if _name in _kedge.task_names():
        _register(environment_id(_name + "_swing_up"), _name)
