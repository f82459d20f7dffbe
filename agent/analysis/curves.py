"""Learning curves: test scores and training returns of runs, as data and as a figure."""

import csv
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from utils.media.figures import COLOURS, FAINT, INK, new_figure, tidy
from utils.storage.checkpoints import newest_manifest
from utils.storage.lines import number
from utils.storage.results import ScoreKind, read_scores
from utils.storage.run_folder import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {"learner_step": "learner steps", "env_step": "environment steps", "minutes": "minutes of training"}
PUBLISHED_EPISODES = 100  # of each point of the original's curves
TRAINING = "training episodes, with exploration noise"
TITLE_WIDTH = 80  # characters
LEAST_WINDOW, MOST_WINDOW = 10, 100  # episodes in a moving mean of training returns
RESAMPLES = 10_000  # of a bootstrap


@dataclass(frozen=True)
class Curve:
    """Returns over a training, all float64 [n]: learner steps, x, the mean, and half the width of its 95 % interval.

    A learner step is nan before the first. `lowest` and `highest` are the extreme returns of single episodes, where known.
    """

    label: str
    learner_steps: np.ndarray
    x: np.ndarray
    mean: np.ndarray
    half_width: np.ndarray
    lowest: float = -np.inf
    highest: float = np.inf

    def band(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the 95 % interval, clipped to the returns of single episodes.

        A mean cannot exceed the possible returns, but Student's interval of two or three runs often does.
        """
        low, high = self.mean - self.half_width, self.mean + self.half_width
        return np.maximum(low, min(self.lowest, *self.mean)), np.minimum(high, max(self.highest, *self.mean))

    def until(self, last_step: float) -> "Curve":
        """The curve without what comes after a learner step."""
        rows = ~(self.learner_steps > last_step)  # true where it is nan
        columns = {name: getattr(self, name)[rows] for name in ("learner_steps", "x", "mean", "half_width")}
        return replace(self, **columns)


def run_scores(results: Path, folder: Path, x: str = "learner_step", last_step: float = np.inf) -> list[dict[str, str]]:
    """The rows of results of the run in `folder` with a value for `x`, one of AXES, until a learner step.

    `results` is the path of the scores without an ending. Without a run in `folder`, the most frequent run id is used.
    """
    rows = [row for row in read_scores(results) if np.isfinite(_point(row, x)[:3]).all()]
    run_id = read_run(folder).get("run_id") or newest_manifest(folder).get("run_id")
    if not run_id and rows:
        ((run_id, _),) = Counter(row["run_id"] for row in rows).most_common(1)
    return [row for row in rows if row["run_id"] in ("", run_id) and number(row["learner_step"]) <= last_step]


def run_curve(label: str, rows: Sequence[dict[str, str]], kind: ScoreKind | None, x: str = "learner_step") -> Curve:
    """The scores of one kind as a curve, with Student's 95 % interval over the episodes; empty without any."""
    points = sorted({point[0]: point for point in (_point(row, x) for row in rows if ScoreKind.of(row) == kind)}.values())
    columns = np.array(points).reshape(-1, 6).T
    lowest, highest = min(columns[4], default=-np.inf), max(columns[5], default=np.inf)
    return Curve(label, columns[0], columns[1], columns[2], np.nan_to_num(columns[3]), float(lowest), float(highest))


def _point(row: dict[str, str], x: str) -> tuple[float, ...]:
    """learner_step, place along x, mean, half the interval's width, lowest and highest return of an episode."""
    place = number(row["seconds"]) / 60 if x == "minutes" else number(row[x])
    width = half_width(np.array(number(row["sem"])), number(row["episodes"]))
    ends = number(row["min"], -np.inf), number(row["max"], np.inf)
    return number(row["learner_step"]), place, number(row["mean"]), float(width), *ends


def half_width(sem: np.ndarray, count: float) -> np.ndarray:
    """Half the width of Student's 95 % interval of a mean over `count` values; of a normal one if `count` is nan."""
    from scipy.special import stdtrit  # loads slowly

    return np.asarray(sem * stdtrit(1e9 if np.isnan(count) else count - 1, 0.975))


def shared_steps(curves: Sequence[Curve]) -> np.ndarray:
    """The learner steps [m] that all of these curves have, in ascending order."""
    return np.array(sorted(set.intersection(*(set(curve.learner_steps) for curve in curves))))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of several runs at the learner steps that all have, with Student's 95 % interval between runs."""
    count = len(curves)
    if count == 1:
        return curves[0]
    shared = shared_steps(curves)
    rows = [np.isin(curve.learner_steps, shared) for curve in curves]
    x, means = (
        np.array([getattr(curve, name)[row] for curve, row in zip(curves, rows, strict=True)]) for name in ("x", "mean")
    )
    width = half_width(means.std(axis=0, ddof=1) / count**0.5, count)
    ends = min(curve.lowest for curve in curves), max(curve.highest for curve in curves)
    label = f"mean of {count} runs, 95 % interval"
    mean = Curve(label, shared, x.mean(axis=0), means.mean(axis=0), width, *ends)
    is_cut = len(shared) > 0 and (np.diff(mean.band(), axis=0)[0] < 2 * width * (1 - 1e-9)).any()
    return replace(mean, label=f"{label}, cut at the returns seen") if is_cut else mean


def mean_score(curve: Curve, steps: np.ndarray) -> float:
    """The area under a curve over learner steps [m] that it has, two or more, divided by their range."""
    return float(np.trapezoid(curve.mean[np.isin(curve.learner_steps, steps)], steps) / np.ptp(steps))


def interquartile_mean(scores: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """The mean of the middle half of all scores, and the ends of its 95 % interval (Agarwal et al., 2021, arXiv 2108.13264).

    `scores` holds an array [runs] for each environment. A quarter of all, rounded down, is omitted at each end. The
    percentile bootstrap draws runs within each environment, so the interval is nan if one of them has a single run.
    """
    from scipy.stats import trim_mean  # loads slowly

    mean = float(trim_mean(np.concatenate(scores), 0.25))
    if min(map(len, scores)) < 2:
        return mean, np.nan, np.nan
    rng = np.random.default_rng(0)
    drawn = [of_env[rng.integers(len(of_env), size=(RESAMPLES, len(of_env)))] for of_env in scores]
    low, high = np.quantile(trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1), (0.025, 0.975))
    return mean, float(low), float(high)


def training_curve(episodes: Mapping[str, np.ndarray], learner: Mapping[str, np.ndarray], x: str = "learner_step") -> Curve:
    """The moving mean of the returns of training episodes; empty without episodes that have a value for `x`.

    `episodes` holds the columns of agents.csv. `learner` holds those of learner.csv, which map environment steps to
    learner steps and time. A curve over learner steps omits episodes before the first learner step.
    """
    env_step, returns = (episodes.get(name, np.zeros(0)) for name in ("env_step", "return"))
    place, steps = (_placed(env_step, learner, axis) for axis in (x, "learner_step"))
    known = np.isfinite(place) & np.isfinite(returns)
    order = np.argsort(place[known], kind="stable")
    steps, place, returns = (column[known][order] for column in (steps, place, returns))
    window = min(max(LEAST_WINDOW, len(returns) // 50), MOST_WINDOW, max(1, len(returns) // 2))
    if not len(returns):
        return Curve("", *np.zeros((4, 0)))
    steps, places, means = (np.convolve(column, np.ones(window) / window, "valid") for column in (steps, place, returns))
    return Curve(f"{TRAINING} (mean of {window})", steps, places, means, 0 * means)


def _placed(env_step: np.ndarray, learner: Mapping[str, np.ndarray], x: str) -> np.ndarray:
    if x == "env_step":
        return env_step
    name = "seconds" if x == "minutes" else "learner_step"
    known = np.array([learner.get("env_step", np.zeros(0)), learner.get(name, np.zeros(0))])
    known = known[:, np.isfinite(known).all(axis=0)]
    if not known.size:
        return np.full(len(env_step), np.nan)
    if x == "minutes":
        return np.interp(env_step, [0, *known[0]], [0, *known[1]]) / 60
    (first, first_step), (last, last_step) = known[:, 0], known[:, -1]
    ratio = (last - first) / (last_step - first_step) if last_step > first_step else 0.0  # environment steps in a learner step
    begin = max(0.0, first - ratio * first_step)
    return np.where(env_step >= begin, np.interp(env_step, [begin, *known[0]], [0, *known[1]]), np.nan)


def published_curve(path: Path, env: str, label: str) -> Curve | None:
    """The curve of an environment in a CSV file of env, learner_step, mean_reward, sem; None when it has none."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["env"] == env]
    if not rows:
        return None
    steps, mean, sem = (np.array([float(row[name]) for row in rows]) for name in ("learner_step", "mean_reward", "sem"))
    return Curve(label, steps, steps, mean, half_width(sem, PUBLISHED_EPISODES))


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


def thousands(value: float) -> str:
    """A count as an axis shows it: 20k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _plot(axes: "Axes", curve: Curve, colour: str, rows: slice | np.ndarray, marker: str = "o") -> None:
    x, mean, (low, high) = curve.x[rows], curve.mean[rows], (end[rows] for end in curve.band())
    size = 4 if len(x) <= 40 else 0
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, mean, color=colour, marker=marker, markersize=size, linewidth=1.6, label=curve.label)
    if len(x) == 1:  # the band of a single point is invisible
        axes.errorbar(x, mean, np.array([mean - low, high - mean]), color=colour, capsize=4)
