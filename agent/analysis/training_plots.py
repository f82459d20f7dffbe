"""Figures from the logs of a training: returns of the agents' episodes, losses, and speed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from utils.media.figures import COLOURS, FAINT, new_figure, thousands, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Log = Mapping[str, np.ndarray]  # the columns of a CSV file, float64 [rows]
SMOOTHED = 20  # episodes in a running mean
# Columns of learner.csv and their titles. Missing columns are not drawn; older logs have only the first.
LOSSES = {
    "critic_loss": "critic loss",
    "kl_divergence": "KL divergence",
    "target_entropy": "entropy of the target",
    "actor_loss": "actor loss",
}
SPEED = {
    "updates_per_s": ("learner steps a second", COLOURS[0]),
    "env_steps_per_s": ("environment steps a second", COLOURS[2]),
    "policy_lag": ("age of the agents' policies, learner steps", COLOURS[1]),
}


def running_mean(values: np.ndarray, count: int) -> np.ndarray:
    """The mean of each value and up to `count` - 1 values before it; float64 [n], as `values`."""
    sums = np.concatenate([[0.0], values.cumsum()])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - count)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw_training(episodes: Log, log: Log, narrow: bool = False) -> "Figure | None":
    """Returns of the training's episodes, from agents.csv, and the losses that learner.csv has; None without either."""
    losses = [name for name in LOSSES if np.isfinite(log.get(name, np.empty(0))).any()]
    returns = len(episodes.get("return", ())) > 0
    panels = _panels(returns + len(losses), narrow)
    if panels is None:
        return None
    figure, free = panels
    if returns:
        axes = free.pop(0)
        order = np.argsort(episodes["env_step"], kind="stable")
        env_step, values = episodes["env_step"][order], episodes["return"][order]
        axes.plot(env_step, values, ".", color=FAINT, alpha=0.4, markersize=3, label="episode")
        axes.plot(env_step, running_mean(values, SMOOTHED), color=COLOURS[0], label=f"mean of {SMOOTHED}")
        axes.legend(fontsize=8, frameon=False)
        _name(axes, "return of training episodes, with noise", "environment steps")
    for axes, name in zip(free, losses, strict=False):
        axes.plot(log["learner_step"], log[name], color=COLOURS[1], linewidth=1.2, marker="." if len(log[name]) < 3 else "")
        _name(axes, LOSSES[name], "learner steps")
    return figure


def draw_speed(log: Log, narrow: bool = False) -> "Figure":
    """Learner steps and environment steps a second, and the age of the agents' policies, from learner.csv."""
    names = [name for name in SPEED if name in log]
    figure, panels = _panels(len(names), narrow) or (new_figure(1, 1), [])
    for axes, name in zip(panels, names, strict=True):
        title, colour = SPEED[name]
        axes.plot(log["seconds"] / 60, log[name], color=colour, linewidth=1.2, marker="." if len(log[name]) < 3 else "")
        axes.set_ylim(bottom=0)
        _name(axes, title, "minutes of training")
    return figure


def _panels(count: int, narrow: bool) -> "tuple[Figure, list[Axes]] | None":
    """A figure with `count` panels, in two columns or in one; None without panels."""
    if not count:
        return None
    columns = 1 if narrow or count == 1 else 2
    rows = -(-count // columns)
    figure = new_figure(4.4 if narrow else 8.4, 2.6 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels[count:]:
        axes.axis("off")
    return figure, panels[:count]


def _name(axes: "Axes", title: str, x: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    tidy(axes)
