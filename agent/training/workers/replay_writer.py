"""Adds batches of transitions to the replay, as fast as the rate limiter allows."""

from collections.abc import Callable
from threading import Event

from agent.training.counters import RunCounters
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter
from utils.replay.transitions import TransitionBatch


class ReplayWriter:
    """Every kind of worker adds to the replay through it. Counts environment steps."""

    def __init__(
        self,
        replay: PrioritisedReplay,
        limiter: RateLimiter,
        counters: RunCounters,
        observe: Callable[[TransitionBatch], None],
        on_added: Callable[[TransitionBatch], None],
    ):
        """`observe(batch)` is called before each batch is added, `on_added(batch)` after it."""
        self._replay, self._limiter, self._counters = replay, limiter, counters
        self._observe, self._on_added = observe, on_added

    def add_when_allowed(self, batch: TransitionBatch, stop: Event) -> None:
        """Wait until the limiter allows the batch, then add it. A batch that `stop` interrupts is dropped."""
        if self._limiter.may_insert(len(batch), stop):
            self.add(batch)

    def add(self, batch: TransitionBatch) -> None:
        """Add the batch at once."""
        self._observe(batch)  # before it can be drawn: the first support is chosen from the first batches
        self._replay.add(batch)
        self._limiter.inserted(len(batch))
        self._counters.add_env_steps(batch.env_steps)
        self._on_added(batch)
