"""Calls the callbacks of a run from one thread."""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.training.callbacks.callback import Callback, FinishedEpisode, RunInfo, Status
from utils.console import Console

if TYPE_CHECKING:
    from agent.training.measurements import Measurements
    from agent.training.result import Result

TICK = 0.5  # seconds between two calls of on_tick
MOST_EPISODES = 10_000  # in the queue; older ones are dropped under load


class Dispatcher:
    """Queues events from any thread without waiting, and calls the callbacks from one thread."""

    def __init__(self, callbacks: Sequence[Callback], stop: threading.Event, console: Console):
        self._callbacks = [_Background(callback, stop) if callback.slow else callback for callback in callbacks]
        self._stop, self._console = stop, console
        self._failed: set[int] = set()  # ids of the callbacks that ended the run by an exception; they get no further events
        self._episodes: deque[FinishedEpisode] = deque(maxlen=MOST_EPISODES)
        self._checkpoints: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def episodes(self, episodes: Iterable[FinishedEpisode]) -> None:
        """Queue episodes."""
        self._episodes.extend(episodes)

    def checkpoint(self, path: Path) -> None:
        """Queue a checkpoint that is on the disk."""
        self._checkpoints.put(path)

    def start(self, run: RunInfo) -> None:
        """Call on_start. Raises the exception of any callback, since nothing has been learned yet."""
        for callback in self._callbacks:
            if callback.on_start(run) is True:
                self._stop.set()

    def run(self, measurements: "Measurements") -> None:
        """Call the callbacks until the run stops."""
        while not self._stop.wait(TICK):
            self.flush(measurements.due_row(), measurements.status())
        self._call("on_tick", measurements.status(is_ending=True))

    def flush(self, row: tuple[int, Mapping[str, float]] | None, status: Status) -> None:
        """Deliver the queued events, then the row unless it is None, then the status."""
        for _ in range(len(self._episodes)):  # only those queued now: with slow callbacks the loop would never end
            self._call("on_episode", self._episodes.popleft())
        while not self._checkpoints.empty():
            self._call("on_checkpoint", self._checkpoints.get())
        if row is not None:
            self._call("on_metrics", *row)
        self._call("on_tick", status)

    def end(self, result: "Result") -> None:
        """Call on_end."""
        self._call("on_end", result)

    def close(self) -> None:
        """Call close of every callback, also after an exception of another."""
        with contextlib.ExitStack() as stack:
            for callback in reversed(self._callbacks):
                stack.callback(self._guarded, callback, "close")

    def _call(self, method: str, *arguments: Any) -> None:
        for callback in self._callbacks:
            if id(callback) not in self._failed:
                self._guarded(callback, method, *arguments)

    def _guarded(self, callback: Callback, method: str, *arguments: Any) -> None:
        try:
            if getattr(callback, method)(*arguments) is True:
                self._stop.set()
        except Exception as error:
            if not callback.is_optional:
                self._failed.add(id(callback))
                raise
            name = callback.name if isinstance(callback, _Background) else type(callback).__name__
            self._console.say_once(f"{name} failed in {method} and is reported once: {error!r}.", f"{name}.{method}")


class _Background(Callback):
    """Calls on_checkpoint of a slow callback from a separate thread, with the latest checkpoint only."""

    def __init__(self, callback: Callback, stop: threading.Event):
        self._callback, self._stop = callback, stop
        self.is_optional, self.name = callback.is_optional, type(callback).__name__
        self._latest: Path | None = None
        self._changed = threading.Condition()
        self._is_ending = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)

    def on_start(self, run: RunInfo) -> bool | None:
        self._is_interrupted = run.is_interrupted
        self._thread.start()
        return self._callback.on_start(run)

    def on_episode(self, episode: FinishedEpisode) -> bool | None:
        return self._callback.on_episode(episode)

    def on_metrics(self, learner_step: int, metrics: Mapping[str, float]) -> bool | None:
        return self._callback.on_metrics(learner_step, metrics)

    def on_tick(self, status: Status) -> bool | None:
        self._raise_error()
        return self._callback.on_tick(status)

    def on_checkpoint(self, path: Path) -> bool | None:
        with self._changed:
            self._latest = path
            self._changed.notify()
        return None

    def on_end(self, result: "Result") -> None:
        """Wait for the latest checkpoint. After a signal the thread is abandoned instead."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        while self._thread.is_alive() and not self._is_interrupted():
            self._thread.join(0.1)
        self._raise_error()
        self._callback.on_end(result)

    def close(self) -> None:
        with self._changed:
            self._is_ending, self._latest = True, None
            self._changed.notify()
        self._callback.close()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._latest is not None or self._is_ending)
                path, self._latest = self._latest, None
            if path is None:
                return
            try:
                if self._callback.on_checkpoint(path) is True:
                    self._stop.set()
            except Exception as error:
                self._error = error
