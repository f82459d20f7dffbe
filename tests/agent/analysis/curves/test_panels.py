"""Learning curves as a figure: lines, bands, labels and axes."""

from dataclasses import replace

import numpy as np

from agent.analysis import plot_params
from agent.analysis.curves.curve import Curve
from agent.analysis.curves.panels import AXES, Panel, draw_curves


def of(steps, means, x=None, **more):
    steps, means = np.array(steps, float), np.array(means, float)
    return Curve("", steps, steps if x is None else np.array(x, float), means, np.zeros(len(steps)), **more)


def test_a_figure_has_lines_units_and_the_solved_threshold():
    published = of([10, 20, 500], [0.0, 1.0, 2.0])
    figure = draw_curves([Panel([of([10, 20], [1.0, 2.0])], "Toy-v0", "env_step", published, 200.0)])
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("environment steps", "mean return of an episode")
    assert [list(line.get_xdata()) for line in axes.lines] == [[10, 20], [10, 20], [0, 1]]  # cut where our own ends
    assert axes.get_legend().get_texts()[-1].get_text() == "solved (200)"


def test_panels_are_one_below_the_other_with_their_own_titles():
    figure = draw_curves(*([Panel([of([10], [1.0])], title)] for title in ("Toy-v0", "Toy-v1")))
    assert [axes.get_title() for axes in figure.axes] == ["Toy-v0", "Toy-v1"]
    upper, lower = (axes.get_position() for axes in figure.axes)
    assert upper.y0 > lower.y1


def test_panels_of_a_column_with_common_axes_have_one_title_and_one_name_of_the_x_axis():
    row = [Panel([of([10], [1.0])], "Toy-v0"), Panel([of([10], [100.0])], "Toy-v1")]
    figure = draw_curves(row, [Panel([of([20], [5.0])], "Toy-v0"), row[1]], common=True)
    first, second, third, fourth = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["Toy-v0", "Toy-v1", "", ""]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "learner steps", "learner steps"]
    assert (first.get_xlim(), first.get_ylim()) == (third.get_xlim(), third.get_ylim())
    assert first.get_ylim() != second.get_ylim() == fourth.get_ylim()


def test_the_runs_behind_a_mean_are_thin_and_have_its_colour():
    runs = [of([10, 20], [0.0, 2.0]), of([10, 20], [2.0, 4.0])]
    (axes,) = draw_curves([Panel([of([10, 20], [9.0, 9.0]), of([10, 20], [1.0, 3.0])], "Toy-v0", runs=[[], runs])]).axes
    means = {tuple(line.get_ydata()): line for line in axes.lines}
    mean = means[1.0, 3.0]
    for thin in (means[0.0, 2.0], means[2.0, 4.0]):
        assert thin.get_color() == mean.get_color() != means[9.0, 9.0].get_color()
        assert thin.get_linewidth() < mean.get_linewidth()


def test_the_x_axis_ends_with_the_data():
    published = of([10, 20, 500], [0.0, 1.0, 2.0])
    (axes,) = draw_curves([Panel([of([4, 8], [1.0, 2.0])], "Toy-v0", published=published)]).axes
    assert axes.get_xlim()[1] < 9  # the published curve begins beyond
    (axes,) = draw_curves([Panel([of([], [])], "Toy-v0", published=published, training=[of([1, 30], [1.0, 2.0])])]).axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[10, 20], [1, 30]]


def test_training_returns_are_fainter_and_labelled_once():
    curves = [replace(of([10, 20], [1.0, 2.0]), label=label) for label in "ab"]
    noisy = [replace(of([1, 2], [1.0, 2.0]), label="training") for _ in "ab"]
    (axes,) = draw_curves([Panel(curves, "Toy-v0", training=noisy)]).axes
    assert [line.get_alpha() for line in axes.lines[:2]] == [0.4, 0.4]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "a", "b"]
    assert axes.lines[1].get_color() == axes.lines[3].get_color()


def test_a_run_without_scores_is_named_at_its_training_returns():
    curves = [replace(of([], []), label="a"), replace(of([10], [1.0]), label="b")]
    noisy = [replace(of([1, 2], [1.0, 2.0]), label="training") for _ in "ab"]
    (axes,) = draw_curves([Panel(curves, "Toy-v0", training=noisy)]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a: training", "training", "b"]


def test_the_parameters_know_the_same_axes():
    assert set(AXES) == set(plot_params.AXES)
