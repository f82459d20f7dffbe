"""What callbacks work with, for tests: a run, a status, an episode, a result, a child process; their numbers never vary."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from factories import make_params, make_replay

from agent.training.callbacks.callback import FinishedEpisode, RunInfo, Status
from params import TrainParams
from utils.console import Console
from utils.envs.spec import EnvSpec

make_pendulum = EnvSpec("Pendulum-v1", max_ep_length=5).make


class Screen(Console):
    """A console that keeps what it is told, and writes nothing."""

    def __init__(self) -> None:
        super().__init__(silent=True)
        self.said: list[str] = []
        self.lines: list[tuple[str, bool]] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def show(self, rows: Any, line: str, is_last: bool = False) -> None:
        self.lines.append((line, is_last))


class FakeChild:
    """Stands in for a child process, and ends when `code` is set."""

    def __init__(self, *words: str, ckpt_file: Path, **flags: Any) -> None:
        self.words, self.name, self.code, self.has_ended = words, ckpt_file.name, None, False
        self.output = self.last_line = "said"

    def wait(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> int | None:
        return self.code

    def end(self) -> None:
        self.has_ended = True


def use_fake_children(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[FakeChild]:
    """Let a module start fake children; they are listed in the order of their start."""
    children: list[FakeChild] = []

    def start(*words: str, **flags: Any) -> FakeChild:
        children.append(FakeChild(*words, **flags))
        return children[-1]

    monkeypatch.setattr(module, "Child", start)
    return children


def make_run(folder: Path, config: TrainParams | None = None, **changes: Any) -> RunInfo:
    """The RunInfo of a new run whose files are in `folder`; `changes` replaces fields."""
    fields = {
        "config": config or make_params(),
        "make_env": make_pendulum,
        "run_id": "r1",
        "checkpoints": folder / "ckpts/Pendulum-v1",
        "logs": folder / "logs",
        "results": folder / "results/Pendulum-v1",
        "resumed_step": None,
        "replay": make_replay(20, 3),
        "console": Screen(),
        "stop": threading.Event(),
        "is_interrupted": lambda: False,
    }
    return RunInfo(**fields | changes)


def make_status(**changes: Any) -> Status:
    """The status of a run that has learned for ten seconds."""
    fields = {
        "learner_step": 40,
        "first_learner_step": 0,
        "num_steps_train": 100,
        "env_steps": 800,
        "episodes": 4,
        "seconds": 10.0,
        "updates_per_s": 4.0,
        "env_steps_per_s": 80.0,
        "replay_size": 100,
        "replay_capacity": 200,
        "inserts": 100,
        "learning_starts": 20,
        "saved_step": None,
        "env_failures": 0,
    }
    return Status(**fields | changes)


def make_episode(episode_return: float = -100.0, **changes: Any) -> FinishedEpisode:
    """An episode of agent 2 that ended at learner step 40 and environment step 800."""
    fields = {"learner_step": 40, "env_step": 800, "agent": 2, "length": 200, "noise": 0.25}
    return FinishedEpisode(episode_return=episode_return, **fields | changes)


def make_result(checkpoint: Path, score: float | None = None, learner_step: int = 100) -> Any:
    """A stand-in for the Result of a run."""
    return SimpleNamespace(
        checkpoint=checkpoint, score=None if score is None else SimpleNamespace(mean=score), learner_step=learner_step
    )
