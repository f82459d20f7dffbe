"""Learning curves as data: which scores and training returns count, and the intervals around them, by hand."""

import json

import numpy as np
import pytest

import params
from agent import names
from agent.analysis.curves.curve import (
    Curve,
    interquartile_mean,
    mean_curve,
    published_curve,
    run_curve,
    run_scores,
    training_curve,
)
from utils.storage.results import ScoreKind, append_result

ROW = dict(env_step=80, seconds=120.0, min=-2.0, max=0.0, episodes=10, starts="", run_id="r1", checkpoint="c")


def add(path, step, mean, sem=1.0, first_seed=1_000_000, **more):
    append_result(path, ROW | dict(learner_step=step, mean=mean, sem=sem, first_seed=first_seed) | more)


KIND = ScoreKind("1000000", "10", "")


def curve_of(results, folder, x="learner_step", kind=KIND):
    return run_curve("a run", run_scores(results, folder, x), kind, x)


def points(curve):
    return list(zip(curve.x.tolist(), curve.mean.tolist(), strict=True))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results" / "Toy-v0"


def test_a_curve_is_its_scores_by_learner_step_with_students_interval(tmp_path, results):
    add(results, 20, -1.0, 0.5)
    add(results, 10, -3.0, 1.0)
    curve = curve_of(results, tmp_path)
    assert points(curve) == [(10, -3.0), (20, -1.0)]
    np.testing.assert_allclose(curve.half_width, [2.262, 1.131], rtol=1e-3)  # t at 97.5 % with 9 degrees of freedom is 2.262
    assert (curve.lowest, curve.highest) == (-2.0, 0.0)


@pytest.mark.parametrize(("x", "place"), [("learner_step", 10), ("env_step", 80), ("minutes", 2.0)])
def test_x_is_learner_steps_environment_steps_or_minutes(tmp_path, results, x, place):
    add(results, 10, -3.0)
    assert points(curve_of(results, tmp_path, x)) == [(place, -3.0)]


def test_only_scores_of_one_kind_are_in_a_curve(tmp_path, results):
    add(results, 10, -3.0)
    add(results, 20, -2.0)
    add(results, 20, -9.0, first_seed=0)
    add(results, 20, -7.0, episodes=3)
    add(results, 20, -8.0, first_seed="", starts="starts.csv")
    assert points(curve_of(results, tmp_path)) == [(10, -3.0), (20, -2.0)]
    assert points(curve_of(results, tmp_path, kind=ScoreKind("", "10", "starts.csv"))) == [(20, -8.0)]


def test_scores_of_another_run_in_the_same_file_are_left_out(tmp_path, results):
    for step in (10, 20, 30):
        add(results, step, -9.0, run_id="before")
    add(results, 10, -3.0)
    (tmp_path / "run.json").write_text(json.dumps({"run_id": "r1"}))
    assert points(curve_of(results, tmp_path)) == [(10, -3.0)]


def test_without_a_run_the_id_with_most_rows_is_drawn(tmp_path, results):
    add(results, 10, -3.0)
    add(results, 10, -9.0, run_id="before")
    add(results, 20, -9.0, run_id="before")
    assert points(curve_of(results, tmp_path)) == [(10, -9.0), (20, -9.0)]


def test_a_checkpoint_tested_twice_shows_its_last_score(tmp_path, results):
    add(results, 10, -3.0)
    add(results, 10, -2.0)
    assert points(curve_of(results, tmp_path)) == [(10, -2.0)]


def test_the_originals_text_alone_gives_a_curve_over_learner_steps_only(tmp_path, results):
    add(results, 10, -3.0, 0.5)
    results.with_name("Toy-v0.csv").unlink()
    curve = curve_of(results, tmp_path, kind=ScoreKind("", "", ""))
    assert points(curve) == [(10, -3.0)]
    assert curve.half_width[0] == pytest.approx(1.96 * 0.5, rel=1e-4)
    assert points(curve_of(results, tmp_path, "env_step", ScoreKind("", "", ""))) == []


def test_no_scores_at_all_are_an_empty_curve(tmp_path, results):
    assert points(curve_of(results, tmp_path, kind=None)) == []


def of(steps, means, x=None, **more):
    steps, means = np.array(steps, float), np.array(means, float)
    return Curve("", steps, steps if x is None else np.array(x, float), means, np.zeros(len(steps)), **more)


def test_the_mean_of_runs_has_students_interval_where_all_have_a_score():
    curve = mean_curve([of([10, 20, 30], [1.0, 4.0, 9.0], [1, 2, 3]), of([10, 20], [3.0, 8.0], [3, 4])])
    assert points(curve) == [(2.0, 2.0), (3.0, 6.0)]
    # of two numbers a and b the standard error is |a - b| / 2, and t at 97.5 % with one degree of freedom is 12.706
    np.testing.assert_allclose(curve.half_width, [12.706, 25.412], rtol=1e-4)


def test_the_band_is_cut_at_the_returns_of_single_episodes():
    # a mean of returns from -8 to 0 cannot be below -8 or above 0, however wide Student's interval of two runs is
    curve = mean_curve([of([10], [-1.0], lowest=-5.0, highest=0.0), of([10], [-3.0], lowest=-8.0, highest=-1.0)])
    assert [end.tolist() for end in curve.band()] == [[-8.0], [0.0]]
    assert curve.half_width[0] == pytest.approx(12.706, rel=1e-4)
    assert "cut at the returns seen" in curve.label
    assert "cut" not in mean_curve([of([10], [-1.0]), of([10], [-3.0])]).label


LEARNER = {"env_step": np.array([200.0, 300.0]), "learner_step": np.array([100.0, 200.0]), "seconds": np.array([60.0, 120.0])}


def of_envs(*scores):
    return interquartile_mean([np.array(of_env, float) for of_env in scores])


def test_the_interquartile_mean_is_of_the_middle_half_of_all_environments():
    assert of_envs([0, 9, 2, 3], [4, 5, -6, 7])[0] == 3.5  # of 2, 3, 4, 5
    assert of_envs([0, 1, 5])[0] == 2.0  # a quarter of three runs is none
    assert of_envs([0, 1, 5, 90, 91])[0] == 32.0  # one is omitted at each end: of 1, 5, 90


def test_the_bootstrap_of_an_interquartile_mean_draws_within_each_environment():
    assert of_envs([0, 0], [1, 1]) == (0.5, 0.5, 0.5)  # over all environments together, draws would differ
    assert of_envs([0, 1]) == (0.5, 0.0, 1.0)  # each end is a quarter of the draws
    # Of three runs, a draw has the mean 0 with the probability 8 / 27, 1 / 3 with 12 / 27, 2 / 3 with 6 / 27, 1 with 1 / 27.
    assert of_envs([0, 0, 1]) == pytest.approx((1 / 3, 0.0, 1.0))
    mean, low, high = of_envs([0, 1], [1])
    assert mean == pytest.approx(2 / 3)
    assert np.isnan([low, high]).all()


def training(env_step, returns):
    return {"env_step": np.array(env_step, float), "return": np.array(returns, float)}


@pytest.mark.parametrize(
    ("x", "places"),
    [
        ("env_step", [50, 150, 250]),
        ("minutes", [0.25, 0.75, 1.5]),
        ("learner_step", [50, 150]),  # the first learner step was at environment step 100
    ],
)
def test_training_episodes_are_placed_by_their_environment_step(x, places):
    curve = training_curve(training([50, 150, 250], [1, 2, 3]), LEARNER, x)
    assert curve.x.tolist() == places  # of three episodes each is shown
    assert "with exploration noise" in curve.label


def test_training_returns_are_a_moving_mean_of_at_least_ten():
    curve = training_curve(training(range(200, 220), [0, 1] * 10), LEARNER)
    assert curve.label.endswith("(mean of 10)")
    np.testing.assert_allclose(curve.mean, 0.5)
    assert curve.x[0] == pytest.approx(104.5)  # the middle of learner steps 100 to 109


@pytest.mark.parametrize(("x", "places"), [("env_step", [50, 150]), ("minutes", [0.25, 0.75]), ("learner_step", [50])])
def test_training_returns_until_a_learner_step_include_those_before_the_first(x, places):
    curve = training_curve(training([50, 150, 250], [1, 2, 3]), LEARNER, x).until(100)
    assert curve.x.tolist() == places


@pytest.mark.parametrize(("episodes", "learner"), [({}, {}), ({}, LEARNER), (training([5], [1]), {})])
def test_without_logs_there_are_no_training_returns(episodes, learner):
    assert len(training_curve(episodes, learner).x) == 0


def test_the_mean_of_one_run_is_that_run():
    assert points(mean_curve([of([10], [1.0])])) == [(10, 1.0)]


def test_the_published_curve_is_there_for_the_originals_four_environments():
    path = params.HERE / "data" / "original_learning_curves.csv"
    for old, (new, _) in names.RENAMED.items():
        assert len(published_curve(path, old, "").x) > 40, new
    assert published_curve(path, "Toy-v0", "") is None
    curve = published_curve(path, "Pendulum-v0", "")
    assert points(curve)[0] == (10_000, -214.38)
    assert curve.half_width[0] == pytest.approx(1.984 * 16.95, rel=1e-3)  # of 100 episodes
