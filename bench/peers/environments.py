"""kedge's double link and walker as Gymnasium environments: the models, starts, sub-steps, costs, limits and horizons of tasks/.

An action is in units of the first standard deviation, as in kedge, so that both programs begin alike. Rewards have a factor,
kedge's option reward_scale.
"""

import math
import pathlib

import gymnasium
import mujoco
import numpy as np

TASKS = pathlib.Path(__file__).resolve().parents[2] / "tasks"


class Robot(gymnasium.Env):
    """A model that makes `substeps` steps in a control step; T control steps are an episode."""

    def __init__(self, model, horizon, control_step, substeps, limit, start, spread, unit, scale, observed, clock):
        self.model = mujoco.MjModel.from_xml_path(str(TASKS / model))
        self.model.opt.timestep = control_step / substeps
        self.data = mujoco.MjData(self.model)
        self.horizon, self.substeps, self.limit = horizon, substeps, limit
        self.start, self.spread, self.unit, self.scale = start, spread, unit, scale
        self.observed, self.clock = observed, clock
        size = len(self.observed) + (1 if clock else 0)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,))
        self.action_space = gymnasium.spaces.Box(-1e6, 1e6, (self.model.nu,))  # never cut: the limits are the motors'
        self.t = 0

    def state(self):
        return np.concatenate([self.data.qpos, self.data.qvel])

    def observe(self):
        seen = self.state()[self.observed]
        return np.append(seen, self.t / self.horizon).astype(np.float32) if self.clock else seen.astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        state = self.start + self.spread * self.np_random.standard_normal(len(self.start))
        self.data.qpos[:], self.data.qvel[:] = np.split(state, [self.model.nq])
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        action = self.unit * np.asarray(action, dtype=float)
        control = np.clip(action, -self.limit, self.limit)
        cost = self.cost(action, control)
        self.data.ctrl[:] = control
        mujoco.mj_step(self.model, self.data, self.substeps)
        self.t += 1
        ended = self.t == self.horizon
        if ended:
            cost += self.final_cost()
        return self.observe(), -self.scale * cost, ended, False, {}


class DoubleLink(Robot):
    def __init__(self, unit=3.0, scale=1e-4):
        super().__init__("double_link/double_link.xml", horizon=100, control_step=0.05, substeps=2, limit=25.0,
                         start=np.array([math.pi, 0.0, 0.0, 0.0]), spread=0.01, unit=unit, scale=scale,
                         observed=np.arange(4), clock=True)

    def cost(self, action, control):
        cost = np.sum(action**2)
        if self.t >= self.horizon - 20:
            cost += 1e4 * np.sum(self.data.qpos**2) + np.sum(self.data.qvel**2)
        return cost

    def final_cost(self):
        return 0.0


class Walker(Robot):
    """@param start [qpos, qvel], the first state of the task's demonstration: `kedge demonstrate walker -o walk.h5`, "state" """

    def __init__(self, start, unit=5.0, scale=1e-3):
        super().__init__("walker/walker.xml", horizon=300, control_step=0.01, substeps=2, limit=150.0, start=start,
                         spread=np.repeat([1e-3, 1e-2], 9), unit=unit, scale=scale, observed=np.arange(1, 18),
                         clock=True)

    def cost(self, action, control):
        return (1e-4 * np.sum(control**2) + (self.data.qvel[0] - 1.3)**2 + (self.data.qpos[1] - 0.91)**2)

    def final_cost(self):
        return 100 * (self.data.qpos[1] - 0.91)**2 + 10 * self.data.qpos[2]**2
