"""Learning curves as data: test scores and training returns of runs, means of runs, and areas."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.storage.checkpoints import newest_manifest
from utils.storage.lines import number
from utils.storage.results import ScoreKind, read_scores
from utils.storage.run_folder import read_run

PUBLISHED_EPISODES = 100  # of each point of the original's curves
TRAINING = "training episodes, with exploration noise"
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
