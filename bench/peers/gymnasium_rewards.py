"""The tasks of examples/gymnasium against Gymnasium's own environments. Run by hand.

    python3 -m venv venv && venv/bin/pip install "gymnasium[mujoco]" h5py
    venv/bin/python bench/peers/gymnasium_rewards.py --kedge build/release/kedge

Random rollouts of kedge are told to Gymnasium: of the same states and actions its reward functions make the same returns, to
1e-9, and the same episodes end at the same states (else the script fails). It also prints how far the simulations are apart, after
one control step from the same state and for returns of the same actions from the same start; that is exact only with kedge's own
version of MuJoCo (`kedge --version`).
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import gymnasium
import h5py
import mujoco
import numpy as np

TASKS = pathlib.Path(__file__).resolve().parents[2] / "examples/gymnasium"
ASSETS = pathlib.Path(gymnasium.__file__).parent / "envs/mujoco/assets"
BONUS = {"swimmer": 10.0, "hopper": 11.0, "inverted_double_pendulum": 10.0}  # of every step: docs of the tasks
NAMES = {"swimmer": "Swimmer-v5", "hopper": "Hopper-v5", "inverted_double_pendulum": "InvertedDoublePendulum-v5"}


def model_of(task):
    return f"task.model={ASSETS / task}.xml"


def run(kedge, *words):
    subprocess.run([kedge, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def kedge_rollouts(kedge, folder, task, rollouts, std):
    """Returns (states [T+1, nx], actions [T, da], return, ended early) of rollouts with random actions."""
    run(kedge, "train", TASKS / task, "--set", model_of(task), "--algorithm", "trpo", "--set", "iterations=0", "--set",
        f"initial_std={std}", "--out", folder / task, "--quiet")
    run(kedge, "evaluate", folder / task, "--noise", "--rollouts", rollouts, "--trajectories", folder / f"{task}.h5")
    with h5py.File(folder / f"{task}.h5") as file:
        state, action, cost = (np.array(file[name]) for name in ("state", "action", "cost"))
        ended = np.array(file["ended_at"]) if "ended_at" in file else np.full(rollouts, -1)
    horizon = action.shape[1]
    for n in range(rollouts):
        steps = ended[n] if ended[n] >= 0 else horizon
        yield state[n, :steps + 1], np.clip(action[n, :steps], -1, 1), -cost[n].sum(), ended[n] >= 0


def place(env, x):
    env.set_state(*np.split(x, [env.model.nq]))


def reward(env, task, before, action):
    """Gymnasium's reward and end where its simulation is now. @param before state before the step"""
    if task == "inverted_double_pendulum":
        x, _, y = env.data.site_xpos[0]
        return env._get_rew(x, y, y <= 1)[0], y <= 1
    velocity = (env.data.qpos[0] - before[0]) / env.dt
    return env._get_rew(velocity, action)[0], task == "hopper" and not env.is_healthy


def same_states(env, task, states, actions):
    """Return of these states and actions, and whether each of the states ends the episode."""
    total, ends = 0.0, []
    for before, action, after in zip(states, actions, states[1:]):
        place(env, after)
        r, ended = reward(env, task, before, action)
        total += r
        ends.append(ended)
    return total, ends


def after_one_step(env, states, actions):
    """Largest difference of the states after one control step."""
    worst = 0.0
    for before, action, after in zip(states, actions, states[1:]):
        place(env, before)
        env.data.qacc_warmstart[:] = 0
        env.do_simulation(action, env.frame_skip)
        worst = max(worst, np.abs(env.state_vector() - after).max())
    return worst


def same_actions(env, task, states, actions, like_kedge):
    """Return of the same actions from the same start, as an agent of Gymnasium sees it; or with a solver that starts afresh in
    every step and places that are read where the step ends."""
    env.reset()
    place(env, states[0])
    total = 0.0
    for action in actions:
        before = env.state_vector()
        if like_kedge:
            env.data.qacc_warmstart[:] = 0
        env.do_simulation(action, env.frame_skip)
        if like_kedge:
            mujoco.mj_forward(env.model, env.data)
        r, ended = reward(env, task, before, action)
        total += r
        if ended:
            break
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kedge", default="kedge")
    parser.add_argument("--rollouts", type=int, default=20)
    parser.add_argument("--std", type=float, default=0.3)
    a = parser.parse_args()
    exact = True
    with tempfile.TemporaryDirectory() as name:
        for task, env_name in NAMES.items():
            env = gymnasium.make(env_name).unwrapped
            of_states, as_played, like_kedge, one_step, steps, early = [], [], [], 0.0, 0, 0
            for states, actions, kedge_return, ended in kedge_rollouts(a.kedge, pathlib.Path(name), task, a.rollouts, a.std):
                total = kedge_return + BONUS[task] * 1000
                theirs, ends = same_states(env, task, states, actions)
                exact &= ends[:-1] == [False] * (len(ends) - 1) and bool(ends[-1]) == bool(ended)
                of_states.append(abs(theirs - total))
                one_step = max(one_step, after_one_step(env, states, actions))
                as_played.append(abs(same_actions(env, task, states, actions, False) - total))
                like_kedge.append(abs(same_actions(env, task, states, actions, True) - total))
                steps, early = steps + len(actions), early + bool(ended)
            exact &= max(of_states) < 1e-9
            print(f"{env_name}: {a.rollouts} rollouts, {steps} steps, {early} ended early. Returns of the same states and actions "
                  f"differ by at most {max(of_states):.1e}; states after one step by {one_step:.1e}; returns of the same actions "
                  f"by {max(as_played):.1e}, and by {max(like_kedge):.1e} where Gymnasium starts its solver afresh in every step "
                  "and reads places where the step ends")
    if not exact:
        sys.exit("a return or an end is not Gymnasium's")


if __name__ == "__main__":
    main()
