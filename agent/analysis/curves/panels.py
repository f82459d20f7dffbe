"""Learning curves as a figure: panels of curves with confidence bands."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from agent.analysis.curves.curve import Curve
from utils.media.figures import COLOURS, FAINT, INK, new_figure, thousands, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {"learner_step": "learner steps", "env_step": "environment steps", "minutes": "minutes of training"}
WIDTH, LEAST_WIDTH = 8.4, 5.0  # inches of a single column, of one of several
HEIGHT, LEAST_HEIGHT = 4.6, 2.3  # inches of a row, of one in a column with common axes
TITLE_WIDTH = 9.5  # characters in an inch


class Panel(NamedTuple):
    """The content of one pair of axes: curves with bands, training returns, a published curve and the score for "solved".

    `training` holds the training returns of the same runs, or nothing. `runs` holds the runs behind each curve that is a
    mean, or nothing.
    """

    curves: Sequence[Curve]
    title: str
    x: str = "learner_step"
    published: Curve | None = None
    solved: float | None = None
    training: Sequence[Curve] = ()
    runs: Sequence[Sequence[Curve]] = ()


def draw_curves(*rows: Sequence[Panel], common: bool = False) -> "Figure":
    """Rows of equally many panels, from the top. Raises DependencyError without matplotlib.

    With `common` the panels of a column have the same axes, the title of the first and the name of the x-axis of the last.
    """
    columns = len(rows[0])
    width, height = WIDTH if columns == 1 else LEAST_WIDTH, LEAST_HEIGHT if common else HEIGHT
    figure = new_figure(width * columns, height * len(rows))
    share: Literal["col", "none"] = "col" if common else "none"
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=share, sharey=share)
    for i, row in enumerate(rows):
        for axes, panel in zip(grid[i], row, strict=True):
            _draw_panel(axes, panel)
            if i == 0 or not common:
                axes.set_title(
                    "\n".join(textwrap.wrap(panel.title, int(TITLE_WIDTH * width))), fontsize=12 if columns == 1 else 10
                )
            if i == len(rows) - 1 or not common:
                axes.set_xlabel(AXES[panel.x])
            axes.set_ylabel("mean return" if common else "mean return of an episode")
    return figure


def _draw_panel(axes: "Axes", panel: Panel) -> None:
    # The x-axis ends with the curves and the training returns. The published curve is grey.
    curves, training, published = panel.curves, panel.training, panel.published
    end = max((curve.x[-1] for curve in [*curves, *training] if len(curve.x)), default=-np.inf)
    if published is not None and (shown := published.x <= end).any():
        _plot(axes, published, FAINT, shown)
    labelled = False
    for i, curve in enumerate(training):
        scored = i < len(curves) and len(curves[i].x) > 0
        label = curve.label if scored or len(training) == 1 else f"{curves[i].label}: {curve.label}"
        if len(curve.x):
            label, labelled = ("_nolegend_" if scored and labelled else label), labelled or scored
            axes.plot(curve.x, curve.mean, color=COLOURS[i % len(COLOURS)], alpha=0.4, linewidth=1, label=label)
    for i, curve in enumerate(curves):
        for run in panel.runs[i] if panel.runs else ():
            axes.plot(run.x, run.mean, color=COLOURS[i % len(COLOURS)], alpha=0.6, linewidth=0.8)
        if len(curve.x):
            _plot(axes, curve, COLOURS[i % len(COLOURS)], slice(None), "osD^v"[i // len(COLOURS) % 5])
    if panel.solved is not None:
        axes.axhline(panel.solved, color=INK, linewidth=1, linestyle="--", label=f"solved ({panel.solved:g})")
    tidy(axes)
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, loc="best", frameon=False)


def _plot(axes: "Axes", curve: Curve, colour: str, rows: slice | np.ndarray, marker: str = "o") -> None:
    x, mean, (low, high) = curve.x[rows], curve.mean[rows], (end[rows] for end in curve.band())
    size = 4 if len(x) <= 40 else 0
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, mean, color=colour, marker=marker, markersize=size, linewidth=1.6, label=curve.label)
    if len(x) == 1:  # the band of a single point is invisible
        axes.errorbar(x, mean, np.array([mean - low, high - mean]), color=colour, capsize=4)
