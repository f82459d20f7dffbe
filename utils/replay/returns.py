"""Ranges of the discounted returns that environments gave, without asking a critic."""

from collections.abc import Iterable
from threading import Lock
from typing import Any, NamedTuple

WINDOW = 50  # return ranges that are remembered
TAIL = 0.1  # share of the ranges whose least returns do not count
OUTLIER = 5.0  # widths of all others from which the return of a single range is an outlier
PIECE = 4.0  # longest piece of an episode, in time constants 1 / (1 - discount_rate) of the discount


class ReturnRange(NamedTuple):
    """Least and greatest discounted return from the steps of a piece of an episode, and least and greatest reward in it.

    All are raw, and Python floats.
    """

    low: float
    high: float
    least_reward: float
    greatest_reward: float


class ReturnTracker:
    """The return ranges of one environment, in pieces: an episode, or at most `longest` steps of a longer one.

    A piece that does not end in a terminal state continues, as an estimate, with the episode's mean reward, as in Wu et al.,
    2025 (BRC, arXiv 2505.23150).
    """

    def __init__(self, discount_rate: float, longest: int, horizon: float):
        """`horizon` is the discounted length of an endless episode, in steps: 1 / (1 - discount_rate) or what limits it."""
        self._rate, self._longest, self._horizon = discount_rate, longest, horizon
        self._rewards: list[float] = []  # of the piece
        self._sum, self._steps = 0.0, 0  # of the episode

    def push(self, reward: float, terminated: bool, truncated: bool) -> ReturnRange | None:
        """Add a step. Returns the range of the piece that ends with it, if one does."""
        self._rewards.append(reward)
        self._sum, self._steps = self._sum + reward, self._steps + 1
        has_ended = terminated or truncated
        if not has_ended and len(self._rewards) < self._longest:
            return None
        value = 0.0 if terminated else self._sum / self._steps * self._horizon
        low, high = float("inf"), float("-inf")
        for one in reversed(self._rewards):
            value = one + self._rate * value
            low, high = min(low, value), max(high, value)
        piece = ReturnRange(low, high, min(self._rewards), max(self._rewards))
        self._rewards = []
        if has_ended:
            self._sum, self._steps = 0.0, 0
        return piece


class Bounds(NamedTuple):
    """The ends of a support, raw returns."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"

    @property
    def width(self) -> float:
        """From end to end."""
        return self.high - self.low


class ObservedReturns:
    """The last WINDOW return ranges, and the greatest and the least returns ever. Workers add, the learner reads.

    A return that was reached twice is kept: a goal that is rarely reached must not be forgotten.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._ranges: list[ReturnRange] = []
        self._greatest: list[float] = []  # the two greatest returns ever, of different ranges, in descending order
        self._least: list[float] = []  # the two least, in ascending order
        self._reported: set[float] = set()

    def add(self, ranges: Iterable[ReturnRange]) -> None:
        """Add ranges; only the last WINDOW are kept."""
        with self._lock:
            new = list(ranges)
            self._ranges = [*self._ranges, *new][-WINDOW:]
            self._greatest = sorted([*self._greatest, *(piece.high for piece in new)], reverse=True)[:2]
            self._least = sorted([*self._least, *(piece.low for piece in new)])[:2]

    def bounds(self) -> Bounds | None:
        """The least return of late, and the greatest that was kept, without single outliers. None before the first range.

        The least returns of TAIL of the ranges do not count: bad episodes of the first minutes, of LunarLander for one, would
        make the support several times as wide as later episodes need.
        """
        ranges = self._ranges
        if not ranges:
            return None
        lows = sorted(piece.low for piece in ranges)
        recent, _ = _robust(lows, [piece.high for piece in ranges])
        return Bounds(max(recent.low, lows[int(TAIL * len(lows))]), max([recent.high, *self._greatest[1:]]))

    def extremes(self) -> Bounds | None:
        """The least and the greatest return ever, each but one where there are more. None before the first range."""
        return Bounds(self._least[-1], self._greatest[-1]) if self._least else None

    def limits(self, horizon: float) -> Bounds:
        """Bounds that no return exceeds while rewards stay within those seen. `horizon` as in ReturnTracker."""
        ranges = self._ranges
        if not ranges:
            return Bounds(0.0, 0.0)
        rewards, _ = _robust([piece.least_reward for piece in ranges], [piece.greatest_reward for piece in ranges])
        return Bounds(min(rewards.low, 0.0) * horizon, max(rewards.high, 0.0) * horizon)

    def new_outliers(self) -> list[float]:
        """The outliers that `bounds` leaves out, each once."""
        ranges, bounds = self._ranges, self.bounds()
        if bounds is None:
            return []
        _, outliers = _robust([piece.low for piece in ranges], [piece.high for piece in ranges])
        new = [value for value in outliers if value not in self._reported and not bounds.low <= value <= bounds.high]
        self._reported.update(new)
        return new

    def state(self) -> dict[str, list[Any]]:
        """The state for `restore`, of JSON types."""
        with self._lock:
            return {"ranges": [list(piece) for piece in self._ranges], "greatest": self._greatest, "least": self._least}

    def restore(self, state: dict[str, list[Any]]) -> None:
        """Continue from a state. Raises KeyError, TypeError or ValueError where it is none."""
        ranges = [ReturnRange(*map(float, piece)) for piece in state["ranges"]]
        greatest, least = (list(map(float, state[name])) for name in ("greatest", "least"))
        with self._lock:
            self._ranges, self._greatest, self._least = ranges, greatest, least


def _robust(lows: list[float], highs: list[float]) -> tuple[Bounds, list[float]]:
    """The least of `lows` and the greatest of `highs` without a single outlier, and the outliers."""
    lows, highs = sorted(lows), sorted(highs)
    if len(lows) < 3:
        return Bounds(lows[0], highs[-1]), []
    far = OUTLIER * (highs[-2] - lows[1])
    outliers = [lows[0]] if lows[1] - lows[0] > far else []
    low = lows[1] if outliers else lows[0]
    if highs[-1] - highs[-2] > far:
        return Bounds(low, highs[-2]), [*outliers, highs[-1]]
    return Bounds(low, highs[-1]), outliers
