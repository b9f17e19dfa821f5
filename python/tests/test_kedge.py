"""The module gives the numbers of the program, and says what is wrong in its words."""

import inspect
import json
import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

SMALL = {"rollouts": 6, "iterations": 4}  # of MOTO on a short double link: a fraction of a second


@pytest.fixture(scope="module")
def task(kedge):
    return kedge.Task.load("double_link", horizon=30)


@pytest.fixture(scope="module")
def run(kedge, task):
    return kedge.train(task, "moto", seed=3, **SMALL)


def program(*arguments):
    return subprocess.run([os.environ["KEDGE_PROGRAM"], *arguments], check=True, capture_output=True, text=True).stdout


def test_a_task_says_what_it_is(task):
    assert (task.name, task.horizon, task.control_step) == ("double_link", 30, 0.05)
    assert len(task.observation_names) == 4
    assert np.array_equal(task.action_low, [-25, -25]) and np.array_equal(task.action_high, [25, 25])


def test_changes_of_a_task_reach_tables(kedge):
    task = kedge.load_task("double_link", actions={"limit": 10.0}, start={"qpos_spread": [0.5, 0.25]})
    assert np.array_equal(task.action_high, [10, 10])
    assert "[start.qpos_spread]\nelbow = 0.25\nshoulder = 0.5\n" in task.text


@pytest.fixture(scope="module")
def directory_of_the_program(tmp_path_factory):
    out = tmp_path_factory.mktemp("program") / "run"
    program("train", "double_link", "--set", "task.horizon=30", "--set", "rollouts=6", "--iterations", "4", "--seed", "3",
            "--out", str(out), "--quiet")
    return out


def test_training_gives_the_bytes_of_the_program(run, directory_of_the_program):
    assert run.policy.file_bytes() == (directory_of_the_program / "policy.h5").read_bytes()
    assert run.stop == "max_iterations" and run.iterations == 4


def test_a_run_that_is_written_is_that_of_the_program(kedge, task, directory_of_the_program, tmp_path):
    run = kedge.train(task, "moto", seed=3, out=tmp_path / "run", threads=2, **SMALL)
    for name in ("policy.h5", "metrics.csv", "checkpoint.h5"):
        assert (tmp_path / "run" / name).read_bytes() == (directory_of_the_program / name).read_bytes(), name
    assert run.directory == str(tmp_path / "run")
    with pytest.raises(kedge.InputError, match="run"):
        kedge.train(task, "moto", out=tmp_path / "run", **SMALL)


def test_metrics_are_those_of_the_file(run, directory_of_the_program):
    table = np.genfromtxt(directory_of_the_program / "metrics.csv", delimiter=",", names=True)
    assert np.array_equal(run.metrics["return_mean"], table["return_mean"])


def test_evaluation_gives_the_returns_of_the_program(run, directory_of_the_program):
    found = run.evaluate(20, deterministic=True, seed=5)
    printed = program("evaluate", str(directory_of_the_program), "--rollouts", "20", "--deterministic", "--seed", "5", "--json")
    values = json.loads(printed)
    assert values["rollouts"] == found.rollouts == 20
    assert values["success"]["count"] == found.succeeded
    assert values["return"]["min"] == found.returns.min() and values["return"]["max"] == found.returns.max()


def test_callbacks_see_every_iteration_on_the_calling_thread(kedge, task):
    seen = []
    run = kedge.train(task, seed=3, callback=lambda it: seen.append((it.number, it.total, it.return_median,
                                                                     threading.get_ident())), **SMALL)
    assert [entry[:2] for entry in seen] == [(i, 4) for i in range(4)]
    assert [entry[2] for entry in seen] == list(run.metrics["return_median"])
    assert {entry[3] for entry in seen} == {threading.get_ident()}


def test_what_a_callback_raises_ends_the_training(kedge, task):
    class Enough(Exception):
        pass

    def callback(iteration):
        if iteration.number == 1:
            raise Enough
        assert iteration.number < 1

    with pytest.raises(Enough):
        kedge.train(task, seed=3, callback=callback, rollouts=6, iterations=100000)


def test_ctrl_c_ends_a_training(kedge, task):
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        kedge.train(task, seed=3, rollouts=6, iterations=10**7)
    timer.join()


def test_a_run_that_was_interrupted_goes_on_with_the_same_bytes(kedge, task, directory_of_the_program, tmp_path):
    def interrupt(iteration):
        if iteration.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kedge.train(task, seed=3, out=tmp_path / "run", callback=interrupt, **SMALL)
    assert (tmp_path / "run" / "policy.h5").read_bytes() != (directory_of_the_program / "policy.h5").read_bytes()
    seen = []
    run = kedge.resume(tmp_path / "run", callback=lambda it: seen.append(it.number))
    assert seen == [2, 3] and (run.seed, run.algorithm, run.iterations) == (3, "moto", 4)
    for name in ("policy.h5", "metrics.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (directory_of_the_program / name).read_bytes(), name
    assert run.evaluate(5).rollouts == 5
    assert (run.task.name, run.task.horizon) == ("double_link", 30)
    with pytest.raises(kedge.InputError, match="is finished"):
        kedge.resume(tmp_path / "run")


def test_other_threads_run_while_it_trains(kedge, task):
    moments = []
    done = threading.Event()

    def watch():
        while not done.is_set():
            moments.append(time.perf_counter())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    kedge.train(task, seed=3, rollouts=20, iterations=20)
    done.set()
    watcher.join()
    assert len(moments) > 20  # with the GIL held it would be asleep from its first look to the end


@pytest.mark.parametrize("arguments, words", [
    ({"epsilom": 1}, "epsilon"),
    ({"epsilon": -1}, "epsilon: must be a number > 0"),
    ({"reuse": "everything"}, "one of"),
    ({"rollouts": 2.5}, "whole number"),
])
def test_wrong_options_are_refused_with_what_is_allowed(kedge, task, arguments, words):
    with pytest.raises(kedge.InputError, match=words):
        kedge.train(task, "moto", **arguments)


def test_wrong_names_are_refused(kedge, task):
    with pytest.raises(kedge.InputError, match="double_link"):
        kedge.load_task("double_lnik")
    with pytest.raises(kedge.InputError, match="moto"):
        kedge.train(task, "motto")
    with pytest.raises(kedge.InputError, match="horizon"):
        kedge.load_task("double_link", horizon=0)
    with pytest.raises(TypeError, match="must be a number"):
        kedge.train(task, "moto", epsilon=object())


def test_every_algorithm_is_a_function_with_its_options(kedge):
    assert "moto" in kedge.algorithms()
    for name in kedge.algorithms():
        function = getattr(kedge, name)
        signature = inspect.signature(function)
        for option in kedge.options(name):
            name = "lambda_" if option["name"] == "lambda" else option["name"]
            assert repr(signature.parameters[name].default) == option["default"]
            assert option["meaning"] in function.__doc__
    assert "rollouts" in inspect.signature(kedge.moto).parameters


def test_an_option_whose_name_python_keeps_has_an_underscore(kedge, task):
    algorithm = next(a for a in kedge.algorithms() if any(o["name"] == "lambda" for o in kedge.options(a)))
    with pytest.raises(kedge.InputError, match="--set lambda=-1"):
        kedge.train(task, algorithm, lambda_=-1)


def test_the_function_of_an_algorithm_is_train(kedge, task, run):
    again = kedge.moto(task, seed=3, **SMALL)
    assert again.policy.file_bytes() == run.policy.file_bytes()


def test_a_policy_acts(kedge, run, task, tmp_path):
    policy = run.policy
    s = np.array([0.1, -0.2, 0.3, 0.4])
    data = policy.data
    assert data["K"].shape == (30, 2, 4)
    assert np.allclose(policy(s, 7), data["K"][7] @ s + data["k"][7], rtol=1e-12)
    assert np.array_equal(policy(list(s), 7), policy(s, 7))
    assert repr(policy) == "<kedge.Policy tv_linear_gaussian: 4 observations, 2 actions>"
    assert not np.array_equal(policy.sample(s, 7, seed=1), policy.sample(s, 7, seed=2))
    assert np.array_equal(policy.sample(s, 7, seed=1), policy.sample(s, 7, seed=1))
    policy.save(tmp_path / "p.h5")
    assert kedge.load_policy(tmp_path / "p.h5").file_bytes() == policy.file_bytes()
    for wrong, t in ((s[:3], 0), (s, 30), (s, -1)):
        with pytest.raises(kedge.InputError):
            policy(wrong, t)


def test_predict_counts_the_steps_of_each_environment(run):
    policy, s = run.policy, np.array([[0.1, -0.2, 0.3, 0.4], [3.0, 0.0, 0.0, 0.0]])
    actions, state = policy.predict(s)
    actions, state = policy.predict(s, state)
    assert np.array_equal(state, [2, 2])
    expected = np.clip(np.array([policy(s[0], 1), policy(s[1], 1)]), -25, 25)
    assert np.array_equal(actions, expected)
    actions, state = policy.predict(s, state, episode_start=[False, True])
    assert np.array_equal(state, [3, 1])
    assert np.array_equal(actions[1], np.clip(policy(s[1], 0), -25, 25))
    one, _ = policy.predict(s[0])
    assert one.shape == (2,)
    noisy, _ = policy.predict(s, deterministic=False, rng=np.random.default_rng(1))
    assert not np.array_equal(noisy, policy.predict(s)[0])


def test_an_exported_file_acts_as_the_policy(run, tmp_path):
    import runpy

    run.policy.export(tmp_path / "p.py", "python")
    module = runpy.run_path(str(tmp_path / "p.py"))
    s = np.array([3.0, 0.1, 0.2, -0.3])
    assert np.allclose(module["mean"](4, s), run.policy(s, 4), rtol=1e-12)


def test_a_failed_export_leaves_the_old_file(kedge, run, tmp_path):
    run.policy.export(tmp_path / "p.json", "json")
    before = (tmp_path / "p.json").read_bytes()
    with pytest.raises(kedge.InputError, match="onnx"):
        run.policy.export(tmp_path / "p.json", "yaml")
    assert (tmp_path / "p.json").read_bytes() == before
    with pytest.raises(kedge.SystemFailure, match="cannot be written"):
        run.policy.export(tmp_path / "absent" / "p.json", "json")


def test_evaluate_takes_names_and_files_too(kedge, tmp_path):
    task = kedge.Task.load("double_link")
    policy = kedge.moto(task, iterations=0).policy
    policy.save(tmp_path / "policy.h5")
    by_name = kedge.evaluate("double_link", tmp_path / "policy.h5", 3, seed=2)
    assert np.array_equal(by_name.returns, kedge.evaluate(task, policy, 3, seed=2).returns)


def test_a_contextual_policy_chooses_by_the_start(kedge):
    run = kedge.train("double_link", "reps", controller="dmp", context="start", rollouts=40, iterations=1)
    assert run.policy.kind == "contextual"
    one = run.policy.for_start(run.task, np.array([3.1, 0, 0, 0]))
    other = run.policy.for_start(run.task, np.array([2.9, 0.1, -0.2, 0]))
    assert one.kind == other.kind == "dmp"
    assert not np.array_equal(one.data["k"], other.data["k"])
    states = run.evaluate(2, deterministic=True)
    T = run.task.horizon
    for n in range(2):  # the rollouts were made by it
        chosen = run.policy.for_start(run.task, states.states[:, n * (T + 1)])
        s = states.observations[:, n * (T + 1) + 7]
        assert np.array_equal(chosen(s, 7), states.actions[:, n * T + 7])
    with pytest.raises(kedge.InputError, match="4 finite ones"):
        run.policy.for_start(run.task, np.zeros(3))
