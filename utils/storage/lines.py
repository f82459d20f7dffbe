"""Lines appended to files that others read meanwhile."""

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


def append(path: Path, text: str, durable: bool = False) -> None:
    """Append whole lines, one writer at a time; a line that a kill cut short before is ended first. Raises OSError."""
    with open(path, "ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # or a line that is being written would look like one that was cut short
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
