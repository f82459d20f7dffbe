"""The support: where the return distributions lie between v_min and v_max over a training, and whether that is enough."""

import contextlib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agent.evaluation import play
from agent.loading import LoadedCheckpoint
from agent.scaling import SETTLED, WARNED_MASS, support_warnings
from utils.envs.environment import Environment
from utils.errors import CheckpointError
from utils.media.figures import COLOURS, FAINT, INK, new_figure, thousands, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHECKPOINTS = 40  # at most so many are asked


@dataclass(frozen=True)
class Support:
    """By checkpoint, oldest first: learner_steps [c], and the return distribution [c, K] over `atoms` [c, K], raw rewards.

    Each distribution is the mean of those of the states that the checkpoint's own policy visits. Atoms differ where an
    automatic support has moved.
    """

    learner_steps: np.ndarray
    atoms: np.ndarray
    probs: np.ndarray

    def quantile(self, share: float) -> np.ndarray:
        """The return [c] below which `share` of the mass lies."""
        index = (self.probs.cumsum(axis=1) >= share - 1e-6).argmax(axis=1)
        return np.take_along_axis(self.atoms, index[:, None], axis=1)[:, 0]

    @property
    def mean(self) -> np.ndarray:
        """The mean return [c]."""
        return (self.probs * self.atoms).sum(axis=1)


def visited(loaded: LoadedCheckpoint, env: Environment, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Observations [n, S] and actions [n, A] of a noise-free episode from each of `seeds`."""
    steps = [step for seed in seeds for step, _ in play(loaded.policy, env, seed)]
    return np.array([step.obs for step in steps]), np.array([step.action for step in steps])


def support_of(series: Sequence[LoadedCheckpoint], make: Callable[[], Environment], seeds: Sequence[int]) -> Support:
    """Ask each checkpoint's critic about an episode of its policy from each of `seeds`.

    Raises CheckpointError for scalar critics, which have no support.
    """
    if (newest := series[-1].critic.atoms) is None:
        raise CheckpointError(f"{series[-1].path} has a scalar critic, which has no support and no distribution to draw.")
    series = [loaded for loaded in series if loaded.critic.atoms is not None and len(loaded.critic.atoms) == len(newest)]
    with contextlib.closing(make()) as env:
        probs = [np.asarray(loaded.critic.distribution(*visited(loaded, env, seeds))).mean(axis=0) for loaded in series]
    atoms = np.array([loaded.critic.atoms for loaded in series])
    return Support(np.array([loaded.learner_step for loaded in series]), atoms, np.array(probs))


def outside(log: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The greatest share of the target mass "below" and "above" the support, once the run has settled.

    Empty for a log without these columns.
    """
    if "target_mass_above" not in log or not len(log["learner_step"]):
        return {}
    settled = log["learner_step"] >= SETTLED * log["learner_step"][-1]
    return {side: float(np.nanmax(log[f"target_mass_{side}"], where=settled, initial=0.0)) for side in ("below", "above")}


def warnings_of_log(log: Mapping[str, np.ndarray], v_min: float, v_max: float) -> list[str]:
    """The sentences that a learner's log gives reason for, once the run has settled."""
    shares = outside(log)
    return [sentence for _, sentence in support_warnings(shares["below"], shares["above"], v_min, v_max)] if shares else []


def draw_support(
    support: Support, log: Mapping[str, np.ndarray], title: str, notes: Sequence[str] = (), narrow: bool = False
) -> "Figure":
    """Above, where the mass lies within [v_min, v_max]; below, how much is at the edge atoms and outside.

    `log` holds the columns of learner.csv, or nothing. With `narrow` the legends stand below. Raises DependencyError
    without matplotlib.
    """
    figure = new_figure(4.6, 8.0) if narrow else new_figure(9.6, 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_quantiles(upper, support)
    _draw_bounds(upper, support, log)
    _draw_edges(lower, support, log)
    lower.set_xlabel("learner steps")
    lower.xaxis.set_major_formatter(lambda value, _: thousands(value))
    for axes, below in ((upper, -0.08), (lower, -0.28)):  # no legend hides data, or the name of the x-axis
        place = (0.0, below) if narrow else (1.0, 1.0)
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=place)
        tidy(axes)
    words = textwrap.fill("\n".join([title, *notes]), 48, replace_whitespace=False) if narrow else "\n".join([title, *notes])
    figure.suptitle(words, fontsize=11 if narrow else 12)
    return figure


def _draw_quantiles(axes: "Axes", support: Support) -> None:
    steps, marker = support.learner_steps, "o" if len(support.learner_steps) < 2 else ""
    for low, high, colour in (
        (0.01, 0.99, "#d9eaf4"),
        (0.05, 0.95, "#a6cce3"),
        (0.25, 0.75, "#5ba3cc"),
    ):  # opaque, as in the legend
        label = f"{high - low:.0%} of the mass"
        bottom, top = support.quantile(low), support.quantile(high)
        axes.fill_between(steps, bottom, top, color=colour, linewidth=0, label=label)
        if marker:  # a band of no width is not to be seen
            axes.vlines(steps, bottom, top, color=colour, linewidth=16)
    axes.plot(steps, support.mean, color=INK, linewidth=1.6, marker=marker, label="mean")
    axes.margins(y=0.12)  # room for the names of the bounds
    axes.set_title("Return distribution of the states that the policy visits", fontsize=10)
    axes.set_ylabel("discounted return, raw rewards")


def _draw_bounds(axes: "Axes", support: Support, log: Mapping[str, np.ndarray]) -> None:
    """v_min and v_max: constant where they were given, with the moves of the log where they were chosen."""
    for name, atom in (("v_min", 0), ("v_max", -1)):
        edges = support.atoms[:, atom]
        if np.all(edges == edges[0]):
            axes.axhline(edges[0], color=COLOURS[1], linewidth=1.4, linestyle="--")
        else:
            logged = f"{name}_raw" in log and len(log["learner_step"]) > 0
            steps, values = (log["learner_step"], log[f"{name}_raw"]) if logged else (support.learner_steps, edges)
            axes.step(steps, values, where="post", color=COLOURS[1], linewidth=1.4, linestyle="--")
        below = name == "v_min"  # each name stands outside the support, where no mass is drawn
        axes.annotate(
            f"{name}: {edges[-1]:.4g}",
            (1.0, edges[-1]),
            xytext=(0, -4 if below else 4),
            textcoords="offset points",
            xycoords=("axes fraction", "data"),
            ha="right",
            va="top" if below else "bottom",
            color=COLOURS[1],
            fontsize=9,
        )


def _draw_edges(axes: "Axes", support: Support, log: Mapping[str, np.ndarray]) -> None:
    steps, shares = support.learner_steps, outside(log)
    for edge, name, side, colour, marker in ((0, "first", "below", COLOURS[0], "o"), (-1, "last", "above", COLOURS[2], "s")):
        label = f"on the {name} atom{_judged(shares.get(side))}"
        axes.plot(steps, support.probs[:, edge], color=colour, marker=marker, markersize=4, label=label)
    for side, style in (("below", "--"), ("above", "-")):
        if f"target_mass_{side}" in log:
            label = f"target mass {side} the support"
            axes.plot(log["learner_step"], log[f"target_mass_{side}"], color=COLOURS[1], linestyle=style, label=label)
    axes.axhline(WARNED_MASS, color=FAINT, linewidth=1, linestyle=":", label=f"warning for target mass ({WARNED_MASS:.0%})")
    axes.set_ylim(bottom=0.0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.1%}")
    axes.set_title("Mass at the edges and outside", fontsize=10)
    axes.set_ylabel("share of the mass")


def _judged(share: float | None) -> str:
    """The meaning of mass on an edge atom, by the target mass beyond that edge: it belongs there, or is cut off."""
    if share is None:
        return ""
    return " (targets are cut off)" if share > WARNED_MASS else " (no fault)"
