"""Mean and variance of all observations so far."""

from threading import Lock
from typing import Any

import numpy as np


class RunningMoments:
    """Mean and variance of rows, in float64, since float32 counts stop at 2**24. Several threads may add.

    Batches are combined as in Chan et al., 1979 (STAN-CS-79-773).
    """

    def __init__(self, size: int):
        self._lock = Lock()
        self._count = 0
        self._mean, self._squares = np.zeros(size), np.zeros(size)  # _squares: sum of squared distances from the mean

    def add(self, rows: np.ndarray) -> None:
        """Add rows [n, size], n at least 1."""
        rows = rows.astype(np.float64)
        mean = rows.mean(axis=0)
        squares = np.square(rows - mean).sum(axis=0)
        with self._lock:
            count, difference = self._count + len(rows), mean - self._mean
            self._squares = self._squares + squares + np.square(difference) * self._count * len(rows) / count
            self._mean = self._mean + difference * len(rows) / count
            self._count = count

    @property
    def mean(self) -> np.ndarray:
        """Mean [size]; zeros before the first row."""
        return self._mean

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation [size]; 1 where all rows were equal to rounding."""
        with self._lock:
            deviation = np.sqrt(self._squares / max(1, self._count))
            return np.where(deviation > 1e-6 * np.abs(self._mean) + 1e-12, deviation, 1.0)

    def state(self) -> dict[str, Any]:
        """The state for `restore`, of JSON types."""
        with self._lock:
            return {"count": self._count, "mean": self._mean.tolist(), "squares": self._squares.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state. Raises KeyError, TypeError or ValueError where it is none, or one of another size."""
        mean, squares = (np.array(state[name], np.float64) for name in ("mean", "squares"))
        if mean.shape != self._mean.shape or squares.shape != mean.shape:
            raise ValueError(f"the moments are of {mean.shape} and {squares.shape}, expected {self._mean.shape}")
        with self._lock:
            self._count, self._mean, self._squares = int(state["count"]), mean, squares
