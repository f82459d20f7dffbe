"""Learning curves as a figure: panels of curves with confidence bands."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agent.analysis.curves.curve import Curve
from utils.media.figures import COLOURS, FAINT, INK, new_figure, thousands, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {"learner_step": "learner steps", "env_step": "environment steps", "minutes": "minutes of training"}
TITLE_WIDTH = 80  # characters


class Panel(NamedTuple):
    """What is drawn in one pair of axes: curves with bands, training returns, a published curve and the score for "solved".

    `training` holds the training returns of the same runs, or nothing.
    """

    curves: Sequence[Curve]
    title: str
    x: str = "learner_step"
    published: Curve | None = None
    solved: float | None = None
    training: Sequence[Curve] = ()


def draw_curves(*panels: Panel) -> "Figure":
    """The panels, one below the other. Raises DependencyError without matplotlib."""
    figure = new_figure(8.4, 4.6 * len(panels))
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        _draw_panel(axes, panel)
        axes.set_title("\n".join(textwrap.wrap(panel.title, TITLE_WIDTH)), fontsize=12)
        axes.set_xlabel(AXES[panel.x])
        axes.set_ylabel("mean return of an episode")
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
