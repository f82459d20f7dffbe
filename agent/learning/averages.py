"""Moving averages of the statistics by which a support is judged."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

MEMORY = 500.0  # learner steps that the averages remember


class Statistics(NamedTuple):
    """Means over the updates of a call. `target_mass` [K] is the projected target; `td_error` is in raw rewards."""

    below: float
    above: float
    td_error: float
    target_mass: np.ndarray


@dataclass
class Averages:
    """Moving averages of statistics since the last move, over `steps` learner steps."""

    below: float = 0.0
    above: float = 0.0
    target_mass: list[float] = field(default_factory=list)
    td_error: float = 0.0
    steps: int = 0

    def add(self, statistics: Statistics, updates: int) -> None:
        """Take the means of so many more updates into account."""
        self.below = average(self.below, statistics.below, updates, self.steps)
        self.above = average(self.above, statistics.above, updates, self.steps)
        self.td_error = average(self.td_error, statistics.td_error, updates, self.steps)
        mass = np.asarray(statistics.target_mass, np.float64)
        old = np.array(self.target_mass) if self.target_mass else mass
        self.target_mass = average(old, mass, updates, self.steps).tolist()
        self.steps += updates


def average(old: Any, new: Any, updates: int, steps: int) -> Any:
    """A moving average over MEMORY learner steps; a plain mean as long as there are fewer."""
    share = max(updates / (steps + updates), -math.expm1(-updates / MEMORY))
    return old + share * (new - old)
