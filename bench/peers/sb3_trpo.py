"""sb3-contrib's TRPO with the options of kedge's default variant (docs/algorithms/trpo.md), which are openai/baselines'.

Where the two programs name different things: sb3's surrogate is the mean over each `sub_sampling_factor`-th sample, kedge's over
all; so that is 1 here, the better one. sb3's step length has the damping in it, kedge's has not.
"""

import torch
from sb3_contrib import TRPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize


def make_trpo(environment, seed, hidden=32, batch_steps=1024, epsilon=0.1):
    """Returns the model, with normalised observations. @param environment a function that makes one"""
    torch.set_num_threads(1)
    vector = VecNormalize(DummyVecEnv([lambda: Monitor(environment())]), norm_reward=False, clip_obs=5.0)
    return TRPO("MlpPolicy", vector, n_steps=batch_steps, batch_size=64, learning_rate=1e-3, gamma=0.99, gae_lambda=0.98,
                target_kl=epsilon, cg_max_steps=10, cg_damping=0.1, n_critic_updates=5, sub_sampling_factor=1,
                line_search_max_iter=10, seed=seed, device="cpu",
                policy_kwargs={"net_arch": [hidden, hidden], "activation_fn": torch.nn.Tanh, "log_std_init": 0.0})


class Curve(BaseCallback):
    """Calls `batch` with the returns of the episodes that ended in each batch."""

    def __init__(self, batch):
        super().__init__()
        self.batch, self.returns = batch, []

    def _on_step(self):
        self.returns += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        return True

    def _on_rollout_end(self):
        self.batch(self.returns)
        self.returns = []
