"""Output to stdout: sentences, and a table that a terminal refreshes in place. Write errors are ignored."""

import contextlib
import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import rich.console
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

LINE_EVERY = 10.0  # seconds between two plain lines


class _Console(rich.console.Console):
    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError; rich would end the process."""
        raise BrokenPipeError


class Console:
    """Prints sentences and shows a table that is refreshed in place. Thread-safe; write errors are ignored."""

    def __init__(self, silent: bool = False) -> None:
        self._console = _Console(highlight=False, soft_wrap=True, quiet=silent)
        self._live: Live | None = None
        self._lock = threading.RLock()
        self._said: set[str] = set()
        self._next_line = 0.0

    def say(self, sentence: str) -> None:
        """Print a sentence, above the live table if there is one. It is wrapped at words on a terminal only."""
        with self._lock, _ignore_write_errors():
            text = _wrap(sentence, self._console.width) if self._console.is_terminal else sentence
            self._console.print(text, markup=False, emoji=False)

    def say_once(self, sentence: str, key: str | None = None) -> None:
        """Print a sentence unless one with the same key (the sentence itself by default) has been printed."""
        if (key or sentence) not in self._said:
            self._said.add(key or sentence)
            self.say(sentence)

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """While entered, `show` refreshes a table in place if stdout is a terminal that can move its cursor."""
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            with _ignore_write_errors():
                self._live = Live(console=self._console, auto_refresh=False, transient=False)
                self._live.start()
        try:
            yield
        finally:
            live, self._live = self._live, None
            with self._lock, _ignore_write_errors():
                if live:
                    live.stop()

    def show(self, rows: Mapping[str, Sequence[RenderableType]], line: str, is_last: bool = False) -> None:
        """Show rows of named values as a table. Without a live table, print `line`: every LINE_EVERY seconds and the last."""
        with self._lock, _ignore_write_errors():
            if self._live:
                self._live.update(table(rows), refresh=True)
            elif is_last or time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + LINE_EVERY
                self.say(line)


def table(rows: Mapping[str, Sequence[RenderableType]]) -> Table:
    """A row for each name, its values below each other. Strings are shown as they are and wrap at words."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    for name, values in rows.items():
        for value in values:
            grid.add_row(name, Text(value) if isinstance(value, str) else value)
            name = ""
    return grid


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """While entered, drop the output of native libraries to the stderr of the process; Python's own stderr is kept."""
    try:
        kept = os.dup(2)
        python_stderr, sys.stderr = sys.stderr, os.fdopen(os.dup(2), "w", buffering=1)
    except OSError:  # the process has no stderr
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
        with _ignore_write_errors():
            sys.stderr.close()
        sys.stderr = python_stderr


def _wrap(text: str, width: int) -> str:
    """Break lines at spaces. A word longer than a line stays in one piece, so that a path can be copied."""
    lines = text.split("\n")
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False)
        for line in lines
    )


@contextlib.contextmanager
def _ignore_write_errors() -> Iterator[None]:
    with contextlib.suppress(OSError, ValueError):  # a closed stdout must not end a training
        yield
