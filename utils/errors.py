"""The errors a person is meant to read: one sentence each, and the exit code a script ends with."""

import contextlib
import io
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TextIO

from utils.threads import SIGNALS, is_held, is_second_request


class ToolkitError(Exception):
    """Something a person can mend. The message says what, where and what to do."""

    exit_code = 1


class ParameterError(ToolkitError):
    """A parameter or a space that cannot be used."""

    exit_code = 2


class DependencyError(ToolkitError):
    """A package or a display that is not there."""

    exit_code = 3


class EnvironmentFailure(ToolkitError):
    """An environment raised, or answered with something that is not a finite number."""

    exit_code = 4


class DivergenceError(ToolkitError):
    """The learner's numbers went bad."""

    exit_code = 5


class StorageError(ToolkitError):
    """A folder or a disk that cannot be written."""

    exit_code = 6


class CheckpointError(ToolkitError):
    """A checkpoint that is missing, damaged or of another kind."""

    exit_code = 7


class FolderInUseError(ToolkitError):
    """Another process trains in this folder."""

    exit_code = 8


class Interrupted(KeyboardInterrupt):
    """A signal that asks the process to end has come; `exit_code` is 128 + its number."""

    exit_code = 130


def quiet_signals() -> None:
    """From now on, and until `run_script` has begun, Ctrl-C (or another signal) ends the process at once, without a word.

    The first line of a script: what it imports after that takes long enough for a person to change their mind.
    """
    _on_signals(_leave_at_once)


def run_script(main: Callable[[], int | None]) -> None:
    """Run a script's `main` and exit: with its code, or with the sentence and code of the error it raised.

    A traceback is shown only with --debug; that of an unexpected error is kept in a file. The first of SIGINT, SIGTERM and
    SIGHUP raises Interrupted in `main`; a second SIGINT or SIGTERM, a second later, ends the process at once.
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
        if signal.getsignal(number) is _interrupt:  # no signal has come: the script has ended, and nothing is left to save
            signal.signal(number, _leave_at_once)
    for stream in (sys.stdout, sys.stderr):
        _leave_quietly(stream)
    if is_held():  # a learner that is being compiled held the interpreter for ten seconds more
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
    # A file opened later would get the number of a stream that is closed, and with it all that is meant for the stream.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sentence with a letter that it does not know is still worth reading
            stream.reconfigure(errors="backslashreplace")


def _leave_quietly(stream: TextIO | None) -> None:
    # What is still buffered for a reader that has gone would otherwise fail at exit and change the code to 120.
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
