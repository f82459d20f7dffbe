"""Learning curves: scores of one run or of several, with 95 % intervals, as data and as a figure."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.checkpoints import newest_manifest
from utils.figures import COLOURS, FAINT, INK, new_figure, tidy
from utils.results import read_scores
from utils.runs import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {"learner_step": "learner steps", "env_step": "environment steps", "minutes": "minutes of training"}
NORMAL = 1.96  # standard errors on either side of a mean over many episodes: 95 %


@dataclass(frozen=True)
class Curve:
    """Scores of a training by learner step, all float64 [n]: where along x, mean, and half the 95 % interval's width."""

    label: str
    learner_steps: np.ndarray
    x: np.ndarray
    mean: np.ndarray
    half_width: np.ndarray


def run_curve(label: str, results: Path, folder: Path, x: str = "learner_step", starts: str = "") -> Curve:
    """The curve of the run in `folder`, whose scores are in `results` (without .csv or .txt); empty when it has none.

    `x` is one of AXES. Only scores that compare are taken: of one run, from one set of episodes. That is the set named
    `starts`, or of the seeds the one that most checkpoints were tested with.
    """
    run_id = read_run(folder).get("run_id") or newest_manifest(folder).get("run_id")
    tests: dict[tuple[str, str], dict[float, tuple[float, ...]]] = {}
    for row in read_scores(results):
        if row["starts"] != starts or (run_id and row["run_id"] not in ("", run_id)):
            continue
        try:
            step, place = float(row["learner_step"]), float(row["seconds"]) / 60 if x == "minutes" else float(row[x])
            numbers = (step, place, float(row["mean"]), NORMAL * float(row["sem"]))
        except ValueError:
            continue  # the original's lines tell nothing but the learner step
        if np.isfinite(numbers[:3]).all():
            test = tests.setdefault((row["run_id"], row["first_seed"]), {})
            test[step] = numbers  # of a checkpoint tested twice the last counts
    scores = max(tests.values(), key=len, default={})
    columns = np.array(sorted(scores.values())).reshape(-1, 4).T
    return Curve(label, columns[0], columns[1], columns[2], np.nan_to_num(columns[3]))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of several runs at the learner steps that all have, with Student's 95 % interval between runs."""
    from scipy.stats import t  # loads slowly

    shared = sorted(set.intersection(*(set(curve.learner_steps) for curve in curves)))
    rows = [np.isin(curve.learner_steps, shared) for curve in curves]
    x, means = (
        np.array([getattr(curve, name)[row] for curve, row in zip(curves, rows, strict=True)]) for name in ("x", "mean")
    )
    count = len(curves)
    if count == 1:
        return curves[0]
    half_width = t.ppf(0.975, count - 1) * means.std(axis=0, ddof=1) / count**0.5
    label = f"mean of {count} runs, 95 % interval"
    return Curve(label, np.array(shared), x.mean(axis=0), means.mean(axis=0), half_width)


def published_curve(path: Path, env: str, label: str) -> Curve | None:
    """The curve of an environment in a CSV file of env, learner_step, mean_reward, sem; None when it has none."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["env"] == env]
    if not rows:
        return None
    steps, mean, sem = (np.array([float(row[name]) for row in rows]) for name in ("learner_step", "mean_reward", "sem"))
    return Curve(label, steps, steps, mean, NORMAL * sem)


def draw_curves(
    curves: Sequence[Curve], title: str, x: str = "learner_step", published: Curve | None = None, solved: float | None = None
) -> "Figure":
    """Curves with their bands, a published one in grey behind them, and the score that counts as solved.

    The picture ends where the longest of `curves` does; a published curve alone is shown whole. Raises DependencyError
    without matplotlib.
    """
    figure = new_figure(8.4, 4.6)
    axes = figure.subplots()
    plot_curves(axes, curves, published, solved)
    axes.set_title(title, fontsize=12)
    axes.set_xlabel(AXES[x])
    axes.set_ylabel("mean return of an episode")
    return figure


def plot_curves(axes: "Axes", curves: Sequence[Curve], published: Curve | None = None, solved: float | None = None) -> None:
    """The same into axes that are there already, without title and labels."""
    curves = [curve for curve in curves if len(curve.x)]
    end = max((curve.x[-1] for curve in curves), default=np.inf)
    if published is not None:
        shown = published.x <= end
        _plot(axes, published, FAINT, shown if shown.any() else slice(0, 1))
    for i, curve in enumerate(curves):
        _plot(axes, curve, COLOURS[i % len(COLOURS)], slice(None), "osD^v"[i // len(COLOURS) % 5])
    if solved is not None:
        axes.axhline(solved, color=INK, linewidth=1, linestyle="--", label=f"solved ({solved:g})")
    tidy(axes)
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, loc="best", frameon=False)


def thousands(value: float) -> str:
    """A count as an axis shows it: 20k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _plot(axes: "Axes", curve: Curve, colour: str, rows: slice | np.ndarray, marker: str = "o") -> None:
    x, mean, half_width = curve.x[rows], curve.mean[rows], curve.half_width[rows]
    size = 4 if len(x) <= 40 else 0
    axes.fill_between(x, mean - half_width, mean + half_width, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, mean, color=colour, marker=marker, markersize=size, linewidth=1.6, label=curve.label)
    if len(x) == 1:  # a band of no width is not to be seen
        axes.errorbar(x, mean, half_width, color=colour, capsize=4)
