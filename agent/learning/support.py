"""The support of the critic: given by v_min and v_max, or chosen from the rewards and moved when they change.

Bounds are raw returns here; networks see them divided by the reward scale.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from agent.config import ATOM_DISTANCE, horizon
from agent.learning.averages import MEMORY, Averages, Statistics, average
from params import TrainParams
from utils.bounds import LARGE
from utils.errors import ParameterError
from utils.replay.returns import Bounds, ObservedReturns

WIDTH = 20.0  # of an automatic support, in scaled rewards
HEADROOM = 0.25  # share of the width that is added on either side
FIRST_ROOM = 0.1  # share of the width that lies above the mean of the first critic, at least
OUTSIDE = 0.01  # mean target mass beyond a bound from which that side grows
USED = 0.99  # share of the target mass that a smaller support must hold
SHRINK = 0.4  # share of the width: the support shrinks when one of at most this width suffices
SETTLED = 2000  # learner steps from one move to the next that makes it smaller
AGREEMENT = 100  # learner steps after a move, at least, until the target critic follows again
PATIENCE = 3000  # the same, at most
HOPELESS = 0.9  # mean target mass outside a given support from which training stops
JUDGED = 1000  # learner steps after which HOPELESS is checked


class Move(NamedTuple):
    """New bounds for the learner.

    After a move, `moved_from` are the bounds to which the critics' outputs still refer. The target critics then keep their
    weights and bounds, until a Move with `has_agreed` lets them copy the critics. `first_mean` is the mean that a new critic
    predicts, in the first Move alone.
    """

    first_mean: float | None = None
    moved_from: Bounds | None = None
    has_agreed: bool = False


class FixedSupport:
    """The support that v_min and v_max give. Raises ParameterError from `judge` where nearly all mass lies outside."""

    def __init__(self, params: TrainParams):
        scale, (v_min, v_max) = params.reward_scale, params.support
        self._scale, self._horizon = scale, horizon(params)
        self.observed = ObservedReturns()
        self.bounds = self.target_bounds = Bounds(v_min * scale, v_max * scale)
        self._outside, self._steps = 0.0, 0

    def begin(self) -> Move | None:
        """None, since nothing is chosen."""
        return None

    def judge(self, statistics: Statistics, updates: int) -> Move | None:
        """Raise ParameterError, with bounds that would fit, when nearly all target mass lies outside for long."""
        self._outside = average(self._outside, statistics.below + statistics.above, updates, self._steps)
        self._steps += updates
        observed = self.observed.extremes()
        if self._steps >= JUDGED and self._outside > HOPELESS and observed is not None:
            fitting = with_headroom(observed, self.observed.limits(self._horizon))
            low, high = (f"{bound / self._scale:.3g}" for bound in fitting)
            raise ParameterError(
                f"{self._outside:.0%} of the target mass lies outside v_min and v_max, so nothing can be learned. The returns "
                f"that were seen fit --v-min {low} --v-max {high}; or leave out both, and the support is chosen automatically."
            )
        return None

    def state(self) -> dict[str, Any]:
        """The state for `restore`, of JSON types."""
        return {"returns": self.observed.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.observed.restore(state["returns"])


class AutomaticSupport:
    """Evenly spaced atoms between bounds that follow the observed returns and the target mass.

    * It begins with the returns of the random steps, with headroom. New critics predict a mean of 0 there, as scalar critics
      do, or that of the middle where it is higher: with the middle of negative returns an action that was not tried yet looks
      like the worst, and BipedalWalker stood still.
    * A side grows when observed returns lie beyond it (low ones: of more than a tenth of the episodes), or when more than
      OUTSIDE of the target mass does so for long. Mass alone moves it at most one width beyond the observed returns, so that
      the estimates of a critic cannot grow without limit. No bound exceeds the greatest reward / (1 - discount_rate).
    * It shrinks when SHRINK of it would hold the observed returns and the target mass.
    * When it moves, the target critics keep weights and atoms until the online critics agree with their targets.
    """

    def __init__(self, params: TrainParams, say: Callable[[str], object] = lambda sentence: None):
        """`say` gets a sentence for the first support and for each move."""
        self._num_atoms, self._horizon, self._say = params.num_atoms, horizon(params), say
        self._has_atoms = params.value_head == "categorical"  # a scalar critic takes its reward scale from the first bounds
        self.observed = ObservedReturns()
        self.bounds = self.target_bounds = Bounds(-1.0, 1.0)
        self._has_begun, self._is_settling = False, False
        self._error_before = 0.0  # the TD error before the last move
        self._averages = Averages()

    def begin(self) -> Move | None:
        """The first support, from the returns of the random steps. None once it was chosen."""
        if self._has_begun:
            return None
        self._has_begun = True
        observed = self.observed.bounds()
        if observed is not None and (observed.width or observed.low):
            self.bounds = self.target_bounds = self._widened(with_headroom(observed, self.observed.limits(self._horizon)))
        what = "The support is" if self._has_atoms else "The reward scale is that of returns of"
        self._say(f"{what} {self.bounds}, chosen from the returns of the first steps.")
        return Move(first_mean=self._first_mean()) if self._has_atoms else Move()

    def judge(self, statistics: Statistics, updates: int) -> Move | None:
        """The move that the statistics of `updates` more updates require, if any. Raises nothing."""
        if not self._has_atoms:
            return None
        averages = self._averages
        for value in self.observed.new_outliers():
            self._say(f"A return of {value:.4g} is far from all others, so the support does not follow it.")
        averages.add(statistics, updates)
        if self._is_settling:
            return self._settle()
        wanted, reason = self._wanted()
        if wanted is None or wanted == self.bounds:
            return None
        self._error_before, self._is_settling, self._averages = averages.td_error, True, Averages()
        self._say(f"The support moves from {self.bounds} to {wanted}: {reason}.")
        old, self.bounds = self.bounds, wanted
        return Move(moved_from=old)

    def state(self) -> dict[str, Any]:
        """The state for `restore`, of JSON types."""
        return {
            "returns": self.observed.state(),
            "bounds": list(self.bounds),
            "target_bounds": list(self.target_bounds),
            "has_begun": self._has_begun,
            "is_settling": self._is_settling,
            "error_before": self._error_before,
            "averages": dataclasses.asdict(self._averages),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state. Raises KeyError, TypeError or ValueError where it is none."""
        bounds, target_bounds = Bounds(*map(float, state["bounds"])), Bounds(*map(float, state["target_bounds"]))
        averages = Averages(**state["averages"])
        self.observed.restore(state["returns"])
        self._has_begun, self._is_settling = bool(state["has_begun"]), bool(state["is_settling"])
        self._error_before, self._averages = float(state["error_before"]), averages
        self.bounds, self.target_bounds = bounds, target_bounds

    def _first_mean(self) -> float:
        """0, or the middle where it is higher, but not above the upper end less FIRST_ROOM."""
        middle = (self.bounds.low + self.bounds.high) / 2
        return float(np.clip(0.0, middle, self.bounds.high - FIRST_ROOM * self.bounds.width))

    def _settle(self) -> Move | None:
        """Let the target critics follow again, once the online critics agree with their targets in raw rewards."""
        steps, spacing = self._averages.steps, self.bounds.width / (self._num_atoms - 1)
        agrees = steps >= AGREEMENT and self._averages.td_error <= max(spacing, 1.5 * self._error_before)
        if not agrees and steps < PATIENCE:
            return None
        self._is_settling, self.target_bounds, self._averages = False, self.bounds, Averages()
        return Move(has_agreed=True)

    def _wanted(self) -> tuple[Bounds | None, str]:
        """The bounds to move to, and the reason; None when the present ones are right."""
        observed, limits = self.observed.bounds(), self.observed.limits(self._horizon)
        if observed is None:
            return None, ""
        low, high = self.bounds
        fitting = with_headroom(observed, limits)
        margin = 0.5 * self.bounds.width / (self._num_atoms - 1)
        if observed.low < low - margin or observed.high > high + margin:
            reason = f"returns from {observed.low:.4g} to {observed.high:.4g} were observed"
            return self._widened(Bounds(min(low, fitting.low), max(high, fitting.high))), reason
        if self._averages.steps < MEMORY:
            return None, ""
        grown = self._grown(observed, limits)
        if grown != self.bounds:
            outside = self._averages.below + self._averages.above
            return grown, f"{outside:.1%} of the target mass lies outside"
        if self._averages.steps < SETTLED:
            return None, ""
        used = self._used()
        fitting = self._widened(with_headroom(Bounds(min(used.low, observed.low), max(used.high, observed.high)), limits))
        if fitting.width <= SHRINK * self.bounds.width:
            return fitting, f"{USED:.0%} of the target mass lies between {used.low:.4g} and {used.high:.4g}"
        return None, ""

    def _grown(self, observed: Bounds, limits: Bounds) -> Bounds:
        """The bounds, with each side that has too much target mass beyond it half a width further out, as far as allowed."""
        low, high = self.bounds
        if self._averages.below > OUTSIDE:
            low = min(low, max(low - self.bounds.width / 2, observed.low - observed.width, limits.low))
        if self._averages.above > OUTSIDE:
            high = max(high, min(high + self.bounds.width / 2, observed.high + observed.width, limits.high))
        return Bounds(low, high)

    def _used(self) -> Bounds:
        """The bounds within which USED of the target mass lies."""
        cumulated = np.cumsum(self._averages.target_mass)
        cumulated /= cumulated[-1]
        atoms = np.linspace(*self.bounds, self._num_atoms)
        first, last = np.searchsorted(cumulated, [(1.0 - USED) / 2, (1.0 + USED) / 2])
        return Bounds(float(atoms[first]), float(atoms[min(last, len(atoms) - 1)]))

    def _widened(self, bounds: Bounds) -> Bounds:
        """The bounds, far enough apart for float32 to tell the atoms apart."""
        largest = max(abs(bounds.low), abs(bounds.high))
        least = max(2 * ATOM_DISTANCE * largest * (self._num_atoms - 1), 1e3 / LARGE)
        missing = max(0.0, least - bounds.width) / 2
        return Bounds(bounds.low - missing, bounds.high + missing)


Support = FixedSupport | AutomaticSupport


def make_support(params: TrainParams, say: Callable[[str], object] = lambda sentence: None) -> Support:
    """The support that the parameters ask for."""
    return AutomaticSupport(params, say) if params.has_automatic_support else FixedSupport(params)


def with_headroom(observed: Bounds, limits: Bounds) -> Bounds:
    """Observed returns, with HEADROOM on either side, within the limits that the rewards set."""
    room = HEADROOM * (observed.width or abs(observed.high))
    low, high = max(observed.low - room, limits.low), min(observed.high + room, limits.high)
    return Bounds(min(low, observed.low), max(high, observed.high))
