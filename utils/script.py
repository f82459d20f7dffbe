"""Runs the main function of a script: exit codes, errors as sentences, and signals."""

import _thread
import contextlib
import io
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TextIO

from utils.errors import Interrupted, ToolkitError
from utils.threads import is_held

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECOND_REQUEST_AFTER = 1.0  # seconds after the first signal from which another one may end the process at once


def quiet_signals() -> None:
    """Let Ctrl-C and the other signals end the process silently, until `run_script` starts.

    Call it first in a script, before its slow imports.
    """
    _on_signals(_leave_at_once)


def run_script(main: Callable[[], int | None]) -> None:
    """Run `main` and exit with its code. After an error, print its sentence and exit with its code.

    A traceback is shown only with --debug; the traceback of an unexpected error is written to a file. The first SIGINT,
    SIGTERM or SIGHUP raises Interrupted in `main`. A SIGINT or SIGTERM a second later ends the process at once.
    """
    _mend_streams()
    try:
        _on_signals(_interrupt)
        code = main() or 0
    except ToolkitError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        _say(f"Error: {error}")
        code = error.exit_code
    except KeyboardInterrupt as interrupt:
        code = getattr(interrupt, "exit_code", 130)
    except Exception as error:
        _say(f"Error: {type(error).__name__}: {error}. {_keep_traceback()}")
        code = 1
    for number in SIGNALS:
        if signal.getsignal(number) is _interrupt:  # without a signal so far: the script has ended and saved everything
            signal.signal(number, _leave_at_once)
    for stream in (sys.stdout, sys.stderr):
        _leave_quietly(stream)
    if is_held():  # for example, a compilation would delay the exit by ten seconds
        os._exit(code)
    sys.exit(code)


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # SIGINT of a job in the background, SIGHUP under nohup
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    first_at = time.monotonic()

    def later(number: int, _: FrameType | None) -> None:
        if is_second_request(number, first_at):
            _leave_at_once(number, _)

    _on_signals(later)
    interrupt = Interrupted()
    interrupt.exit_code = 128 + number
    raise interrupt


def _leave_at_once(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


def _mend_streams() -> None:
    # A file opened later would get the number of a closed stream, and then the output for that stream.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # opens the lowest free number, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # unknown letters must not raise
            stream.reconfigure(errors="backslashreplace")


def _leave_quietly(stream: TextIO | None) -> None:
    # Data buffered for a closed reader would fail at exit and change the code to 120.
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(sentence: str) -> None:
    try:
        print(sentence, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # a closed stderr must not change the exit code


def _keep_traceback() -> str:
    if "--debug" in sys.argv:
        traceback.print_exc()
        return "This is a bug in the toolkit."
    try:
        with tempfile.NamedTemporaryFile("w", prefix="d4pg-", suffix=".traceback.txt", delete=False) as file:
            file.write(traceback.format_exc())
        return f"This is a bug in the toolkit; the traceback is in {file.name}, or run again with --debug."
    except OSError:
        return "This is a bug in the toolkit; run again with --debug to see the traceback."


class Signals:
    """While entered, the first SIGINT, SIGTERM or SIGHUP sets `stop`; a second request ends the process at once.

    `exit_code` is 128 + the number of the first signal, 0 before. After a signal the handlers stay installed, so that a
    later signal does not interrupt the end of the script.
    """

    def __init__(self, stop: threading.Event):
        self._stop = stop
        self._previous: dict[int, object] = {}
        self._first_at = 0.0
        self.exit_code = 0

    def __enter__(self) -> "Signals":
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                self._previous[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.exit_code:
            for number, handler in self._previous.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def came(self) -> bool:
        """Whether a signal was received."""
        return bool(self.exit_code)

    def _received(self, number: int, _: FrameType | None) -> None:
        if self.exit_code:
            if is_second_request(number, self._first_at):
                os._exit(128 + number)
            return
        self._first_at = time.monotonic()
        self.exit_code = 128 + number
        # Not in this thread: the signal may have interrupted it while it held the lock of `stop`.
        _thread.start_new_thread(self._stop.set, ())


def is_second_request(number: int, first_at: float) -> bool:
    """Whether a later signal is a second request: SIGINT or SIGTERM, at least a second after the first signal.

    `first_at` is the monotonic time of the first. A closing terminal sends several SIGHUP, often with a SIGTERM, within
    milliseconds; those are one request.
    """
    return number != signal.SIGHUP and time.monotonic() - first_at >= SECOND_REQUEST_AFTER
