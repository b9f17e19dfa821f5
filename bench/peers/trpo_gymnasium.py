"""sb3-contrib's TRPO on Gymnasium's Swimmer, Hopper and InvertedDoublePendulum with the options of the RL Zoo. Run by hand.

    python3 -m venv venv && venv/bin/pip install "gymnasium[mujoco]" sb3-contrib     # brings torch
    venv/bin/python bench/peers/trpo_gymnasium.py --work runs/gymnasium --out returns.csv --seeds 5

The options are those of hyperparams/trpo.yml of DLR-RM/rl-baselines3-zoo for Swimmer-v4 and Hopper-v4; the double pendulum,
which has none there, has the hopper's. 488 batches of 2048 steps, as in examples/gymnasium. Each seed, on all tasks in turn,
appends a line to --out, with the columns of docs/results/trpo-gymnasium.csv: the final policy in 20 episodes without noise, with
the normaliser as it is at the end, and the mean return of the last ten batches in which episodes ended, with noise. What is
there is not run again. The returns of every batch are left under --work.
"""

import argparse
import csv
import pathlib

import gymnasium
import numpy as np
import torch
from sb3_contrib import TRPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_trpo import Curve

NAMES = {"swimmer": "Swimmer-v5", "hopper": "Hopper-v5", "inverted_double_pendulum": "InvertedDoublePendulum-v5"}
DISCOUNT = {"swimmer": 0.9999, "hopper": 0.99, "inverted_double_pendulum": 0.99}
ENVIRONMENTS, BATCH, EPISODES, LAST = 2, 2048, 20, 10  # side by side; steps; evaluated; batches with noise
COLUMNS = ["program", "task", "seed", "steps", "iterations", "return_mean", "return_std", "return_min", "return_max",
           "ended_early", "return_mean_with_noise"]


def make_trpo(task, seed):
    """Returns the model, with normalised observations, and rewards divided by the deviation of their discounted returns."""
    torch.set_num_threads(1)
    vector = DummyVecEnv([lambda: Monitor(gymnasium.make(NAMES[task]))] * ENVIRONMENTS)
    return TRPO("MlpPolicy", VecNormalize(vector, gamma=DISCOUNT[task]), n_steps=BATCH // ENVIRONMENTS, batch_size=128,
                gamma=DISCOUNT[task], gae_lambda=0.95, sub_sampling_factor=1, cg_max_steps=25, cg_damping=0.1,
                n_critic_updates=20, learning_rate=1e-3, seed=seed, device="cpu")


def evaluate(model, task, seed):
    """Plays episodes without noise, with the normaliser as it is. @return their returns, and how many ended early"""
    env, normaliser = gymnasium.make(NAMES[task]), model.get_vec_normalize_env()
    normaliser.training = False
    returns, early = [], 0
    for episode in range(EPISODES):
        seen, _ = env.reset(seed=seed if episode == 0 else None)
        total, ended, cut = 0.0, False, False
        while not (ended or cut):
            action, _ = model.predict(normaliser.normalize_obs(seen), deterministic=True)
            seen, reward, ended, cut, _ = env.step(action)
            total += reward
        returns.append(total)
        early += ended
    return np.array(returns), early


def run(a, task, seed):
    """Trains and evaluates. @return a line of the table"""
    batches = []
    model = make_trpo(task, seed)
    model.learn(BATCH * a.iterations, callback=Curve(batches.append))
    with open(a.work / f"{task}-s{seed}.csv", "w", newline="") as file:
        csv.writer(file).writerows([BATCH * (i + 1), *(f"{r:.6g}" for r in batch)] for i, batch in enumerate(batches))
    returns, early = evaluate(model, task, seed)
    noisy = np.mean([np.mean(batch) for batch in batches if batch][-LAST:])
    numbers = [returns.mean(), returns.std(ddof=1), returns.min(), returns.max()]
    return ["sb3-contrib", task, seed, model.num_timesteps, a.iterations, *(f"{x:.4g}" for x in numbers), early, f"{noisy:.4g}"]


def lines_of(path):
    if not path.exists():
        with open(path, "w", newline="") as file:
            csv.writer(file).writerow(COLUMNS)
    with open(path, newline="") as file:
        return {(line["task"], int(line["seed"])) for line in csv.DictReader(file)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=488)
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    for seed in range(a.first_seed, a.first_seed + a.seeds):
        for task in a.tasks:
            if (task, seed) in lines_of(a.out):
                continue
            line = run(a, task, seed)
            with open(a.out, "a", newline="") as file:
                csv.writer(file).writerow(line)
            print(*line, flush=True)


if __name__ == "__main__":
    main()
