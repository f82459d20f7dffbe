"""A curve in one line of text, and the binned means it shows."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=+*#@"  # for a terminal without these characters


class BinnedMeans:
    """Means of consecutive values in fewer than `limit` bins (an even number) of equal size. The size doubles when full."""

    def __init__(self, limit: int):
        self._limit = limit
        self._bin_size = 1
        self._means: list[float] = []
        self._sum, self._count = 0.0, 0  # of the bin that is not yet full

    def add(self, value: float) -> None:
        """Append a value."""
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._bin_size:
            return
        self._means.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._means) == self._limit:
            pairs = zip(self._means[::2], self._means[1::2], strict=True)
            self._means = [(first + second) / 2 for first, second in pairs]
            self._bin_size *= 2

    @property
    def means(self) -> tuple[float, ...]:
        """The means of the full bins, oldest first."""
        return tuple(self._means)


class Sparkline:
    """Draws values as blocks of eight heights, from their minimum to their maximum, in the available width."""

    def __init__(self, values: Sequence[float]):
        self._values = values

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield sparkline(self._values, options.max_width, ASCII if options.ascii_only else BLOCKS)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, min(len(self._values), options.max_width)))


def sparkline(values: Sequence[float], width: int, levels: str = BLOCKS) -> str:
    """One character of `levels` for each value. More than `width` values are averaged in groups. Needs a value."""
    chunks = np.array_split(np.asarray(values, np.float64), min(width, len(values)))
    points = np.array([chunk.mean() for chunk in chunks])
    low, high = points.min(), points.max()
    heights = (points - low) / (high - low) if high > low else np.full(len(points), 0.5)
    return "".join(levels[index] for index in np.rint(heights * (len(levels) - 1)).astype(int))
