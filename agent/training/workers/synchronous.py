"""The synchronous mode: agents and learner in turn, in one thread. A seed repeats a run bit for bit."""

from itertools import cycle
from threading import Event
from typing import TYPE_CHECKING, cast

from agent.agent import Agent
from agent.training.workers.pool import BATCH_LENGTH, Worker
from agent.training.workers.replay_writer import ReplayWriter
from utils.replay.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from agent.learning.learner import CheckpointSaver, Learner  # TensorFlow, which this file does not need


class SynchronousLoop:
    """Before each call of the learner the agents, in turn, add the transitions that the sample ratio requires.

    An environment cannot be saved. So at each checkpoint the unfinished episodes end as truncated, the environments are
    replaced, and the first agent is the next one. A resumed run finds the same state.
    """

    def __init__(
        self,
        learner: "Learner",
        workers: list[Worker],
        writer: ReplayWriter,
        limiter: RateLimiter,
        checkpointer: "CheckpointSaver",
    ):
        self._learner, self._workers, self._writer = learner, workers, writer
        self._limiter, self._checkpointer = limiter, checkpointer
        self._order = cycle(workers)

    def run(self, batch_size: int, stop: Event) -> None:
        """Run until num_steps_train or until `stop` is set."""
        try:
            while (updates := self._learner.updates_due(self._learner.learner_step)) and not stop.is_set():
                samples = updates * batch_size
                while (due := self._limiter.inserts_due(samples)) and not stop.is_set():
                    batch = next(self._order).collect(min(BATCH_LENGTH, due), self._learner.policy, stop)
                    if batch is not None:
                        self._writer.add(batch)
                if self._limiter.may_sample(samples, stop):
                    self._learner.advance(self)
        finally:
            for worker in self._workers:
                worker.agent.close()

    def save(self) -> None:
        """Truncate all episodes, then save a checkpoint."""
        for worker in self._workers:
            batch = cast(Agent, worker.agent).truncate()
            if batch is not None:
                self._writer.add(batch)
        self._order = cycle(self._workers)
        self._checkpointer.save()

    def reload(self) -> bool:
        """Restore the learner from the newest valid checkpoint; False when there is none."""
        return self._checkpointer.reload()
