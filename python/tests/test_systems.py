"""Tasks of which a part is written in Python, and environments of Gymnasium as tasks."""

import math
import os
import signal
import threading

import numpy as np
import pytest

H, T = 0.1, 20


def move(x, u):
    """A mass of 1 kg that a force moves; its cost."""
    return np.array([x[0] + H * x[1], x[1] + H * u[0]]), x[0] ** 2 + 0.1 * x[1] ** 2 + 0.01 * u[0] ** 2


@pytest.fixture(scope="module")
def mass(kedge):
    return kedge.Task.from_function(move, start=[1, 0], start_spread=[0.1, 0], actions=(-2, 2), horizon=T,
                                    final=lambda x: 10 * x @ x, control_step=H, name="mass")


def test_a_function_is_simulated_as_it_says(kedge, mass):
    run = kedge.train(mass, "moto", seed=1, rollouts=30, iterations=4)
    assert run.metrics["return_median"][-1] > run.metrics["return_median"][0] + 5
    found = run.evaluate(3, seed=2)
    for n in range(3):
        x, cost = found.states[:, n * (T + 1)], 0.0
        for t in range(T):
            assert np.array_equal(found.states[:, n * (T + 1) + t], x)
            x, step = move(x, np.clip(found.actions[:, n * T + t], -2, 2))
            cost += step
        assert found.returns[n] == pytest.approx(-cost - 10 * x @ x, rel=1e-12)


def test_threads_change_nothing_of_a_function(kedge, mass):
    one = kedge.train(mass, "moto", seed=1, rollouts=30, iterations=2, threads=1)
    many = kedge.train(mass, "moto", seed=1, rollouts=30, iterations=2, threads=3)
    assert one.policy.file_bytes() == many.policy.file_bytes()


def test_a_cost_as_a_function_counts_as_the_same_declared(kedge, tmp_path):
    (tmp_path / "cart.xml").write_text("""<mujoco><option timestep="0.05"/><worldbody><body><joint name="x" type="slide" axis="1 0 0"/>
      <geom type="box" size=".1 .1 .1" mass="1"/></body></worldbody><actuator><motor joint="x" ctrllimited="true" ctrlrange="-3 3"/></actuator>
      <sensor><jointpos name="place" joint="x"/></sensor></mujoco>""")
    declared = kedge.Task.from_mjcf(tmp_path / "cart.xml", horizon=T, control_step=0.05, start={"qpos_spread": 0.1}, cost=[
        {"name": "place", "of": "sensor:place", "target": 1.0, "steps": "0..19"},
        {"name": "effort", "of": "ctrl", "weight": 0.25},
        {"name": "end", "of": "qpos:x", "weight": 8.0, "target": 1.0, "steps": "final"}])
    assert (declared.name, declared.horizon, declared.control_step) == ("cart", T, 0.05)
    by_function = declared.with_cost(lambda x, u, y: (y[0] - 1) ** 2 + 0.25 * u[0] ** 2, lambda x, y: 8 * (x[0] - 1) ** 2)
    one, other = (kedge.train(task, "trpo", seed=1, iterations=2, initial_std="20 %") for task in (declared, by_function))
    assert one.metrics["return_mean"] == pytest.approx(other.metrics["return_mean"], rel=1e-6)
    for algorithm in ("moto", "gps"):  # they know more of a cost that is declared, so learn other policies
        run = kedge.train(by_function, algorithm, seed=1, iterations=2, rollouts=20)
        a, b = (kedge.evaluate(task, run.policy, 5, seed=3).returns for task in (declared, by_function))
        assert a == pytest.approx(b, rel=1e-12)
    with pytest.raises(kedge.InputError, match="needs derivatives, but task cart: a function of Python"):
        kedge.train(by_function, "ilqr")
    assert kedge.train(declared, "ilqr", iterations=1).iterations == 1
    with pytest.raises(kedge.InputError, match="cost of a step = -1, but must be >= 0"):
        kedge.train(declared.with_cost(lambda x, u, y: -1.0), "random_search")
    with pytest.raises(kedge.InputError, match="absent.xml"):
        kedge.Task.from_mjcf(tmp_path / "absent.xml", horizon=T, control_step=0.05, cost=[{"name": "a", "of": "action"}])
    short = kedge.Task.from_mjcf(tmp_path / "cart.xml", horizon=3, control_step=0.05, cost=lambda x, u, y: 1.0)
    assert np.array_equal(kedge.train(short, "random_search", iterations=1).evaluate(2).returns, [-3, -3])


class Broken(Exception):
    pass


def broken(*_):
    raise Broken


def test_what_a_function_raises_reaches_the_caller_and_leaves_nothing(kedge, mass):
    task = kedge.Task.from_function(broken, start=[0], actions=(-1, 1), horizon=5)
    threads = threading.active_count()
    for threads_of_kedge in (1, 3):
        with pytest.raises(Broken):
            kedge.train(task, "random_search", iterations=1, threads=threads_of_kedge)
    at_the_end = kedge.Task.from_function(move, start=[0, 0], actions=(-1, 1), horizon=5, final=broken)
    with pytest.raises(Broken):
        kedge.train(at_the_end, "random_search", iterations=1)
    assert threading.active_count() == threads
    assert kedge.train(mass, "random_search", iterations=1).stop == "max_iterations"


@pytest.mark.parametrize("step, words", [
    (lambda x, u: (x, -1.0), "cost of a step = -1, but must be >= 0"),
    (lambda x, u: (np.zeros(3), 1.0), "size of the state that step returns = 3, but must be 1"),
])
def test_what_a_function_may_not_return_is_refused(kedge, step, words):
    task = kedge.Task.from_function(step, start=[0], actions=(-1, 1), horizon=5)
    with pytest.raises(kedge.InputError, match=words):
        kedge.train(task, "random_search", iterations=1)


@pytest.mark.parametrize("step, why", [
    (lambda x, u: (x * math.nan, 0.0), "the state is not finite"),
    (lambda x, u: (x, math.nan), "cost step is not finite"),
])
def test_a_function_that_is_not_finite_diverges(kedge, step, why):
    task = kedge.Task.from_function(step, start=[0], actions=(-1, 1), horizon=5)
    run = kedge.train(task, "random_search", iterations=1)
    assert run.stop == "numerical_failure" and "all 2 rollouts diverged" in run.message
    assert run.evaluate(3).diverged == 3
    episode = kedge._kedge.Episode(task)
    episode.reset(np.zeros(1))
    episode.step(np.zeros(1))
    assert episode.why == why


def test_ctrl_c_ends_a_training_on_a_function(kedge, mass):
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        kedge.train(mass, seed=3, rollouts=20, iterations=10**7)
    timer.join()


def test_what_a_task_in_python_lacks_is_refused(kedge, mass, tmp_path):
    with pytest.raises(kedge.InputError, match="ilqr needs derivatives, but task mass: a function of Python gives none"):
        kedge.train(mass, "ilqr")
    with pytest.raises(kedge.InputError, match="out must be None"):
        kedge.train(mass, "moto", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(kedge.InputError, match="has no text"):
        print(mass.text)
    with pytest.raises(kedge.InputError, match="horizon = 0"):
        kedge.Task.from_function(move, start=[1, 0], actions=(-2, 2), horizon=0)
    with pytest.raises(kedge.InputError, match="start_spread: must be 2 finite numbers"):
        kedge.Task.from_function(move, start=[1, 0], start_spread=[1, 2, 3], actions=(-2, 2), horizon=5)


def returns_of_gymnasium(task, make, found, reward_max):
    """Drives the environment itself with the actions of kedge's rollouts; returns both returns and the number of steps."""
    import gymnasium

    env, horizon, both = gymnasium.make(**make), task.horizon, []
    for n in range(found.rollouts):
        env.reset(seed=math.floor(found.states[0, n * (horizon + 1)]))
        total, steps = 0.0, 0
        for t in range(horizon):
            action = np.clip(found.actions[:, n * horizon + t], task.action_low, task.action_high)
            _, reward, ended, _, _ = env.step(action.astype(np.float32))
            total, steps = total + reward, t + 1
            if ended:
                break
        both.append((total, found.returns[n] + horizon * reward_max, steps))
    return both


def test_the_pendulum_of_gymnasium_swings_up(kedge):
    pytest.importorskip("gymnasium")
    task = kedge.Task.from_gymnasium("Pendulum-v1", reward_max=0, ends=False)
    run = kedge.train(task, "trpo", seed=3, iterations=50, batch_steps=2048, hidden=64, initial_std=1.0, discount=0.9, lambda_=0.95,
                      time_limit="cut", first_weights="orthogonal", reward_scale=0.1, value_epochs=15)
    assert run.metrics["return_median"][0] < -900
    assert np.median(run.evaluate(20).returns) > -200


def test_episodes_can_be_cut_where_the_last_state_costs_nothing(kedge, mass):
    with pytest.raises(kedge.InputError, match="cut goes on after the last step, but the cost final of the task mass"):
        kedge.train(mass, "trpo", iterations=1, time_limit="cut")
    for task in (kedge.Task.from_function(move, start=[1, 0], actions=(-2, 2), horizon=T), mass.with_cost(lambda x, u, y: x @ x)):
        assert kedge.train(task, "trpo", seed=1, iterations=1, time_limit="cut").stop == "max_iterations"


def test_an_environment_without_mujoco_trains_with_rollouts(kedge):
    pytest.importorskip("gymnasium")
    pendulum = kedge.Task.from_gymnasium("Pendulum-v1", reward_max=0, ends=False, horizon=40)
    assert (pendulum.name, len(pendulum.observation_names), pendulum.control_step) == ("Pendulum-v1", 3, 0.05)
    for algorithm, options in (("moto", {"rollouts": 20}), ("gps", {"rollouts": 20}), ("trpo", {}), ("random_search", {})):
        run = kedge.train(pendulum, algorithm, seed=1, iterations=1, **options)
        assert run.stop == "max_iterations"
    light = kedge.Task.from_gymnasium("Pendulum-v1", reward_max=0, ends=False, horizon=40, g=2.0,
                                      reset_options={"x_init": 0.8, "y_init": 0.5})
    returns = kedge.train(light, "moto", seed=1, rollouts=20, iterations=6, epsilon=0.2).metrics["return_median"]
    assert returns[0] < -80 and returns[-1] > -20
    for theirs, ours, steps in returns_of_gymnasium(pendulum, {"id": "Pendulum-v1"}, run.evaluate(3), 0):
        assert ours == pytest.approx(theirs, rel=1e-12) and steps == 40
    with pytest.raises(kedge.InputError, match="ilqr needs derivatives, but task Pendulum-v1: an environment of Gymnasium has none"):
        kedge.train(pendulum, "ilqr")
    with pytest.raises(kedge.InputError, match="reward = .* but reward_max = -5.0; raise it"):
        kedge.train(kedge.Task.from_gymnasium("Pendulum-v1", reward_max=-5, ends=False, horizon=40), "random_search")
    with pytest.raises(kedge.InputError, match="actions are Discrete"):
        kedge.Task.from_gymnasium("CartPole-v1", reward_max=1)


def test_an_environment_that_does_not_repeat_itself_is_refused(kedge):
    gymnasium = pytest.importorskip("gymnasium")

    class Drift(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
        action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float64)
        steps = 0

        def reset(self, *, seed=None, options=None):
            return np.zeros(1), {}

        def step(self, action):
            self.steps += 1
            return np.array([float(self.steps)]), 0.0, False, False, {}

    with pytest.raises(kedge.InputError, match="must do the same again"):
        kedge.train(kedge.Task.from_gymnasium(Drift, reward_max=0, horizon=5, ends=False), "gps", rollouts=10, threads=1)


def test_an_environment_of_mujoco_trains_with_its_own_reward(kedge):
    pytest.importorskip("mujoco")
    pytest.importorskip("imageio")  # Gymnasium's environments of MuJoCo import it
    hopper = kedge.Task.from_gymnasium("Hopper-v5", reward_max=20, ends=False, horizon=50, terminate_when_unhealthy=False)
    for algorithm in ("moto", "gps"):
        returns = kedge.train(hopper, algorithm, seed=1, iterations=5, rollouts=20).metrics["return_median"]
        assert returns[-1] > returns[0] + 20, algorithm
    hopper = kedge.Task.from_gymnasium("Hopper-v5", reward_max=20, horizon=60)
    run = kedge.train(hopper, "trpo", seed=1, iterations=2)
    both = returns_of_gymnasium(hopper, {"id": "Hopper-v5"}, run.evaluate(4), 20)
    assert min(steps for _, _, steps in both) < 60  # it falls
    for theirs, ours, _ in both:
        assert ours == pytest.approx(theirs, rel=1e-9)
    with pytest.raises(kedge.InputError, match="can end early .*ends = True"):
        kedge.train(hopper, "moto")
    with pytest.raises(kedge.InputError, match="an episode ended early .terminated. although ends = False"):
        kedge.train(kedge.Task.from_gymnasium("Hopper-v5", reward_max=20, ends=False, horizon=60), "random_search")
