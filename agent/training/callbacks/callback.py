"""The callback interface: observes a run, and may stop it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from params import TrainParams
from utils.console import Console
from utils.envs.environment import Environment
from utils.replay.prioritised import PrioritisedReplay

if TYPE_CHECKING:
    from agent.training.result import Result


@dataclass(frozen=True)
class RunInfo:
    """The run as a callback sees it at the start."""

    config: TrainParams
    make_env: Callable[..., Environment]
    run_id: str
    checkpoints: Path  # the folder of the run
    logs: Path  # the folder of the logs
    results: Path  # the scores' path without its ending
    resumed_step: tuple[int, int] | None  # learner step and environment step that the run continues from
    replay: PrioritisedReplay
    console: Console
    stop: threading.Event  # set when the run is to end
    is_interrupted: Callable[[], bool]  # whether a signal asked for the end: then return quickly


@dataclass(frozen=True)
class FinishedEpisode:
    """A training episode, with exploration noise. Both steps are counted at the end of the episode."""

    learner_step: int
    env_step: int
    agent: int
    episode_return: float
    length: int
    noise: float


@dataclass(frozen=True)
class Status:
    """The progress of a run. Rates are per second; `metrics` are those of the last row."""

    learner_step: int
    first_learner_step: int  # where this process started
    num_steps_train: int
    env_steps: int
    episodes: int
    seconds: float
    updates_per_s: float
    env_steps_per_s: float
    replay_size: int
    replay_capacity: int
    inserts: int
    learning_starts: int
    saved_step: int | None
    env_failures: int
    is_ending: bool = False  # asked to stop
    has_ended: bool = False  # learner and agents have returned
    metrics: Mapping[str, float] = field(default_factory=dict)


class Callback:
    """Watches a run. Override what you need; a method that returns True asks the run to stop.

    One thread calls all callbacks: a slow callback delays the others, but never the learner or the agents. Under load
    episodes may be dropped, checkpoints never. With `slow`, on_checkpoint runs in a separate thread and gets only the latest
    checkpoint. An exception ends the run and is raised. With `is_optional`, only an exception in on_start does that; other
    exceptions are reported once.
    """

    slow = False
    is_optional = False

    def on_start(self, run: RunInfo) -> bool | None:
        """Called once, before the first environment step."""

    def on_episode(self, episode: FinishedEpisode) -> bool | None:
        """Called after each training episode."""

    def on_metrics(self, learner_step: int, metrics: Mapping[str, float]) -> bool | None:
        """Called about every five seconds of learning with the means since the previous call."""

    def on_tick(self, status: Status) -> bool | None:
        """Called twice a second."""

    def on_checkpoint(self, path: Path) -> bool | None:
        """Called after each checkpoint, once all of it is on the disk."""

    def on_end(self, result: "Result") -> None:
        """Called once, after the last checkpoint has been saved and scored. Not called when the run fails or was complete."""

    def close(self) -> None:
        """Called last, also when the run has failed: release files and processes."""
