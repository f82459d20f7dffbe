"""Threads that start and end together, and stack dumps of hanging threads."""

import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from utils.storage.lines import append_lines

_left_behind: list[threading.Thread] = []


class ThreadGroup:
    """Runs each named loop in a daemon thread. When one loop ends or fails, all are stopped."""

    def __init__(self, loops: dict[str, Callable[[], object]]):
        self._loops = loops
        self._threads: dict[str, threading.Thread] = {}

    def run(self, stop: threading.Event, patience: float = 5.0) -> None:
        """Run the loops until `stop` is set. Raises the exception of the first failing loop.

        A loop that has not returned `patience` seconds after `stop` is abandoned, so that it cannot keep the process alive.
        """
        errors: list[BaseException] = []

        def guarded(loop: Callable[[], object]) -> None:
            try:
                loop()
            except BaseException as error:
                errors.append(error)
            finally:
                stop.set()  # finished or failed: the others end too

        self._threads = {
            name: threading.Thread(target=guarded, args=(loop,), name=name, daemon=True) for name, loop in self._loops.items()
        }
        try:
            for thread in self._threads.values():
                thread.start()
            while not stop.wait(0.2):
                pass  # the main thread does nothing else, so signals arrive at once
        finally:
            stop.set()
            deadline = time.monotonic() + patience
            for thread in self._threads.values():
                if thread.ident is not None:  # an interrupt may come before it is started
                    thread.join(max(0.0, deadline - time.monotonic()))
            _left_behind.extend(self.hanging())
        if errors:
            raise errors[0]

    def hanging(self) -> list[threading.Thread]:
        """The threads that are still alive."""
        return [thread for thread in self._threads.values() if thread.is_alive()]

    def is_alive(self, name: str) -> bool:
        """Whether the loop of this name is still running."""
        return self._threads[name].is_alive() if name in self._threads else False


def is_held() -> bool:
    """Whether an abandoned thread still hangs; the end of the interpreter would wait for it."""
    return any(thread.is_alive() for thread in _left_behind)


def write_thread_dumps(path: Path, threads: Iterable[threading.Thread]) -> str:
    """Append the stacks of `threads` to a file. Returns a phrase with the path. Never raises OSError."""
    frames = _frames()
    text = ""
    for thread in threads:
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            text += f"{time.strftime('%Y-%m-%d %H:%M:%S')} {thread.name}\n{''.join(traceback.format_stack(frame))}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        append_lines(path, text)
    except OSError as error:
        return f"its stack could not be written: {error}"
    return f"its stack is in {path}"


def _frames() -> dict[int, FrameType]:
    """The frame of each thread. In Python 3.11 a garbage collection within this call hangs (gh-106883)."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()
