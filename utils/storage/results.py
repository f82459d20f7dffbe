"""Scores on disk: a line of text and a row of CSV for each test, and the ledger of the tested checkpoints.

A score is identified by IDENTITY: the run, the learner step and the episodes of the test. Files are only appended to, so
that a kill loses no row. Of several rows with one identity only the last is valid; readers return only that row.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from utils.errors import StorageError
from utils.storage.lines import append_lines, csv_line, number, read_rows

LEDGER_ENDING = ".tested.jsonl"
REWOUND = "rewound"
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

IDENTITY = ("run_id", "learner_step", "first_seed", "episodes", "starts")

_LINE = re.compile(
    r"Training Episode (?P<learner_step>\d+):\s*Average reward = (?P<mean>-?\d+(\.\d+)?) \+/- (?P<sem>\d+(\.\d+)?|nan) /ep"
)


class ScoreKind(NamedTuple):
    """The episodes of a test, as text from a results CSV. Only scores of one kind can be compared."""

    first_seed: str
    episodes: str
    starts: str

    @classmethod
    def of(cls, row: dict[str, str]) -> Self:
        """The kind of the score in a row."""
        return cls(row["first_seed"], row["episodes"], row["starts"])

    def __str__(self) -> str:
        if not self.episodes.isdecimal() or not (self.starts or self.first_seed.isdecimal()):
            return "episodes of unknown seeds"
        count = int(self.episodes)
        if self.starts:
            return f"{count:,} episodes from the start states in {self.starts}"
        first = int(self.first_seed)
        return f"{count:,} episodes from seeds {first:,} to {first + count - 1:,}"


def main_kind(rows: Iterable[dict[str, str]], preferred_seed: int) -> ScoreKind | None:
    """The most frequent kind of `rows`; in a tie, the kind that starts at `preferred_seed`. None without rows."""
    counts = Counter(ScoreKind.of(row) for row in rows)
    return max(counts, key=lambda kind: (counts[kind], kind.first_seed == str(preferred_seed)), default=None)


def result_files(path: Path) -> tuple[Path, Path]:
    """The files of the results at `path`: <path>.txt and <path>.csv."""
    return path.with_name(path.name + ".txt"), path.with_name(path.name + ".csv")


def append_result(path: Path, row: dict[str, Any]) -> None:
    """Append a row with COLUMNS to <path>.csv, and the original's line to <path>.txt, if it is not the valid row already.

    Raises StorageError.
    """
    text, table = result_files(path)
    line = f"Training Episode {row['learner_step']}: \t Average reward = {row['mean']:.2f} +/- {row['sem']:.2f} /ep \n\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not (table.exists() and table.stat().st_size)
        if not is_new and {column: str(row[column]) for column in COLUMNS} in read_results(table):
            return
        append_lines(text, line)
        append_lines(table, (csv_line(COLUMNS) if is_new else "") + csv_line(row[column] for column in COLUMNS), durable=True)
    except (OSError, csv.Error) as error:
        raise StorageError(f"the result could not be written to {path.parent}: {error}.") from None


def rewind_results(path: Path, run_id: str, learner_step: int) -> None:
    """Retract a run's scores and ledger entries of later learner steps: it continues from this one, with other weights.

    A score is retracted by a row without a mean, which replaces it. Raises StorageError.
    """
    rows = [row for row in read_scores(path) if row["run_id"] == run_id and number(row["learner_step"]) > learner_step]
    empty = "".join(csv_line(row[column] if column in IDENTITY else "" for column in COLUMNS) for row in rows)
    try:
        if empty:
            append_lines(result_files(path)[1], empty)
    except OSError as error:
        raise StorageError(f"{path}.csv could not be written: {error}.") from None
    ledger_of(path).rewind(run_id, learner_step)


def read_results(path: Path) -> list[dict[str, str]]:
    """The valid rows of a results CSV, as text by column. Incomplete rows (after a kill) and retracted ones are skipped."""
    rows = {tuple(row.get(column, "") for column in IDENTITY): row for row in read_rows(path)}
    return [row for row in rows.values() if row.get("mean")]


def read_scores(path: Path) -> list[dict[str, str]]:
    """The rows of <path>.csv; if there is no such file, the original's lines in <path>.txt; else an empty list.

    A line holds learner_step, mean and sem only; the other columns are then empty. Raises StorageError.
    """
    table, lines = path.with_name(path.name + ".csv"), path.with_name(path.name + ".txt")
    try:
        if table.exists():
            return [dict.fromkeys(COLUMNS, "") | row for row in read_results(table)]
        text = lines.read_text(errors="replace") if lines.exists() else ""
    except (OSError, csv.Error) as error:
        raise StorageError(f"the results of {path} cannot be read: {error}.") from None
    found = (match.groupdict() for match in _LINE.finditer(text))
    return [dict.fromkeys(COLUMNS, "") | row for row in found]


def ledger_of(path: Path) -> "Ledger":
    """The ledger beside the results at `path`."""
    return Ledger(path.with_name(path.name + LEDGER_ENDING))


class Ledger:
    """The tested checkpoints: a line of JSON for each, keyed by (run_id, learner_step).

    A line with the outcome REWOUND says that the run went on from its learner step: later steps will have other weights.
    """

    def __init__(self, path: Path):
        self.path = path
        self._known: set[tuple[str, int]] = set()
        self._read = 0  # bytes of the file that `keys` has read

    def entries(self) -> Iterator[dict[str, Any]]:
        """All readable lines. An incomplete line (after a kill) is skipped."""
        return self._entries(self._lines(0))

    def keys(self) -> set[tuple[str, int]]:
        """The (run_id, learner_step) of every tested checkpoint. Reads only the lines added since the last call."""
        if self.path.exists() and self.path.stat().st_size < self._read:
            self._known, self._read = set(), 0  # the file was replaced
        lines = self._lines(self._read)
        complete = lines[: lines.rfind(b"\n") + 1]
        self._read += len(complete)
        self._known = self._with(self._known, complete)
        return self._with(self._known, lines[len(complete) :])  # a line without a newline yet is read again next time

    def _with(self, keys: set[tuple[str, int]], lines: bytes) -> set[tuple[str, int]]:
        keys = set(keys)
        for entry in self._entries(lines):
            run_id, step = entry["run_id"], entry["learner_step"]
            if entry.get("outcome") == REWOUND:
                keys = {(run, tested) for run, tested in keys if run != run_id or tested <= step}
            else:
                keys.add((run_id, step))
        return keys

    def rewind(self, run_id: str, learner_step: int) -> None:
        """Note that the run goes on from this learner step, if later ones have been tested. Raises StorageError."""
        if any(run == run_id and tested > learner_step for run, tested in self.keys()):  # noqa: SIM118 (a ledger is no dict)
            self.add(run_id, learner_step, REWOUND)

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
        """Append a line; `outcome` is "tested", "failed", "gone" or REWOUND. Raises StorageError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            entry = {"run_id": run_id, "learner_step": learner_step, "outcome": outcome, **more}
            append_lines(self.path, json.dumps(entry) + "\n", durable=True)
        except OSError as error:
            raise StorageError(f"{self.path} could not be written: {error}.") from None
