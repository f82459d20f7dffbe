"""Retention: which checkpoints of a run are kept. The best tested one is kept, and untested ones are kept longer."""

import math
from pathlib import Path

from utils.errors import StorageError
from utils.storage.checkpoints import step_of
from utils.storage.lines import number
from utils.storage.results import ScoreKind, ledger_of, main_kind, read_scores


def superfluous(paths: list[Path], most: int, tested: set[int], best: int | None) -> list[Path]:
    """The checkpoints to remove, of `paths` from old to new, so that `most` are kept.

    The best one is always kept. Up to 2 * `most` are kept while they have not been tested. `tested` and `best` are
    learner steps.
    """
    return [
        path
        for age, path in enumerate(reversed(paths))
        if age >= most and (step := step_of(path)) != best and (step in tested or age >= 2 * most)
    ]


def superfluous_replays(paths: list[Path], newest: int | None, saved: int | None) -> list[Path]:
    """The replay snapshots to remove, of `paths` from old to new, once the one of learner step `newest` exists.

    Until the next checkpoint, a killed run resumes from learner step `saved`, so its snapshot is kept too.
    """
    before = [path for path in paths if saved is not None and step_of(path) <= saved]
    return [path for path in paths if newest is not None and step_of(path) != newest and path not in before[-1:]]


def judged(results: Path, run_id: str, published_seed: int, watcher_seed: int) -> tuple[set[int], int | None]:
    """The tested learner steps of this run, and the one with the best score.

    `results` is the path of the scores without an ending. Files that cannot be read protect nothing.
    """
    ledger = ledger_of(results)
    try:
        tested = {step for run, step in ledger.keys() if run == run_id}  # noqa: SIM118 (a ledger is no dict)
        scores = selection_scores(results, run_id, published_seed, watcher_seed)
    except StorageError:
        return set(), None
    return tested, max(scores, key=lambda step: scores[step], default=None)


def selection_scores(results: Path, run_id: str, published_seed: int, watcher_seed: int) -> dict[int, float]:
    """The scores of a run by which its best checkpoint is selected, by learner step. Raises StorageError.

    They are of one kind, usually the watcher's (first seed `watcher_seed`). Published scores never select a checkpoint:
    those from `published_seed`, the default of test.py, and those from given start states.
    """
    rows = [
        row
        for row in read_scores(results)
        if row["run_id"] == run_id and row["first_seed"] not in ("", str(published_seed)) and _is_score(row)
    ]
    kind = main_kind(rows, watcher_seed)
    return {int(row["learner_step"]): float(row["mean"]) for row in rows if ScoreKind.of(row) == kind}


def _is_score(row: dict[str, str]) -> bool:
    return row["learner_step"].isdecimal() and math.isfinite(number(row["mean"]))
