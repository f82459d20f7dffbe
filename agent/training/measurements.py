"""The measurements of a run: its counters, rates and means, as rows for the logs and as a status."""

import threading
from collections.abc import Mapping

from agent.training.callbacks.callback import FinishedEpisode, Status
from agent.training.checkpointer import Checkpointer
from agent.training.parts import Parts
from params import TrainParams
from utils.console import Console
from utils.errors import EnvironmentFailure
from utils.replay.transitions import TransitionBatch

ROW = 5.0  # seconds between two rows of learner.csv


class Measurements:
    """Reads learner, replay, limiter and counters without stopping any of them."""

    def __init__(
        self,
        params: TrainParams,
        parts: Parts,
        checkpointer: Checkpointer,
        console: Console,
    ):
        self._params, self._checkpointer, self._console = params, checkpointer, console
        self._learner, self._replay = parts.learner, parts.replay
        self._limiter, self._counters = parts.limiter, parts.counters
        self._workers, self._first_learner_step = parts.workers, parts.learner.learner_step
        self._lock = threading.Lock()
        self._env_failures = 0
        self._lags = (0, 0)  # of the batches since the last row: their sum and their number
        self._lag = 0.0
        self._metrics: Mapping[str, float] = {}
        self._counts = (self._counters.seconds, self._learner.learner_step, self._counters.env_steps)  # at the last row
        self._rates = (0.0, 0.0)

    def failure(self, agent: int, error: EnvironmentFailure) -> None:
        """Count a failed environment. The first failure of each agent is printed."""
        with self._lock:
            self._env_failures += 1
        self._console.say_once(f"{error}. A new environment takes its place.", key=f"failure of agent {agent}")

    def count(self, batch: TransitionBatch) -> None:
        """Count a batch that was added: how many learner steps ago its policy was published."""
        if batch.policy_version:  # the first transitions are random
            with self._lock:
                self._lags = (self._lags[0] + self._learner.learner_step - batch.policy_version, self._lags[1] + 1)

    def due_row(self) -> tuple[int, Mapping[str, float]] | None:
        """The row of the learner's log, where the last one is ROW seconds old."""
        return self.row() if self._counters.seconds - self._counts[0] >= ROW else None

    def row(self) -> tuple[int, Mapping[str, float]] | None:
        """The learner step and its metrics, with rates and means since the last row. None without an update since then."""
        now = (self._counters.seconds, self._learner.learner_step, self._counters.env_steps)
        elapsed = max(1e-9, now[0] - self._counts[0])
        self._rates = ((now[1] - self._counts[1]) / elapsed, (now[2] - self._counts[2]) / elapsed)
        self._counts = now
        means = self._learner.averages.take()
        if not means:
            return None
        with self._lock:
            (lag, batches), self._lags = self._lags, (0, 0)
        self._lag = lag / batches if batches else self._lag
        past_start = max(1, self._limiter.inserts - self._params.learning_starts)
        self._metrics = {
            "env_step": now[2],
            "seconds": round(now[0], 2),
            "updates_per_s": round(self._rates[0], 2),
            "env_steps_per_s": round(self._rates[1], 2),
            **{name: round(value, 6) for name, value in means.items()},
            **dict(zip(("v_min_raw", "v_max_raw"), self._learner.scaling.support.bounds, strict=True)),
            "critic_learning_rate": float(f"{self._params.critic_learning_rate * self._learner.rate_factor(now[1]):.4g}"),
            "beta": round(self._learner.beta(now[1]), 4),
            "policy_lag": round(self._lag, 1),
            "samples_per_insert": round(self._limiter.samples / past_start, 3),
            "replay_size": len(self._replay),
            "mean_priority": round(self._replay.mean_priority(), 6),
            "skipped_updates": self._learner.skipped_updates,
            "invalid_priorities": self._replay.invalid_priorities,
            "clipped_priorities": self._replay.clipped_priorities,
            "env_failures": self._env_failures,
        }
        return now[1], self._metrics

    def episodes(self, batch: TransitionBatch) -> list[FinishedEpisode]:
        """The episodes that ended with a batch."""
        steps = self._learner.learner_step, self._counters.env_steps
        return [
            FinishedEpisode(*steps, batch.agent, episode.episode_return, episode.length, batch.noise)
            for episode in batch.episodes
        ]

    def status(self, is_ending: bool = False, has_ended: bool = False) -> Status:
        """Where the run is now."""
        return Status(
            learner_step=self._learner.learner_step,
            first_learner_step=self._first_learner_step,
            num_steps_train=self._params.num_steps_train,
            env_steps=self._counters.env_steps,
            episodes=self._workers.episodes,
            seconds=self._counters.seconds,
            updates_per_s=self._rates[0],
            env_steps_per_s=self._rates[1],
            replay_size=len(self._replay),
            replay_capacity=self._replay.capacity,
            inserts=self._limiter.inserts,
            learning_starts=self._params.learning_starts,
            saved_step=self._checkpointer.saved_step,
            env_failures=self._env_failures,
            is_ending=is_ending,
            has_ended=has_ended,
            metrics=self._metrics,
        )
