"""Many trainings by any executor: the same runs, in the order of the configurations."""

import concurrent.futures
import multiprocessing
import pickle

import pytest

SMALL = {"rollouts": 8, "iterations": 3}


@pytest.fixture(scope="module")
def task(kedge):
    return kedge.Task.load("double_link", horizon=20, start={"qpos_spread": 0.1})


@pytest.fixture(scope="module")
def configurations(task):
    return [dict(task=task, algorithm=algorithm, seed=seed, **SMALL) for seed in (2, 1) for algorithm in ("moto", "gps")]


@pytest.fixture(scope="module")
def here(kedge, configurations, tmp_path_factory):
    return kedge.train_many(configurations, tmp_path_factory.mktemp("here"))


def same_bytes(runs, others):
    return all((a.directory / name).read_bytes() == (b.directory / name).read_bytes() and a.directory.name == b.directory.name
               for a, b in zip(runs, others, strict=True) for name in ("policy.h5", "metrics.csv", "checkpoint.h5"))


def test_runs_are_those_of_train_in_their_order(kedge, configurations, here):
    assert [run.state for run in here] == ["finished"] * 4 and [run.iterations for run in here] == [3] * 4
    for configuration, run in zip(configurations, here):
        assert kedge.train(**configuration).policy.file_bytes() == (run.directory / "policy.h5").read_bytes()
    assert len({run.directory for run in here}) == 4


@pytest.mark.parametrize("make", [
    lambda: concurrent.futures.ThreadPoolExecutor(2),
    lambda: concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")),
], ids=["threads", "processes"])
def test_an_executor_changes_no_byte(kedge, configurations, here, tmp_path, make):
    with make() as executor:
        assert same_bytes(kedge.train_many(configurations, tmp_path, executor=executor), here)


def test_the_same_call_goes_on(kedge, configurations, here, tmp_path):
    def interrupt(iteration):
        raise KeyboardInterrupt

    kept = kedge.train_many(configurations[:1], tmp_path)[0]
    policy = kept.directory / "policy.h5"
    before = policy.stat()
    interrupted = tmp_path / here[1].directory.name
    with pytest.raises(KeyboardInterrupt):
        kedge.train(**configurations[1], out=interrupted, callback=interrupt)
    assert same_bytes(kedge.train_many(configurations, tmp_path), here)
    assert policy.stat().st_mtime_ns == before.st_mtime_ns and policy.stat().st_ino == before.st_ino


def test_another_task_or_option_is_another_run(kedge, configurations, here, tmp_path):
    first = configurations[0]
    others = [{**first, "epsilon": 0.3}, {**first, "task": kedge.Task.load("double_link", horizon=21)}, {**first, "iterations": 2}]
    runs = kedge.train_many([first, *others, first], tmp_path)
    assert len({run.directory for run in runs}) == 4 and runs[0] == runs[-1]
    assert same_bytes(runs[:1], here[:1])


@pytest.mark.parametrize("wrong, says", [({"epsilon": -1}, "epsilon"), ({"epsilom": 1}, "epsilom"), ({"task": None}, "task is missing"),
                                         ({"task": "double_lonk"}, "double_lonk"), ({"algorithm": "mato"}, "mato"),
                                         ({"seed": "one"}, "seed"), ({"seed": -1}, "seed")])
def test_what_is_wrong_is_named_before_any_run(kedge, configurations, tmp_path, wrong, says):
    with pytest.raises(kedge.InputError, match=rf"configurations\[1\] = .*{says}"):
        kedge.train_many([configurations[0], {**configurations[1], **wrong}], tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_run_that_fails_is_named_and_the_others_are_done(kedge, configurations, here, tmp_path):
    (tmp_path / here[0].directory.name).mkdir()  # as of a worker that was killed at once
    foreign = tmp_path / here[1].directory.name
    foreign.mkdir()
    (foreign / "mine.txt").write_text("mine")
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        with pytest.raises(kedge.SystemFailure, match=r"1 of 4 runs are not done, the first \{.*'gps'.*'seed': 2.*: is not empty"):
            kedge.train_many(configurations, tmp_path, executor=executor)
    done = [tmp_path / run.directory.name / "policy.h5" for run in here]
    assert [path.exists() for path in done] == [True, False, True, True]


def test_a_task_goes_to_another_process(kedge, task, tmp_path, monkeypatch):
    assert pickle.loads(pickle.dumps(task)).text == task.text
    (tmp_path / "robot.xml").write_text("""<mujoco><worldbody><body><joint name="j" type="slide"/><geom size="0.1"/></body></worldbody>
        <actuator><motor joint="j"/></actuator></mujoco>""")
    (tmp_path / "robot.toml").write_text("""kedge = 1
model = "robot.xml"
horizon = 5
control_step = 0.01
[[cost]]
name = "effort"
of = "action"
""")
    monkeypatch.chdir(tmp_path)
    own = kedge.Task.load("robot.toml")
    carried = pickle.dumps(own)
    monkeypatch.chdir("/")
    assert pickle.loads(carried).text == own.text
    in_python = task.with_cost(lambda x, u, y: 0.0)
    with pytest.raises(kedge.InputError, match="written in Python"):
        pickle.dumps(in_python)
    with pytest.raises(kedge.InputError, match="written in Python"):
        kedge.train_many([dict(task=in_python, **SMALL)], tmp_path)
