"""Logs: a CSV file and TensorBoard. A log that cannot be written is reported once and never raises into training."""

import csv
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from utils.storage.files import atomic_write
from utils.storage.lines import append_lines, csv_line, number, read_rows
from utils.tensorboard import TensorBoardWriter


def read_log(path: Path) -> dict[str, np.ndarray]:
    """The columns of a log as float64 [rows], nan where there is no number; empty if the file cannot be read.

    Incomplete rows (after a kill) are skipped.
    """
    try:
        rows = read_rows(path)
    except (OSError, csv.Error):
        return {}
    return {name: np.array([number(row[name]) for row in rows]) for name in (rows[0] if rows else ())}


class Metrics:
    """One CSV file of rows by step, and the same numbers as TensorBoard scalars. Any thread may write.

    Several logs may share one TensorBoardWriter. Values are numbers or plain words: no cell needs quoting.
    """

    def __init__(self, path: Path, step_column: str, writer: TensorBoardWriter | None = None, keep_through: int | None = None):
        """Append to `path`; rows with a `step_column` past `keep_through` are cut (all rows when it is None)."""
        self._path, self._step_column, self._writer = path, step_column, writer
        self._lock = threading.Lock()
        self._columns: list[str] | None = None
        self.failure: str | None = None  # the first error, for the console
        self._guarded(lambda: self._cut(keep_through))

    def write(self, step: int, group: str | Mapping[str, str] = "", tensorboard_step: int | None = None, **values: Any) -> None:
        """Append a row; the columns are those of the first.

        TensorBoard shows numbers as group + name. With a mapping of groups by name, other names are left out.
        `tensorboard_step` is the step for TensorBoard where it differs from `step`.
        """
        with self._lock:
            self._guarded(lambda: self._append({self._step_column: step, **values}))
            groups = dict.fromkeys(values, group) if isinstance(group, str) else group
            numbers = {
                f"{groups[name]}{name}": value
                for name, value in values.items()
                if name in groups and isinstance(value, int | float)
            }
            shown_at = step if tensorboard_step is None else tensorboard_step
            if self._writer is not None and not self._guarded(partial(self._writer.scalars, numbers, shown_at)):
                self._writer = None  # an event file cannot be read past an incomplete record

    def write_to_tensorboard(self, add: Callable[[TensorBoardWriter], None]) -> None:
        """Let `add` write more than scalars to TensorBoard. Its exception is kept in `failure`."""
        with self._lock:
            if self._writer is None:
                return
            try:
                add(self._writer)
                self._writer.flush()
            except Exception as error:
                self.failure = self.failure or f"TensorBoard lacks a picture or a histogram: {error!r}"
                if isinstance(error, OSError):
                    self._writer = None

    def _append(self, row: dict[str, Any]) -> None:
        columns = self._columns or list(row)
        header = "" if self._path.exists() and self._path.stat().st_size else csv_line(columns)
        append_lines(self._path, header + csv_line(row.get(column, "") for column in columns))
        self._columns = columns

    def _cut(self, keep_through: int | None) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if keep_through is not None and self._path.exists():
            header, *lines = self._path.read_text(errors="replace").split("\n")
            columns = header.split(",")
            if self._step_column in columns:
                self._columns = columns
                place = columns.index(self._step_column)
                rows = (line.split(",") for line in lines[:-1])  # the text after the last newline is an incomplete row
                complete = (row for row in rows if len(row) == len(columns) and row[place].isdecimal())
                kept = [columns, *(row for row in complete if int(row[place]) <= keep_through)]
        with atomic_write(self._path) as partial_file:
            partial_file.write_text("".join(map(csv_line, kept)))

    def _guarded(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except (OSError, ValueError) as error:
            self.failure = self.failure or f"{self._path} could not be written: {error}"
            return False
        return True
