"""Adds batches of transitions to the replay, at the pace of the rate limiter."""

from collections.abc import Callable
from threading import Event

from agent.training.counters import RunCounters
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter
from utils.replay.returns import ObservedReturns
from utils.replay.transitions import TransitionBatch


class ReplayWriter:
    """The one way into the replay: every kind of worker uses it. Counts environment steps and reports finished episodes."""

    def __init__(
        self,
        replay: PrioritisedReplay,
        limiter: RateLimiter,
        counters: RunCounters,
        observed: ObservedReturns,
        on_episodes: Callable[[TransitionBatch], None],
    ):
        """`on_episodes(batch)` is called for each batch with which an episode ended."""
        self._replay, self._limiter, self._counters = replay, limiter, counters
        self._observed, self._on_episodes = observed, on_episodes

    def add_when_allowed(self, batch: TransitionBatch, stop: Event) -> None:
        """Wait until the limiter allows the batch, then add it. A batch that `stop` interrupts is dropped."""
        if self._limiter.may_insert(len(batch), stop):
            self.add(batch)

    def add(self, batch: TransitionBatch) -> None:
        """Add the batch at once."""
        self._observed.add(batch.returns)  # before the transitions: the first support is chosen from them
        self._replay.add(batch)
        self._limiter.inserted(len(batch))
        self._counters.add_env_steps(batch.env_steps)
        if batch.episodes:
            self._on_episodes(batch)
