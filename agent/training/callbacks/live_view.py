"""The live view of a training: its numbers and their wording. utils/console.py renders it."""

import contextlib
import math
from collections import deque
from dataclasses import dataclass

from rich.console import RenderableType
from rich.progress_bar import ProgressBar

from agent.training.callbacks.callback import Callback, FinishedEpisode, RunInfo, Status
from utils.media.sparkline import BinnedMeans, Sparkline

SMOOTHING = 10.0  # seconds; time constant of the shown rates
BAR_WIDTH = 40
RECENT = 20  # episodes in the mean return that is shown
RETURN_BINS = 40  # at most, for all returns


@dataclass(frozen=True)
class Snapshot:
    """The displayed state of a training: its status, and the returns of its training episodes."""

    status: Status
    recent_returns: tuple[float, ...] = ()
    binned_returns: tuple[float, ...] = ()  # of all episodes of this process, oldest first


class Rate:
    """Events a second, exponentially smoothed over SMOOTHING seconds; None before the second count."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._seconds = self._events = 0.0

    @property
    def per_second(self) -> float | None:
        """The smoothed rate."""
        return self._events / self._seconds if self._seconds else None

    def count(self, seconds: float, events: int) -> None:
        """Record the total number of events at a time."""
        if self._last is not None:
            elapsed, new = seconds - self._last[0], events - self._last[1]
            kept = math.exp(-elapsed / SMOOTHING)
            self._seconds, self._events = kept * self._seconds + elapsed, kept * self._events + new
        self._last = (seconds, events)


@dataclass(frozen=True)
class Rates:
    """Smoothed rates; None while unknown."""

    updates: float | None = None
    env_steps: float | None = None


class LiveView(Callback):
    """Shows the status of a run on its console, with smoothed rates and the time left."""

    is_optional = True

    def __init__(self) -> None:
        self._updates, self._env_steps = Rate(), Rate()
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._returns = BinnedMeans(RETURN_BINS)
        self._live = contextlib.ExitStack()

    def on_start(self, run: RunInfo) -> None:
        """Start the table."""
        self._console = run.console
        self._live.enter_context(run.console.live())

    def on_episode(self, episode: FinishedEpisode) -> None:
        """Keep the return."""
        self._recent.append(episode.episode_return)
        self._returns.add(episode.episode_return)

    def on_tick(self, status: Status) -> None:
        """Show the status. The last status shows the rates from before the end."""
        snapshot = Snapshot(status, tuple(self._recent), self._returns.means)
        if not status.has_ended:
            self._env_steps.count(status.seconds, status.env_steps)
            if _has_updated(status):  # before that the update is compiled
                self._updates.count(status.seconds, status.learner_step)
        rates = Rates(self._updates.per_second, self._env_steps.per_second)
        self._console.show(rows(snapshot, rates), line(snapshot, rates), is_last=status.has_ended)
        if status.has_ended:
            self.close()

    def close(self) -> None:
        """End the table; it stays on the screen."""
        self._live.close()


def rows(snapshot: Snapshot, rates: Rates) -> dict[str, list[RenderableType]]:
    """The rows of the table, by name: progress, speed and score first."""
    status = snapshot.status
    done, total = status.learner_step, status.num_steps_train
    speed = [
        f"{rate:,.0f} {name}/s"
        for rate, name in ((rates.updates, "updates"), (rates.env_steps, "environment steps"))
        if rate is not None
    ]
    if policy_lag := status.metrics.get("policy_lag"):
        speed.append(f"agents {policy_lag:,.0f} updates behind")
    score: list[RenderableType] = ["no episode has finished yet"]
    if returns := snapshot.recent_returns:
        score = [f"{_mean(returns):,.1f}, mean return of the last {_counted(len(returns), 'training episode')}"]
    if len(binned := snapshot.binned_returns) > 1:
        score += [Sparkline(binned), f"since the start, from {min(binned):,.1f} to {max(binned):,.1f}"]
    shown: dict[str, list[RenderableType]] = {
        "phase": [phase(status)],
        "progress": [
            ProgressBar(total=total, completed=done, width=BAR_WIDTH),
            f"{_percent(done, total)}, {done:,} of {total:,} learner steps",
            f"{status.env_steps:,} environment steps, {_counted(status.episodes, 'episode')}",
        ],
        "time": [", ".join(_times(status, rates))],
        "speed": [", ".join(speed) or "-"],
        "score": score,
        "critic": [f"loss {status.metrics['critic_loss']:.3f}" if "critic_loss" in status.metrics else "-"],
        "replay": [f"{status.replay_size:,} of {status.replay_capacity:,} transitions"],
        "saved": ["-" if status.saved_step is None else f"learner step {status.saved_step:,}"],
    }
    return shown


def line(snapshot: Snapshot, rates: Rates) -> str:
    """The most important numbers in one line, for output to a file."""
    done, total = snapshot.status.learner_step, snapshot.status.num_steps_train
    fields = [phase(snapshot.status)]
    if done:
        fields.append(f"{done:,} of {total:,} learner steps ({_percent(done, total)})")
    if snapshot.recent_returns:
        fields.append(f"return {_mean(snapshot.recent_returns):,.1f}")
    if rates.updates is not None:
        fields.append(f"{rates.updates:,.0f} updates/s")
    return " | ".join([*fields, *_times(snapshot.status, rates)])


def phase(status: Status) -> str:
    """The current phase, in words."""
    if _is_done(status):
        return "done"
    if status.has_ended:
        return "stopped"
    if status.is_ending:
        return "stopping: waiting for the learner and the agents"
    if _has_updated(status):
        return "learning"
    if status.inserts < status.learning_starts:
        kind = "transitions" if status.first_learner_step else "random transitions"  # a resumed run has a policy
        return f"collecting {kind}: {status.inserts:,} of {status.learning_starts:,}"
    return "compiling the update (about 10 s)"


def _is_done(status: Status) -> bool:
    return status.learner_step >= status.num_steps_train


def _has_updated(status: Status) -> bool:
    """Whether this process has finished its first update."""
    return status.learner_step > status.first_learner_step


def _times(status: Status, rates: Rates) -> list[str]:
    times = [f"{clock(status.seconds)} elapsed"]
    if rates.updates and not status.has_ended and not _is_done(status):
        times.append(f"{clock((status.num_steps_train - status.learner_step) / rates.updates)} left")
    return times


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def _percent(part: int, total: int) -> str:
    return f"{100 * part // total} %"  # rounded down: 100 % only at the end


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
