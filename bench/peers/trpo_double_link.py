"""TRPO of sb3-contrib on kedge's double link, to compare kedge's with. Run by hand; it fetches nothing.

    python3 -m venv venv && venv/bin/pip install "gymnasium[mujoco]" sb3-contrib     # brings torch
    venv/bin/python bench/peers/trpo_double_link.py --out sb3.csv --seeds 5 --first-seed 100
    for s in 100 101 102 103 104; do
      kedge train double_link --algorithm trpo --seed $s --threads 1 --out runs/peer-s$s --set iterations=300 ...
    done

The environment is tasks/double_link: the same model, start, sub-steps, costs and horizon, rewards divided by 1e4, the time t / T
as the last observation. An action is in units of the first standard deviation, as in kedge, so that both begin alike. Options are
those of kedge's defaults (docs/algorithms/trpo.md), which are openai/baselines'.
"""

import argparse
import csv
import math
import pathlib
import time

import gymnasium
import mujoco
import numpy as np
import torch
from sb3_contrib import TRPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

HORIZON, SUBSTEPS, CONTROL_STEP, LIMIT, REWARD_SCALE = 100, 2, 0.05, 25.0, 1e-4
MODEL = pathlib.Path(__file__).resolve().parents[2] / "tasks/double_link/double_link.xml"


class DoubleLink(gymnasium.Env):
    def __init__(self, unit):
        self.model = mujoco.MjModel.from_xml_path(str(MODEL))
        self.model.opt.timestep = CONTROL_STEP / SUBSTEPS
        self.data = mujoco.MjData(self.model)
        self.unit = unit
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (5,))
        self.action_space = gymnasium.spaces.Box(-1e6, 1e6, (2,))  # never cut: torque beyond the limit costs
        self.t = 0

    def observe(self):
        return np.concatenate([self.data.qpos, self.data.qvel, [self.t / HORIZON]]).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = np.array([math.pi, 0.0]) + 0.01 * self.np_random.standard_normal(2)
        self.data.qvel[:] = 0.01 * self.np_random.standard_normal(2)
        self.t = 0
        return self.observe(), {}

    def state_cost(self):
        return 1e4 * np.sum(self.data.qpos**2) + np.sum(self.data.qvel**2)

    def step(self, action):
        torque = self.unit * np.asarray(action, dtype=float)
        cost = np.sum(torque**2)
        if self.t >= HORIZON - 20:
            cost += self.state_cost()
        self.data.ctrl[:] = np.clip(torque, -LIMIT, LIMIT)
        for _ in range(SUBSTEPS):
            mujoco.mj_step(self.model, self.data)
        self.t += 1
        ended = self.t == HORIZON
        return self.observe(), -REWARD_SCALE * cost, ended, False, {}


class Curve(BaseCallback):
    """A row for each batch: the mean return of the episodes that ended in it."""

    def __init__(self, seed, file, writer):
        super().__init__()
        self.seed, self.file, self.writer, self.begin = seed, file, writer, time.process_time()
        self.returns, self.rollouts = [], 0

    def _on_step(self):
        for info in self.locals["infos"]:
            if "episode" in info:
                self.returns.append(info["episode"]["r"] / REWARD_SCALE)
        return True

    def _on_rollout_end(self):
        self.rollouts += len(self.returns)
        self.writer.writerow([self.seed, self.num_timesteps, self.rollouts, np.mean(self.returns),
                              np.median(self.returns), round(time.process_time() - self.begin, 2)])
        self.returns = []
        self.file.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--initial-std", type=float, default=3.0)
    a = parser.parse_args()
    torch.set_num_threads(1)
    with open(a.out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "steps", "rollouts", "return_mean", "return_median", "cpu_seconds"])
        for seed in range(a.first_seed, a.first_seed + a.seeds):
            environment = VecNormalize(DummyVecEnv([lambda: Monitor(DoubleLink(a.initial_std))]), norm_reward=False,
                                       clip_obs=5.0)
            model = TRPO("MlpPolicy", environment, n_steps=1024, batch_size=64, learning_rate=1e-3, gamma=0.99,
                         gae_lambda=0.98, target_kl=a.epsilon, cg_max_steps=10, cg_damping=0.1, n_critic_updates=5,
                         sub_sampling_factor=5, line_search_max_iter=10, seed=seed, device="cpu",
                         policy_kwargs={"net_arch": [32, 32], "activation_fn": torch.nn.Tanh, "log_std_init": 0.0})
            model.learn(1024 * a.iterations, callback=Curve(seed, file, writer))


if __name__ == "__main__":
    main()
