"""kedge.plot: what is drawn is what the runs hold."""

import numpy as np
import pytest

import kedge

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot  # noqa: E402

import kedge.plot  # noqa: E402


def write_run(folder, rollouts, returns):
    folder.mkdir()
    rows = "".join(f"{i},{n},{r}\n" for i, (n, r) in enumerate(zip(rollouts, returns)))
    (folder / "metrics.csv").write_text("iteration,rollouts_total,return_median\n" + rows)
    return folder


@pytest.fixture(scope="module")
def run():
    return kedge.train(kedge.Task.load("double_link", horizon=20), "moto", seed=1, threads=1, iterations=3, rollouts=12)


def test_metrics_of_a_run_and_of_its_directory_are_the_same(tmp_path):
    run = kedge.train("double_link", "random_search", seed=1, threads=1, iterations=2, out=tmp_path / "run")
    for place in (run, run.directory, tmp_path / "run" / "metrics.csv"):
        metrics = kedge.plot.read_metrics(place)
        assert list(metrics) == list(run.metrics)
        for name, values in metrics.items():
            assert np.array_equal(values, run.metrics[name], equal_nan=True), name


def test_a_curve_is_the_median_of_its_runs_until_the_first_ends(tmp_path):
    write_run(tmp_path / "a-1", [10, 20, 30], [-9, -4, -1])
    write_run(tmp_path / "a-2", [10, 20, 30, 40], [-7, -5, -3, -2])
    write_run(tmp_path / "a-3", [15, 30, 45], [-8, -6, -2])
    ax = kedge.plot.learning({"a": str(tmp_path / "a-*")})
    (line,) = ax.lines
    x, y = line.get_data()
    assert list(x) == [10, 15, 20, 30, 40, 45]
    assert list(y[1:4]) == [-8, -5, -3]
    assert np.isnan(y[[0, 4, 5]]).all()  # not all have begun; one has ended
    assert line.get_label() == "a (3 runs)" and ax.get_yscale() == "symlog"
    (band,) = ax.collections
    low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    assert (low, high) == (-8.5, -2)


def test_a_number_that_is_not_finite_is_a_gap(tmp_path):
    place = write_run(tmp_path / "run", [10, 20, 30], [-9, float("nan"), -1])
    y = kedge.plot.learning(place).lines[0].get_ydata()
    assert y[0] == -9 and np.isnan(y[1]) and y[2] == -1


def test_it_draws_into_axes_that_it_is_given(run):
    _, ax = matplotlib.pyplot.subplots()
    assert kedge.plot.learning(run, "kl_max", ax=ax) is ax
    assert list(ax.lines[0].get_ydata()) == list(run.metrics["kl_max"]) and ax.get_yscale() == "linear"


def test_rollouts_are_what_the_policy_saw_and_did(run):
    evaluation = run.evaluate(3)
    names = [run.task.observation_names[1], run.task.action_names[0]]
    seen, done = kedge.plot.rollouts(run.task, evaluation, names)
    assert len(seen.lines) == len(done.lines) == 3
    for n, line in enumerate(seen.lines):
        assert np.array_equal(line.get_ydata(), evaluation.observations[1, n * 21:(n + 1) * 21])
        assert np.allclose(line.get_xdata(), np.arange(21) * run.task.control_step)
    for n, line in enumerate(done.lines):
        expected = np.clip(evaluation.actions[0, n * 20:(n + 1) * 20], run.task.action_low[0], run.task.action_high[0])
        assert np.array_equal(line.get_ydata(), expected)
    assert [ax.get_ylabel() for ax in (seen, done)] == names
    assert len(kedge.plot.rollouts(run.task, evaluation)) == len(run.task.observation_names) + len(run.task.action_names)


def test_what_is_not_there_is_refused_by_name(tmp_path, run):
    with pytest.raises(kedge.InputError, match="there is no such run"):
        kedge.plot.learning(str(tmp_path / "none-*"))
    with pytest.raises(kedge.InputError, match="expected the directory of a run"):
        kedge.plot.read_metrics(tmp_path)
    with pytest.raises(kedge.InputError, match="no column speed; it has iteration"):
        kedge.plot.learning({"a": run}, "speed")
    with pytest.raises(kedge.InputError, match="no observation or action \"torque\"; it has"):
        kedge.plot.rollouts(run.task, run.evaluate(1), ["torque"])


@pytest.fixture(autouse=True)
def closed():
    yield
    matplotlib.pyplot.close("all")
