"""What a person sees: a live table on a terminal, plain lines elsewhere, silence when nobody listens any more."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import rich.console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

LINE_EVERY = 10.0  # seconds between two plain lines


class _Console(rich.console.Console):
    def on_broken_pipe(self) -> None:
        """Raise, as any other write does that fails; rich would end the process."""
        raise BrokenPipeError


class Console:
    """Sentences and a view that is refreshed in place. Any thread may use it; nothing here ever raises."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._lock = threading.RLock()
        self._said: set[str] = set()
        self._next_line = 0.0

    def say(self, sentence: str) -> None:
        """Print a sentence; above the live view where there is one."""
        with self._lock, _nobody_listens():
            self._console.print(sentence, markup=False, emoji=False)

    def say_once(self, sentence: str, key: str | None = None) -> None:
        """Print a sentence unless one with the same key (the sentence itself by default) has been printed."""
        if (key or sentence) not in self._said:
            self._said.add(key or sentence)
            self.say(sentence)

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """While entered, `show` refreshes a table in place, if this is a terminal."""
        if self._console.is_terminal:
            with _nobody_listens():
                self._live = Live(console=self._console, auto_refresh=False, transient=False)
                self._live.start()
        try:
            yield
        finally:
            live, self._live = self._live, None
            with self._lock, _nobody_listens():
                if live:
                    live.stop()

    def show(self, view: dict[str, Any]) -> None:
        """Show named values; "fraction" (0 to 1) becomes a bar. Without a terminal: one line every few seconds."""
        with self._lock, _nobody_listens():
            if self._live:
                self._live.update(_table(view), refresh=True)
            elif time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + LINE_EVERY
                self.say(" | ".join(f"{name} {value}" for name, value in view.items() if name != "fraction"))


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """While entered, what native libraries write to the process's stderr is dropped; Python's own goes through."""
    try:
        kept = os.dup(2)
        python_stderr, sys.stderr = sys.stderr, os.fdopen(os.dup(2), "w", buffering=1)
    except OSError:  # there is no stderr at all
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
        with _nobody_listens():
            sys.stderr.close()
        sys.stderr = python_stderr


def _table(view: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in view.items():
        shown = ProgressBar(total=1.0, completed=value, width=40) if name == "fraction" else str(value)
        table.add_row("progress" if name == "fraction" else name, shown)
    return table


@contextlib.contextmanager
def _nobody_listens() -> Iterator[None]:
    with contextlib.suppress(OSError, ValueError):  # a closed stdout must not end a training
        yield
