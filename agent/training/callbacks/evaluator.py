"""Test scores while training: checkpoints are scored by test.py in a child process, one at a time."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import run_folder
from agent.environment import env_flags
from agent.training.callbacks.callback import Callback, RunInfo, Status
from params import WatchParams
from utils.child import INTERRUPTED, Child
from utils.errors import StorageError
from utils.storage.checkpoints import step_of
from utils.storage.results import ledger_of

if TYPE_CHECKING:
    from agent.training.result import Result

NICE = 10  # scheduling priority of the test below that of the training


class Evaluator(Callback):
    """Scores the first checkpoint at or after each multiple of `every` learner steps.

    Episodes, score row and ledger line are those of the watcher, so a watcher does not test the checkpoint again. If both
    test it at the same time, there are two rows with equal scores. If several checkpoints are due, only the latest one is
    scored. A failed test is reported.
    """

    is_optional = True

    def __init__(self, every: int):
        self._every = every
        self._due: Path | None = None
        self._child: Child | None = None
        self._path = Path()  # of the checkpoint that the child tests
        self._deadline = 0.0  # monotonic time

    def on_start(self, run: RunInfo) -> None:
        """Open the ledger."""
        self._run = run
        self._ledger = ledger_of(run_folder(run.config.results_dir, run.config))
        self._seen = run.resumed_step[0] if run.resumed_step else 0  # learner step of the newest known checkpoint

    def on_checkpoint(self, path: Path) -> None:
        """Note a checkpoint that is due."""
        if step_of(path) // self._every > self._seen // self._every:
            self._due = path
        self._seen = step_of(path)

    def on_tick(self, status: Status) -> None:
        """Record a test that has ended, and start the next one."""
        self._collect()
        if self._child is None and not status.is_ending and not status.has_ended:
            self._start()

    def on_end(self, result: "Result") -> None:
        """Wait for the running test, then score the last checkpoint; return early after a signal."""
        interrupted = self._run.is_interrupted
        self._wait(interrupted)
        self._due = None if interrupted() else result.checkpoint
        self._start()
        self._wait(interrupted)

    def close(self) -> None:
        """End a running test."""
        self._collect()  # a test that has just ended is still recorded
        if self._child is not None:
            self._child.end()
            self._child = None

    def _start(self) -> None:
        path, self._due = self._due, None
        if path is None:
            return
        params = self._run.config
        given = env_flags(params) | {name: getattr(params, name) for name in ("run", "ckpt_dir", "results_dir")}
        episodes = {"num_eps_test": WatchParams.num_eps_test, "random_seed": WatchParams.random_seed}
        try:
            if (self._run.run_id, step_of(path)) not in self._ledger.keys():  # noqa: SIM118 (a ledger is no dict)
                self._child = Child("test.py", nice=NICE, ckpt_file=path, **given, **episodes)
                self._path, self._deadline = path, time.monotonic() + WatchParams.test_timeout
        except (OSError, StorageError) as error:
            self._run.console.say_once(f"{path.name} could not be tested: {error}", key="a test that did not start")

    def _wait(self, interrupted: Callable[[], bool]) -> None:
        while self._child is not None and not interrupted():
            self._child.wait(0.5, interrupted)
            self._collect()

    def _collect(self) -> None:
        """Report and record the outcome of the test, once it has ended or has taken too long."""
        if self._child is None:
            return
        code, late = self._child.wait(0.0), time.monotonic() > self._deadline
        if code is None and not late:
            return
        child, self._child = self._child, None
        child.end()
        if code in INTERRUPTED:  # Ctrl-C reaches the test too; an interrupted test has no outcome
            return
        console, run_id = self._run.console, self._run.run_id
        why = f"ended after {WatchParams.test_timeout:g} seconds" if code is None else f"exit code {code}"
        console.say(child.output if code == 0 else f"The test of {self._path.name} failed ({why}). {child.output}")
        outcome = "tested" if code == 0 else "failed" if self._path.exists() else "gone"
        try:
            if (run_id, step_of(self._path)) not in self._ledger.keys():  # noqa: SIM118 (a watcher may have tested it)
                self._ledger.add(run_id, step_of(self._path), outcome, checkpoint=self._path.name)
        except StorageError as error:
            console.say_once(str(error))
