"""Scores on disk: one line of text and one row of CSV for each test, and the ledger of what has been tested."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.errors import StorageError
from utils.lines import append, csv_line

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


def append_result(path: Path, row: dict[str, Any]) -> None:
    """Append a row with COLUMNS to <path>.csv, and the original's line to <path>.txt. Raises StorageError."""
    line = f"Training Episode {row['learner_step']}: \t Average reward = {row['mean']:.2f} +/- {row['sem']:.2f} /ep \n\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        append(path.with_name(path.name + ".txt"), line)
        table = path.with_name(path.name + ".csv")
        header = "" if table.exists() and table.stat().st_size else csv_line(COLUMNS)
        append(table, header + csv_line(row[column] for column in COLUMNS), durable=True)
    except OSError as error:
        raise StorageError(f"the result could not be written to {path.parent}: {error}.") from None


def read_results(path: Path) -> list[dict[str, str]]:
    """The whole rows of a results CSV, as text by column; one that a kill cut short is passed over."""
    with open(path, newline="", errors="replace") as file:
        return [row for row in csv.DictReader(file) if None not in row and None not in row.values()]


class Ledger:
    """What has been tested: a line of JSON for each checkpoint, keyed by (run_id, learner_step)."""

    def __init__(self, path: Path):
        self.path = path

    def entries(self) -> Iterator[dict[str, Any]]:
        """All lines that can be read; one that a kill cut short is passed over."""
        try:
            lines = self.path.read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {error}.") from None
        for line in lines:
            try:
                entry = json.loads(line)
                if isinstance(entry["run_id"], str):
                    yield {**entry, "learner_step": int(entry["learner_step"])}
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                continue

    def keys(self) -> set[tuple[str, int]]:
        """The (run_id, learner_step) of everything in it."""
        return {(entry["run_id"], entry["learner_step"]) for entry in self.entries()}

    def add(self, run_id: str, learner_step: int, outcome: str, **more: Any) -> None:
        """Append a line; `outcome` is "tested", "failed" or "gone". Raises StorageError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            entry = {"run_id": run_id, "learner_step": learner_step, "outcome": outcome, **more}
            append(self.path, json.dumps(entry) + "\n", durable=True)
        except OSError as error:
            raise StorageError(f"{self.path} could not be written: {error}.") from None
