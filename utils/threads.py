"""Threads that start together and end together, and the signals that end them."""

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECOND_REQUEST_AFTER = 1.0  # seconds after the first signal from which another one may end the process at once

_left_behind: list[threading.Thread] = []


def run_together(
    loops: dict[str, Callable[[], object]], stop: threading.Event, patience: float = 5.0
) -> list[threading.Thread]:
    """Run each named loop in a daemon thread; the first to end, for whatever reason, ends them all.

    Raises what the first failing loop raised. A loop that has not come back `patience` seconds after `stop` is left
    behind and returned: it must not hold the process.
    """
    errors: list[BaseException] = []

    def guarded(loop: Callable[[], object]) -> None:
        try:
            loop()
        except BaseException as error:
            errors.append(error)
        finally:
            stop.set()  # finished or failed: nobody goes on without the others

    threads = [threading.Thread(target=guarded, args=(loop,), name=name, daemon=True) for name, loop in loops.items()]
    try:
        for thread in threads:
            thread.start()
        while not stop.wait(0.2):
            pass  # the main thread does nothing else, so signals arrive at once
    finally:
        stop.set()
        deadline = time.monotonic() + patience
        for thread in threads:
            if thread.ident is not None:  # an interrupt may have come before it was started
                thread.join(max(0.0, deadline - time.monotonic()))
        hanging = [thread for thread in threads if thread.is_alive()]
        _left_behind.extend(hanging)
    if errors:
        raise errors[0]
    return hanging


def is_held() -> bool:
    """Whether a thread that was left behind still hangs: the interpreter's own end would wait for what it is in."""
    return any(thread.is_alive() for thread in _left_behind)


def is_running(name: str) -> bool:
    """Whether a thread of this name is alive."""
    return any(thread.name == name for thread in threading.enumerate())


class Signals:
    """While entered, the first SIGINT, SIGTERM or SIGHUP sets `stop`; one that `is_second_request` ends the process at once.

    `exit_code` is 128 + the first signal's number once one has come, else 0. After a signal the handlers stay: the script
    is about to end, and a later signal must not interrupt that.
    """

    def __init__(self, stop: threading.Event):
        self._stop = stop
        self._previous: dict[int, object] = {}
        self._first_at = 0.0
        self.exit_code = 0

    def __enter__(self) -> "Signals":
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has SIGHUP ignored
                self._previous[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.exit_code:
            for number, handler in self._previous.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def came(self) -> bool:
        """Whether a signal has come."""
        return bool(self.exit_code)

    def _received(self, number: int, _: FrameType | None) -> None:
        if self.exit_code:
            if is_second_request(number, self._first_at):
                os._exit(128 + number)
            return
        self._first_at = time.monotonic()
        self.exit_code = 128 + number
        # Not here: the main thread may have been interrupted while it held the lock within `stop`.
        _thread.start_new_thread(self._stop.set, ())


def is_second_request(number: int, first_at: float) -> bool:
    """Whether a signal that follows a first one asks to end at once: SIGINT or SIGTERM, at least a second later.

    `first_at` is the monotonic time of the first. A terminal that closes sends several SIGHUP within milliseconds, often
    with a SIGTERM; those are one request.
    """
    return number != signal.SIGHUP and time.monotonic() - first_at >= SECOND_REQUEST_AFTER
