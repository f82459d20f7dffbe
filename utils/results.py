"""Scores on disk: one line of text and one row of CSV for each test, and the ledger of what has been tested."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.errors import StorageError
from utils.lines import append, csv_line

LEDGER_ENDING = ".tested.jsonl"
COLUMNS = (
    "learner_step",
    "env_step",
    "seconds",
    "mean",
    "sem",
    "min",
    "max",
    "episodes",
    "first_seed",
    "starts",
    "run_id",
    "checkpoint",
)

_LINE = re.compile(
    r"Training Episode (?P<learner_step>\d+):\s*Average reward = (?P<mean>-?\d+(\.\d+)?) \+/- (?P<sem>\d+(\.\d+)?|nan) /ep"
)


def result_files(path: Path) -> tuple[Path, Path]:
    """The files of the results at `path`: <path>.txt and <path>.csv."""
    return path.with_name(path.name + ".txt"), path.with_name(path.name + ".csv")


def append_result(path: Path, row: dict[str, Any]) -> None:
    """Append a row with COLUMNS to <path>.csv, and the original's line to <path>.txt. Raises StorageError."""
    text, table = result_files(path)
    line = f"Training Episode {row['learner_step']}: \t Average reward = {row['mean']:.2f} +/- {row['sem']:.2f} /ep \n\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        append(text, line)
        header = "" if table.exists() and table.stat().st_size else csv_line(COLUMNS)
        append(table, header + csv_line(row[column] for column in COLUMNS), durable=True)
    except OSError as error:
        raise StorageError(f"the result could not be written to {path.parent}: {error}.") from None


def read_results(path: Path) -> list[dict[str, str]]:
    """The whole rows of a results CSV, as text by column; one that a kill cut short is passed over."""
    with open(path, newline="", errors="replace") as file:
        return [row for row in csv.DictReader(file) if None not in row and None not in row.values()]


def read_scores(path: Path) -> list[dict[str, str]]:
    """The scores of a run: the rows of <path>.csv, without one the original's lines of <path>.txt, without both nothing.

    A line tells learner_step, mean and sem only; the other columns are then empty. Raises StorageError.
    """
    table, lines = path.with_name(path.name + ".csv"), path.with_name(path.name + ".txt")
    try:
        if table.exists():
            return read_results(table)
        text = lines.read_text(errors="replace") if lines.exists() else ""
    except OSError as error:
        raise StorageError(f"the results of {path} cannot be read: {error}.") from None
    found = (match.groupdict() for match in _LINE.finditer(text))
    return [dict.fromkeys(COLUMNS, "") | row for row in found]


class Ledger:
    """What has been tested: a line of JSON for each checkpoint, keyed by (run_id, learner_step)."""

    def __init__(self, path: Path):
        self.path = path
        self._known: set[tuple[str, int]] = set()
        self._read = 0  # bytes of the file that `keys` has been through

    def entries(self) -> Iterator[dict[str, Any]]:
        """All lines that can be read; one that a kill cut short is passed over."""
        return self._entries(self._lines(0))

    def keys(self) -> set[tuple[str, int]]:
        """The (run_id, learner_step) of everything in it. Reads only what has been added since the last call."""
        if self.path.exists() and self.path.stat().st_size < self._read:
            self._known, self._read = set(), 0  # it is another file now
        lines = self._lines(self._read)
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        self._known |= {(entry["run_id"], entry["learner_step"]) for entry in self._entries(whole)}
        last = self._entries(lines[len(whole) :])  # without its end of line yet, it is read again next time
        return self._known | {(entry["run_id"], entry["learner_step"]) for entry in last}

    def _lines(self, start: int) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                return file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {error}.") from None

    @staticmethod
    def _entries(lines: bytes) -> Iterator[dict[str, Any]]:
        for line in lines.decode(errors="replace").split("\n"):
            try:
                entry = json.loads(line)
                if isinstance(entry["run_id"], str):
                    yield {**entry, "learner_step": int(entry["learner_step"])}
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                continue

    def add(self, run_id: str, learner_step: int, outcome: str, **more: Any) -> None:
        """Append a line; `outcome` is "tested", "failed" or "gone". Raises StorageError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            entry = {"run_id": run_id, "learner_step": learner_step, "outcome": outcome, **more}
            append(self.path, json.dumps(entry) + "\n", durable=True)
        except OSError as error:
            raise StorageError(f"{self.path} could not be written: {error}.") from None
