"""Retention: which checkpoints of a run stay. The watcher's scores protect the best, and time protects the untested."""

import math
from pathlib import Path

from params import TestParams
from utils.checkpoints import step_of
from utils.errors import StorageError
from utils.results import LEDGER_ENDING, Ledger, read_results


def superfluous(paths: list[Path], most: int, tested: set[int], best: int | None) -> list[Path]:
    """Which checkpoints, of `paths` from old to new, may go so that `most` stay.

    The best stays in any case, and up to twice as many stay while they have not been tested. `tested` and `best` are
    learner steps.
    """
    return [
        path
        for age, path in enumerate(reversed(paths))
        if age >= most and (step := step_of(path)) != best and (step in tested or age >= 2 * most)
    ]


def superfluous_replays(paths: list[Path], newest: int | None, saved: int | None) -> list[Path]:
    """Which replay snapshots, of `paths` from old to new, may go once that of learner step `newest` is there.

    Until a checkpoint follows it, a run that is killed goes on from the learner step `saved`: the snapshot that was
    there then stays as well.
    """
    before = [path for path in paths if saved is not None and step_of(path) <= saved]
    return [path for path in paths if newest is not None and step_of(path) != newest and path not in before[-1:]]


def judged(results: Path, run_id: str) -> tuple[set[int], int | None]:
    """The learner steps of this run that the watcher has tested, and the one that scored best.

    `results` is the path of the scores without an ending. Scores from the seeds that test.py publishes choose nothing,
    and what cannot be read protects nothing.
    """
    ledger, table = Ledger(results.with_name(results.name + LEDGER_ENDING)), results.with_name(results.name + ".csv")
    scores: dict[int, float] = {}
    try:
        tested = {step for run, step in ledger.keys() if run == run_id}  # noqa: SIM118 (a ledger is no dict)
        for row in read_results(table) if table.exists() else []:
            mean = float(row["mean"])
            if row["run_id"] == run_id and row["first_seed"] not in ("", str(TestParams.random_seed)) and math.isfinite(mean):
                scores[int(row["learner_step"])] = mean
    except (StorageError, OSError, ValueError, KeyError):
        return set(), None
    return tested, max(scores, key=lambda step: scores[step], default=None)
