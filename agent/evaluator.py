"""Test scores while training: checkpoints are scored by test.py in a child process, one at a time."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import TracebackType

from agent.archive import Archive
from agent.config import run_folder
from agent.environment import env_flags
from params import TrainParams, WatchParams
from utils.checkpoints import step_of
from utils.child import INTERRUPTED, Child
from utils.console import Console
from utils.errors import StorageError
from utils.results import LEDGER_ENDING, Ledger

NICE = 10  # scheduling priority of the test below that of the training


class Evaluator:
    """Scores the first checkpoint at or after each multiple of `eval_every` learner steps; 0 means never.

    The episodes, the row of the score and the line of the ledger are the watcher's, so a watcher does not test such a
    checkpoint again. Only if both test the same checkpoint at the same moment are there two rows, with equal scores. When
    tests take longer than the training needs, only the latest of the waiting checkpoints is scored. A test that fails is
    reported. Leaving the `with` block ends a running test.
    """

    def __init__(self, params: TrainParams, run_id: str, archive: Archive, console: Console):
        self._params, self._run_id, self._archive, self._console = params, run_id, archive, console
        results = run_folder(params.results_dir, params)
        self._ledger = Ledger(results.with_name(results.name + LEDGER_ENDING))
        self._seen = archive.saved_step or 0  # learner step of the newest checkpoint that has been looked at
        self._due: Path | None = None
        self._child: Child | None = None
        self._path = Path()  # of the checkpoint that the child tests
        self._deadline = 0.0  # monotonic time

    def __enter__(self) -> "Evaluator":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._collect()  # a test that has just ended still gets its line
        if self._child is not None:
            self._child.end()

    def run(self, stop: Event) -> None:
        """Score checkpoints until told to stop; a test that is running then goes on."""
        while not stop.wait(0.5):
            self._look()
            self._collect()
            if self._child is None:
                self._start()

    def finish(self, interrupted: Callable[[], bool]) -> None:
        """Wait for the running test, then score the newest checkpoint; return early once `interrupted()` is true."""
        if not self._params.eval_every:
            return
        self._wait(interrupted)
        self._due = None if interrupted() else self._archive.newest
        self._start()
        self._wait(interrupted)

    def _look(self) -> None:
        path, every = self._archive.newest, self._params.eval_every
        if path is not None:
            if step_of(path) // every > self._seen // every:
                self._due = path
            self._seen = step_of(path)

    def _start(self) -> None:
        path, self._due = self._due, None
        if path is None:
            return
        given = {name: getattr(self._params, name) for name in ("run", "ckpt_dir", "results_dir")} | env_flags(self._params)
        episodes = {"num_eps_test": WatchParams.num_eps_test, "random_seed": WatchParams.random_seed}
        try:
            if (self._run_id, step_of(path)) not in self._ledger.keys():  # noqa: SIM118 (a ledger is no dict)
                self._child = Child("test.py", nice=NICE, ckpt_file=path, **given, **episodes)
                self._path, self._deadline = path, time.monotonic() + WatchParams.test_timeout
        except (OSError, StorageError) as error:
            self._console.say_once(f"{path.name} could not be tested: {error}", key="a test that did not start")

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
        if code in INTERRUPTED:  # Ctrl-C reaches the test too: that is no outcome
            return
        why = f"ended after {WatchParams.test_timeout:g} seconds" if code is None else f"exit code {code}"
        self._console.say(child.output if code == 0 else f"The test of {self._path.name} failed ({why}). {child.output}")
        outcome = "tested" if code == 0 else "failed" if self._path.exists() else "gone"
        try:
            if (self._run_id, step_of(self._path)) not in self._ledger.keys():  # noqa: SIM118 (a watcher may have been here)
                self._ledger.add(self._run_id, step_of(self._path), outcome, checkpoint=self._path.name)
        except StorageError as error:
            self._console.say_once(str(error))
