"""Learning curves: which scores are drawn, and the intervals around them, by hand."""

import json

import numpy as np
import pytest

import params
from utils.curves import AXES, Curve, draw_curves, mean_curve, published_curve, run_curve, thousands
from utils.results import append_result

ROW = dict(env_step=80, seconds=120.0, min=-2.0, max=0.0, episodes=10, starts="", run_id="r1", checkpoint="c")


def add(path, step, mean, sem=1.0, first_seed=1_000_000, **more):
    append_result(path, ROW | dict(learner_step=step, mean=mean, sem=sem, first_seed=first_seed) | more)


def points(curve):
    return list(zip(curve.x.tolist(), curve.mean.tolist(), strict=True))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results" / "Toy-v0"


def test_a_curve_is_its_scores_by_learner_step_with_95_percent_intervals(tmp_path, results):
    add(results, 20, -1.0, 0.5)
    add(results, 10, -3.0, 1.0)
    curve = run_curve("a run", results, tmp_path)
    assert points(curve) == [(10, -3.0), (20, -1.0)]
    np.testing.assert_allclose(curve.half_width, [1.96, 0.98])


@pytest.mark.parametrize(("x", "place"), [("learner_step", 10), ("env_step", 80), ("minutes", 2.0)])
def test_what_it_is_drawn_against(tmp_path, results, x, place):
    add(results, 10, -3.0)
    assert points(run_curve("", results, tmp_path, x)) == [(place, -3.0)]


def test_scores_from_other_episodes_are_not_mixed_in(tmp_path, results):
    add(results, 10, -3.0)
    add(results, 20, -2.0)
    add(results, 20, -9.0, first_seed=0)
    add(results, 20, -8.0, first_seed="", starts="starts.csv")
    assert points(run_curve("", results, tmp_path)) == [(10, -3.0), (20, -2.0)]
    assert points(run_curve("", results, tmp_path, starts="starts.csv")) == [(20, -8.0)]


def test_scores_of_another_run_in_the_same_file_are_not_either(tmp_path, results):
    for step in (10, 20, 30):
        add(results, step, -9.0, run_id="before")
    add(results, 10, -3.0)
    (tmp_path / "run.json").write_text(json.dumps({"run_id": "r1"}))
    assert points(run_curve("", results, tmp_path)) == [(10, -3.0)]


def test_a_checkpoint_that_was_tested_twice_counts_once(tmp_path, results):
    add(results, 10, -3.0)
    add(results, 10, -2.0)
    assert points(run_curve("", results, tmp_path)) == [(10, -2.0)]


def test_the_originals_text_alone_gives_a_curve_over_learner_steps_only(tmp_path, results):
    add(results, 10, -3.0, 0.5)
    results.with_name("Toy-v0.csv").unlink()
    assert points(run_curve("", results, tmp_path)) == [(10, -3.0)]
    assert points(run_curve("", results, tmp_path, "env_step")) == []


def test_no_scores_at_all_are_an_empty_curve(tmp_path, results):
    assert points(run_curve("", results, tmp_path)) == []


def of(steps, means, x=None):
    steps, means = np.array(steps, float), np.array(means, float)
    return Curve("", steps, steps if x is None else np.array(x, float), means, np.zeros(len(steps)))


def test_the_mean_of_runs_has_students_interval_where_all_have_a_score():
    curve = mean_curve([of([10, 20, 30], [1.0, 4.0, 9.0], [1, 2, 3]), of([10, 20], [3.0, 8.0], [3, 4])])
    assert points(curve) == [(2.0, 2.0), (3.0, 6.0)]
    # of two numbers a and b the standard error is |a - b| / 2, and t at 97.5 % with one degree of freedom is 12.706
    np.testing.assert_allclose(curve.half_width, [12.706, 25.412], rtol=1e-4)


def test_of_one_run_the_mean_is_itself():
    assert points(mean_curve([of([10], [1.0])])) == [(10, 1.0)]


def test_the_published_curve_is_there_for_the_originals_four_environments():
    path = params.HERE / "data" / "original_learning_curves.csv"
    for old, (new, _) in params.RENAMED.items():
        assert len(published_curve(path, old, "").x) > 40, new
    assert published_curve(path, "Toy-v0", "") is None
    curve = published_curve(path, "Pendulum-v0", "")
    assert points(curve)[0] == (10_000, -214.38)
    assert curve.half_width[0] == pytest.approx(1.96 * 16.95)


def test_a_drawing_has_its_lines_its_units_and_what_counts_as_solved():
    published = of([10, 20, 500], [0.0, 1.0, 2.0])
    figure = draw_curves([of([10, 20], [1.0, 2.0])], "Toy-v0", "env_step", published, 200.0)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("environment steps", "mean return of an episode")
    assert [list(line.get_xdata()) for line in axes.lines] == [[10, 20], [10, 20], [0, 1]]  # cut where our own ends
    assert axes.get_legend().get_texts()[-1].get_text() == "solved (200)"


def test_the_published_curve_alone_is_shown_whole():
    (axes,) = draw_curves([], "Toy-v0", published=of([10, 20, 500], [0.0, 1.0, 2.0])).axes
    assert list(axes.lines[0].get_xdata()) == [10, 20, 500]


def test_the_parameters_know_the_same_axes():
    assert set(AXES) == set(params.AXES)


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (950, "950"), (20_000, "20k"), (1_500_000, "1.5M")])
def test_counts_are_short_on_an_axis(value, shown):
    assert thousands(value) == shown
