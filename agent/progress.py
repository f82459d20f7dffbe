"""The progress of a training: counts episodes and failures, writes rows of the logs, fills the live view."""

from collections import deque
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from agent.agent import Agent
from agent.archive import Archive
from agent.exhibits import Exhibits
from agent.live_view import LiveView, Snapshot
from agent.support import SETTLED, warnings
from params import TrainParams
from utils.console import Console
from utils.errors import EnvironmentFailure
from utils.experience import Episode
from utils.metrics import Metrics
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay
from utils.sparkline import BinnedMeans

if TYPE_CHECKING:
    from agent.learner import Learner  # TensorFlow, which nothing here needs

LOOK = 0.5  # seconds between two looks at the counters
ROW = 5.0  # seconds between two rows of learner.csv
RECENT = 20  # episodes in the mean return that is shown
RETURN_BINS = 40  # of all returns, at most
# Where TensorBoard shows a column of learner.csv.
GROUPS = {
    "env_step": "progress/",
    "seconds": "progress/",
    "updates_per_s": "speed/",
    "env_steps_per_s": "speed/",
    "critic_loss": "loss/",
    "kl_divergence": "loss/",
    "target_entropy": "loss/",
    "actor_loss": "loss/",
    "mean_q": "value/",
    "saturated_actions": "value/",
    "target_mass_below": "support/",
    "target_mass_above": "support/",
    "beta": "replay/",
    "mean_importance_weight": "replay/",
    "samples_per_insert": "replay/",
    "replay_size": "replay/",
    "mean_priority": "replay/",
    "skipped_updates": "faults/",
    "refused_priorities": "faults/",
    "limited_priorities": "faults/",
    "env_failures": "faults/",
}
# The same for agents.csv: the episodes of all agents together, by learner step as everything in TensorBoard.
EPISODE_GROUPS = {"return": "rollout/", "length": "rollout/", "noise": "rollout/"}


class Progress:
    """Watches learner, agents, replay and limiter from a thread of its own; never slows or fails any of them."""

    def __init__(
        self,
        params: TrainParams,
        learner: "Learner",
        archive: Archive,
        replay: PrioritisedReplay,
        limiter: RateLimiter,
        learner_log: Metrics,
        agents_log: Metrics,
        console: Console,
    ):
        self._params, self._learner, self._archive, self._replay, self._limiter = params, learner, archive, replay, limiter
        self._learner_log, self._agents_log, self._console = learner_log, agents_log, console
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._returns = BinnedMeans(RETURN_BINS)
        self._lock = Lock()  # agents report episodes while the view reads them
        self._view = LiveView(console)
        self._first_learner_step = learner.learner_step
        self._losses: dict[str, float] = {}
        self._counts = (0.0, 0, 0)  # seconds, learner step, environment step at the last row
        self._rates = (0.0, 0.0)
        self.env_failures = 0
        self._warnings: dict[str, str] = {}
        self._exhibits = Exhibits(params, archive, replay, learner_log)

    def episode(self, agent: Agent, episode: Episode) -> None:
        """Count and log a finished episode of an agent."""
        with self._lock:
            self._recent.append(episode.score)
            self._returns.add(episode.score)
        self._agents_log.write(
            self._archive.env_step,
            group=EPISODE_GROUPS,
            tensorboard_step=self._learner.learner_step,
            agent=agent.index,
            **{"return": round(episode.score, 4)},
            length=episode.length,
            noise=round(agent.noise.deviation, 6),
        )

    def failure(self, agent: Agent, error: EnvironmentFailure) -> None:
        """Count an environment that failed and is made anew; the first of each agent is said."""
        self.env_failures += 1
        self._console.say_once(f"{error}. A new environment takes its place.", key=f"failure of agent {agent.index}")

    def run(self, stop: Event) -> None:
        """Refresh the view and write rows until told to stop. `close` must follow when the learner has ended."""
        self._counts = (self._archive.seconds, self._learner.learner_step, self._archive.env_step)
        while not stop.wait(LOOK):
            if self._archive.seconds - self._counts[0] >= ROW:
                self.write_row()
            self._exhibits.look()
            self._view.show(self._snapshot())
        self._view.show(self._snapshot(is_ending=True))

    def close(self) -> None:
        """Write the last row and show the last state."""
        self.write_row()
        self._view.show(self._snapshot(has_ended=True))

    def write_row(self) -> None:
        """Write a row of learner.csv, with rates and means since the last."""
        now = (self._archive.seconds, self._learner.learner_step, self._archive.env_step)
        elapsed = max(1e-9, now[0] - self._counts[0])
        self._rates = ((now[1] - self._counts[1]) / elapsed, (now[2] - self._counts[2]) / elapsed)
        self._counts = now
        means: dict[str, Any] = self._learner.averages.take()
        if not means:
            return
        self._losses = means
        past_start = max(1, self._limiter.inserts - self._params.learning_starts)
        self._learner_log.write(
            now[1],
            group=GROUPS,
            env_step=now[2],
            seconds=round(now[0], 2),
            updates_per_s=round(self._rates[0], 2),
            env_steps_per_s=round(self._rates[1], 2),
            **{name: round(value, 6) for name, value in means.items()},
            beta=round(self._learner.beta(now[1]), 4),
            samples_per_insert=round(self._limiter.samples / past_start, 3),
            replay_size=len(self._replay),
            mean_priority=round(self._replay.mean_priority(), 6),
            skipped_updates=self._learner.skipped_updates,
            refused_priorities=self._replay.refused_priorities,
            limited_priorities=self._replay.limited_priorities,
            env_failures=self.env_failures,
        )
        self._warn_of_support(now[1], means)
        if self._learner.skipped_updates:
            self._console.say_once(
                "An update was skipped, since its numbers were not finite; learner.csv counts them (skipped_updates).",
                "skipped",
            )
        for log in (self._learner_log, self._agents_log):
            if log.failure:
                self._console.say_once(f"Logging goes on without the lines that were lost: {log.failure}.")

    def _warn_of_support(self, learner_step: int, means: dict[str, float]) -> None:
        if learner_step < SETTLED * self._params.num_steps_train:
            return
        self._warnings = dict(warnings(means["target_mass_below"], means["target_mass_above"], *self._params.support))
        for name, sentence in self._warnings.items():
            self._console.say_once(sentence, key=name)

    def _snapshot(self, is_ending: bool = False, has_ended: bool = False) -> Snapshot:
        with self._lock:
            recent, returns = tuple(self._recent), self._returns.means
        return Snapshot(
            seconds=self._archive.seconds,
            learner_step=self._learner.learner_step,
            first_learner_step=self._first_learner_step,
            num_steps_train=self._params.num_steps_train,
            inserts=self._limiter.inserts,
            learning_starts=self._params.learning_starts,
            env_step=self._archive.env_step,
            episodes=self._archive.episodes,
            recent_returns=recent,
            binned_returns=returns,
            critic_loss=self._losses.get("critic_loss"),
            replay_size=len(self._replay),
            replay_capacity=self._params.replay_mem_size,
            saved_step=self._archive.saved_step,
            warnings=tuple(self._warnings.values()),
            is_ending=is_ending,
            has_ended=has_ended,
        )
