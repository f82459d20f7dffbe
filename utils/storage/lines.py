"""Lines appended to files that other processes read at the same time, and the rows of CSV files."""

import csv
import fcntl
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from utils.storage.files import write_all


def csv_line(values: Iterable[Any]) -> str:
    """One row of a CSV file."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text by column. Incomplete rows (after a kill) are skipped. Raises OSError, csv.Error."""
    with open(path, newline="", errors="replace") as file:
        return [row for row in csv.DictReader(file) if None not in row and None not in row.values()]


def number(text: str, otherwise: float = float("nan")) -> float:
    """The number in a cell, or `otherwise`."""
    try:
        return float(text)
    except ValueError:
        return otherwise


def append_lines(path: Path, text: str, durable: bool = False) -> None:
    """Append complete lines under a lock. An incomplete last line (after a kill) gets a newline first. Raises OSError."""
    with open(path, "ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # or a line in progress would look like an incomplete one
        before = file.seek(0, os.SEEK_END)
        if before:
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else "\n" + text
        try:
            write_all(file, text.encode())
        except OSError:
            file.truncate(before)
            raise
        if durable:
            os.fsync(file.fileno())
