"""Tasks as environments of Gymnasium."""

import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
from gymnasium.utils.env_checker import check_env  # noqa: E402

SOURCE = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def registered():
    import kedge.gym  # noqa: F401


def test_every_bundled_task_passes_the_checker(kedge):
    import kedge.gym

    for task in kedge.tasks():
        check_task(gymnasium.make(kedge.gym.environment_id(task)))
    for name in ("DoubleLink", "QuadLink"):
        check_task(gymnasium.make(f"kedge/{name}SwingUp-v0"))


def test_a_missing_package_is_named_with_what_installs_it():
    for code, user in (("import kedge; kedge.make('double_link')", "kedge.gym"), ("import kedge.gym", "kedge.gym"),
                       ("import kedge; kedge.Task.from_gymnasium('Hopper-v5', reward_max=20)", "kedge.Task.from_gymnasium")):
        tried = subprocess.run([sys.executable, "-c", f"import sys; sys.modules['gymnasium'] = None; {code}"], text=True, capture_output=True)
        assert f"ModuleNotFoundError: {user} needs gymnasium, which is not installed: pip install gymnasium\n" in tried.stderr


def check_task(env):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*infinity.*")  # observations have no bounds
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")  # actions are in their own units
        check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize("task, algorithm, options", [
    ("double_link", "moto", {"rollouts": 6}),
    (SOURCE / "examples/robots/double_pendulum", "ilqr", {}),  # its final state costs
])
def test_the_return_of_an_episode_is_that_of_kedge(kedge, task, algorithm, options):
    run = kedge.train(task, algorithm, seed=3, iterations=2, **options)
    found = run.evaluate(3, deterministic=True)
    T = run.task.horizon
    env = kedge.make(run.task)
    for n in range(3):
        state = found.states[:, n * (T + 1)]
        s, _ = env.reset(options={"state": state})
        total, ended, info = 0.0, False, {}
        while not ended:
            s, reward, ended, truncated, info = env.step(run.policy(s, env._episode.time))
            total += reward
            assert not truncated
        assert total == pytest.approx(found.returns[n], rel=1e-12)
        assert info["success"] == pytest.approx(found.success_values[n], rel=1e-12)


def test_starts_depend_on_the_seed_only(kedge):
    env = kedge.make("double_link")
    first, _ = env.reset(seed=1)
    second, _ = env.reset()
    assert not np.array_equal(first, second)
    assert np.array_equal(env.reset(seed=1)[0], first)
    assert np.array_equal(env.reset()[0], second)
    assert not np.array_equal(env.reset(seed=2)[0], first)


def test_the_time_is_observed_where_asked(kedge):
    env = kedge.make("double_link", observe_time=True, horizon=25)
    s, _ = env.reset(seed=1)
    assert s.shape == (5,) and s[-1] == 0
    assert env.step(np.zeros(2))[0][-1] == 0.04


def test_a_divergence_ends_the_episode_with_its_cause(kedge):
    env = kedge.make("double_link", diverged_reward=-7)
    env.reset(seed=1)
    _, reward, ended, _, info = env.step(np.array([np.nan, 0.0]))
    assert ended and reward == -7 and info["diverged"]
    assert "not finite" in info["why"]


def test_a_policy_drives_vectorised_environments(kedge):
    run = kedge.train("double_link", "moto", seed=3, rollouts=6, iterations=2)
    envs = gymnasium.make_vec("kedge/DoubleLink-v0", num_envs=3, vectorization_mode="sync")
    s, _ = envs.reset(seed=1)
    state = None
    for _ in range(100):
        actions, state = run.policy.predict(s, state)
        s, rewards, ended, truncated, _ = envs.step(actions)
    assert ended.all() and not truncated.any()
    envs.close()


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A cart whose episode ends early where it leaves its track: 2.5 then, and 0.5 for each step that is missing."""
    folder = tmp_path_factory.mktemp("cart")
    (folder / "cart.xml").write_text("""<mujoco><option timestep="0.05"/><worldbody><body><joint name="x" type="slide" axis="1 0 0"/>
      <geom type="box" size=".1 .1 .1" mass="1"/></body></worldbody><actuator><motor joint="x"/></actuator></mujoco>""")
    (folder / "task.toml").write_text("""kedge = 1
model = "cart.xml"
horizon = 20
control_step = 0.05
[[cost]]
name = "effort"
of = "action"
weight = 0.01
[[termination]]
name = "off"
of = "qpos:x"
range = 0.2
cost = 2.5
missing_step = 0.5
""")
    return folder


def test_an_early_end_ends_the_episode_with_its_cost(kedge, short):
    from kedge.gym import TaskVectorEnv

    env, many = kedge.make(short), TaskVectorEnv(short, num_envs=2, threads=1)
    env.reset(seed=1)
    many.reset(seed=1)
    rewards, ended = [], False
    while not ended:
        s, reward, ended, truncated, info = env.step([10.0])
        _, both, both_ended, _, _ = many.step([[10.0], [0.0]])
        rewards.append(reward)
        assert abs(s[0]) < 0.2 or ended
        assert both[0] == reward and both_ended[0] == ended and not both_ended[1]
    T, steps = env.task.horizon, len(rewards)
    assert steps < T and not truncated and not info["diverged"] and np.isnan(info["success"])
    assert rewards[:-1] == pytest.approx([-1.0] * (steps - 1))
    assert rewards[-1] == pytest.approx(-1.0 - 2.5 - 0.5 * (T - steps))
    with pytest.raises(kedge.InputError):
        env.step([0.0])


def test_what_an_environment_cannot_do_is_refused(kedge):
    from kedge.gym import TaskVectorEnv

    task = kedge.load_task("double_link")
    with pytest.raises(TypeError, match="horizon to kedge.load_task"):
        kedge.make(task, horizon=10)
    envs = TaskVectorEnv(task, num_envs=2)
    with pytest.raises(ValueError, match="no options"):
        envs.reset(options={"state": np.zeros(4)})
    with pytest.raises(ValueError, match="3 seeds for 2"):
        envs.reset(seed=[1, 2, 3])


@pytest.mark.parametrize("threads", [1, 3])
def test_episodes_on_threads_are_those_of_single_environments(kedge, threads):
    arguments = {"horizon": 25, "observe_time": True}
    single = gymnasium.make_vec("kedge/DoubleLink-v0", num_envs=4, vectorization_mode="sync", **arguments)
    many = gymnasium.make_vec("kedge/DoubleLink-v0", num_envs=4, vectorization_mode="vector_entry_point", threads=threads,
                              **arguments)
    assert np.array_equal(single.reset(seed=3)[0], many.reset(seed=3)[0])
    random = np.random.default_rng(1)
    ends = diverged = 0
    for t in range(80):
        actions = random.uniform(-30, 30, (4, 2))
        if t == 40:
            actions[2, 0] = np.nan  # diverges
        a, b = single.step(actions), many.step(actions)
        for one, other in zip(a[:4], b[:4]):
            assert np.array_equal(one, other), t
        assert set(a[4]) == set(b[4])
        for key in a[4]:
            assert np.array_equal(a[4][key], b[4][key], equal_nan=a[4][key].dtype.kind == "f"), key
        ends += int(b[2].sum())
        diverged += int(np.sum(b[4].get("diverged", False)))
    assert ends == 4 * 3 and diverged == 1  # 25 steps and one that begins anew
    with pytest.raises(kedge.InputError, match="4x2"):
        many.step(np.zeros((3, 2)))
