"""Control steps a second from Python: kedge's vectorised environment and evaluation, Gymnasium's vector environments with MuJoCo's own
bindings, and mujoco.rollout, on the same models, sub-steps and actions, in one run.

    pip install "gymnasium[mujoco]" dist/kedge-*.whl
    python bench/peers/python_speed.py

With a wheel, which has a MuJoCo of its own: a module of a build folder shares the library that the bindings load, and so the clock
that they set (mjcb_time), which takes half of the time on the double link.

Processor time of all threads and processes together, so that other work beside it matters little; all take turns, and of each the
fastest turn counts. mujoco.rollout computes states only: no cost, no observation, nobody who chooses actions.
"""

import argparse
import functools
import os
import time

import gymnasium
import kedge.gym
import mujoco.rollout
import numpy as np

from environments import DoubleLink, Walker

TICKS = os.sysconf("SC_CLK_TCK")


def processor_time(processes=()):
    """Of this process and of the others, s."""
    used = time.process_time()
    for process in processes:
        with open(f"/proc/{process.pid}/stat") as file:
            used += sum(int(n) for n in file.read().rpartition(")")[2].split()[11:13]) / TICKS
    return used


def episode_of(envs, actions):
    """One episode of every environment. actions: [T, n, da]"""
    processes = getattr(envs, "processes", ())
    before = processor_time(processes)
    envs.reset(seed=1)
    for a in actions:
        envs.step(a)
    return processor_time(processes) - before


def rollouts_of(robot, starts, actions, pool):
    """The same by mujoco.rollout, all steps in one call."""
    model = robot.model
    states = np.zeros((len(starts), mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
    states[:, 1:1 + starts.shape[1]] = starts  # after the time
    controls = np.clip(actions.transpose(1, 0, 2), -robot.limit, robot.limit).repeat(robot.substeps, axis=1)
    data = [mujoco.MjData(model) for _ in range(pool.nthread)]
    before = processor_time()
    pool.rollout(model, data, states, controls)
    return processor_time() - before


def evaluation_of(task, policy, n, threads):
    """Whole rollouts by kedge, whose actions a linear policy and its noise choose."""
    before = processor_time()
    kedge.evaluate(task, policy, n, deterministic=False, threads=threads)
    return processor_time() - before


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1, help="of kedge and of mujoco.rollout")
    parser.add_argument("--turns", type=int, default=5)
    a = parser.parse_args()
    walk = kedge._kedge.Episode(kedge.Task.load("walker"))
    walk.reset_to_start(1)
    for name, make, std in (("double_link", functools.partial(DoubleLink, unit=1.0), 5.0),
                            ("walker", functools.partial(Walker, walk.state, unit=1.0), 5.0)):
        task, robot = kedge.Task.load(name), make()
        actions = np.random.default_rng(1).normal(0.0, std, (task.horizon, a.envs, len(task.action_names)))
        starts = np.tile(robot.start, (a.envs, 1))
        policy = kedge.moto(task, iterations=0, initial_std=std).policy  # the distribution of `actions`
        contenders = {
            "kedge: TaskVectorEnv": (episode_of, kedge.gym.TaskVectorEnv(task, a.envs, a.threads), actions),
            "kedge: evaluate": (evaluation_of, task, policy, a.envs, a.threads),
            "Gymnasium: SyncVectorEnv": (episode_of, gymnasium.vector.SyncVectorEnv([make] * a.envs), actions),
            "Gymnasium: AsyncVectorEnv": (episode_of, gymnasium.vector.AsyncVectorEnv([make] * a.envs), actions),
            "mujoco.rollout": (rollouts_of, robot, starts, actions, mujoco.rollout.Rollout(nthread=a.threads)),
        }
        best = dict.fromkeys(contenders, np.inf)
        for _ in range(a.turns):
            for contender, (measure, *arguments) in contenders.items():
                best[contender] = min(best[contender], measure(*arguments))
        steps = a.envs * task.horizon
        ours = best["kedge: TaskVectorEnv"]
        for contender, seconds in best.items():
            print(f"{name:12} {contender:26} {steps / seconds:9.0f} steps/s   kedge's environment is {seconds / ours:5.2f} times as fast",
                  flush=True)
        for contender in contenders.values():
            getattr(contender[1], "close", lambda: None)()


if __name__ == "__main__":
    main()
