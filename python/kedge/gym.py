"""Tasks of kedge as environments of Gymnasium.

    import gymnasium, kedge.gym
    env = gymnasium.make("kedge/DoubleLink-v0")
    env = kedge.make("my_robot/task.toml")

The import registers the bundled tasks.
"""

import gymnasium
import numpy as np

from . import _kedge, load_task
from ._kedge import Task


class TaskEnv(gymnasium.Env):
    """A task of kedge. The reward is minus the cost of a step; the return of an episode is that of kedge for the same actions.

    task                what kedge.load_task takes, or a Task
    diverged_reward     of the step at which the simulation diverges, where kedge has no return
    observe_time        adds t / horizon, as costs of a task may depend on the step
    changes             of the task, as for load_task: horizon=50

    Actions are limited by the task. An episode ends (terminated) at the horizon, which is a part of the task, not a limit of
    patience; the cost of the final state is in the last reward. It also ends where the simulation diverges. info has
    "success", the value of the task's measure, "diverged" and "why" at the end. reset(options={"state": x0}) begins at a
    state of your own.
    """

    metadata = {"render_modes": []}

    def __init__(self, task, diverged_reward=-1e6, observe_time=False, **changes):
        self.task = task if isinstance(task, Task) else load_task(task, **changes)
        self.diverged_reward = float(diverged_reward)
        self.observe_time = observe_time
        self._episode = _kedge.Episode(self.task)
        size = len(self.task.observation_names) + (1 if observe_time else 0)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float64)
        self.action_space = gymnasium.spaces.Box(self.task.action_low, self.task.action_high, dtype=np.float64)

    def _observation(self):
        s = self._episode.observation
        return np.append(s, self._episode.time / self.task.horizon) if self.observe_time else s

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        state = None if options is None else options.get("state")
        if state is None:
            self._episode.reset_to_start(int(self.np_random.integers(2**63)))
        else:
            self._episode.reset(np.asarray(state, float))
        return self._observation(), {}

    def step(self, action):
        episode = self._episode
        cost = episode.step(np.asarray(action, float))
        ended = episode.time == self.task.horizon
        if ended and not episode.diverged:
            cost += episode.finish()
        info = {}
        if ended or episode.diverged:
            info = {"success": episode.success, "diverged": episode.diverged, "why": episode.why}
        reward = self.diverged_reward if episode.diverged else -cost
        return self._observation(), reward, bool(ended or episode.diverged), False, info


def environment_id(task):
    """Returns the id of a bundled task's environment: double_link is kedge/DoubleLink-v0."""
    return "kedge/" + "".join(word.capitalize() for word in task.split("_")) + "-v0"


for _task in _kedge.task_names():
    gymnasium.register(id=environment_id(_task), entry_point="kedge.gym:TaskEnv", kwargs={"task": _task})
