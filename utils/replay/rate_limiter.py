"""Keeps the number of samples for each insert fixed, as Reverb does (arXiv 2102.04736)."""

import math
import threading
from collections.abc import Callable
from typing import Self


class RateLimiter:
    """Holds |samples - samples_per_insert * (inserts - learning_starts)| within `tolerance`, by waiting.

    The learner waits when it has sampled too much, the agents when they have inserted too much. They never both wait if
    `tolerance` covers two of the learner's calls, and all inserts in flight times samples_per_insert; `fitting` ensures
    that. With samples_per_insert 0 neither waits once learning has started.
    """

    def __init__(self, samples_per_insert: float, learning_starts: int, tolerance: float):
        self._ratio = samples_per_insert
        self._learning_starts = learning_starts
        self._tolerance = tolerance
        self._changed = threading.Condition()
        self._promised = 0  # inserts allowed, including those in flight
        self._inserts = 0
        self._samples = 0

    @classmethod
    def fitting(cls, samples_per_insert: float, learning_starts: int, samples_per_call: int, in_flight: int) -> Self:
        """A limiter with the least tolerance that cannot deadlock, but at least a tenth of the samples for learning_starts.

        `samples_per_call` is the learner's request, `in_flight` the inserts that all agents may request at once.
        """
        least = max(2.0 * samples_per_call, samples_per_insert * in_flight)
        return cls(samples_per_insert, learning_starts, max(least, 0.1 * samples_per_insert * learning_starts))

    @property
    def inserts(self) -> int:
        """Transitions inserted so far."""
        return self._inserts

    @property
    def samples(self) -> int:
        """Transitions sampled so far."""
        return self._samples

    def restore(self, inserts: int, samples: int) -> None:
        """Continue from these counts. Call it before any thread waits.

        Counts outside the tolerance, from a run with another ratio, are moved within it.
        """
        if self._ratio:
            expected = self._ratio * max(0, inserts - self._learning_starts)
            samples = round(min(max(samples, expected - self._tolerance), expected + self._tolerance))
        self._promised, self._inserts, self._samples = inserts, inserts, max(0, samples)

    def inserts_due(self, count: int) -> int:
        """Transitions to insert before the ratio, without tolerance, allows `count` more samples."""
        needed = self._learning_starts + (math.ceil((self._samples + count) / self._ratio) if self._ratio else 0)
        return max(0, needed - self._inserts)

    def may_insert(self, count: int, stop: threading.Event) -> bool:
        """Wait until `count` transitions may be inserted; False when `stop` was set first. `inserted` follows."""
        with self._changed:
            if not self._wait(lambda: self._insert_fits(count), stop):
                return False
            self._promised += count
            return True

    def inserted(self, count: int) -> None:
        """Count `count` transitions that may_insert allowed and that are now in the replay."""
        with self._changed:
            self._inserts += count
            self._changed.notify_all()

    def may_sample(self, count: int, stop: threading.Event) -> bool:
        """Wait until `count` transitions may be sampled, and count them; False when `stop` was set first."""
        with self._changed:
            if not self._wait(lambda: self._sample_fits(count), stop):
                return False
            self._samples += count
            self._changed.notify_all()
            return True

    def _insert_fits(self, count: int) -> bool:
        ahead = self._ratio * (self._promised + count - self._learning_starts) - self._samples
        return not self._ratio or ahead <= self._tolerance

    def _sample_fits(self, count: int) -> bool:
        if self._inserts < self._learning_starts:
            return False
        ahead = self._samples + count - self._ratio * (self._inserts - self._learning_starts)
        return not self._ratio or ahead <= self._tolerance

    def _wait(self, fits: Callable[[], bool], stop: threading.Event) -> bool:
        while not fits() and not stop.is_set():
            self._changed.wait(0.1)  # bounded, because `stop` does not notify
        return not stop.is_set()
