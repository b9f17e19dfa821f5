"""Stable-Baselines3 learns on a task of kedge. It brings PyTorch, so nothing installs it: pip install stable-baselines3."""

import pytest

sb3 = pytest.importorskip("stable_baselines3")


def test_ppo_learns_on_a_task_of_kedge(kedge, tmp_path):
    import torch
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    (tmp_path / "cart.xml").write_text("""<mujoco><option timestep="0.05"/><worldbody><body><joint name="x" type="slide" axis="1 0 0"/>
      <geom type="box" size=".1 .1 .1" mass="1"/></body></worldbody><actuator><motor joint="x"/></actuator></mujoco>""")
    task = kedge.Task.from_mjcf(tmp_path / "cart.xml", horizon=40, control_step=0.05, actions={"limit": 3.0}, cost=[
        {"name": "place", "of": "qpos:x", "target": 1.0}, {"name": "speed", "of": "qvel:x", "weight": 0.1}])
    env = Monitor(kedge.make(task))
    torch.set_num_threads(1)
    model = sb3.PPO("MlpPolicy", env, n_steps=400, batch_size=100, learning_rate=1e-3, seed=1, device="cpu")
    before, _ = evaluate_policy(model, env, 5)
    model.learn(6000)
    after, _ = evaluate_policy(model, env, 5)
    assert before < -35 and after > -28, (before, after)  # at rest it costs 40
