"""Snapshots of the replay and of the rate limiter's counters: folders beside the checkpoints, for resuming a run."""

import itertools
from pathlib import Path
from typing import Any

from utils.errors import CheckpointError
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter
from utils.storage.arrays import npy_header
from utils.storage.checkpoints import Checkpoint, list_snapshots, snapshot_path
from utils.storage.verified_folder import write_verified

TRANSITIONS = "transitions.npy"
COUNTERS = "counters.json"


def write_snapshot(folder: Path, run_id: str, learner_step: int, replay: PrioritisedReplay, limiter: RateLimiter) -> Path:
    """Save the replay and the limiter's counters while other threads use both. Returns the path. Raises StorageError."""
    limited = {"inserts": limiter.inserts, "samples": limiter.samples}
    counters, rows, chunks = replay.snapshot()
    parts = itertools.chain([npy_header(replay.row, (rows,))], (chunk.tobytes() for chunk in chunks))
    files: dict[str, Any] = {TRANSITIONS: parts, COUNTERS: {"replay": counters, "limiter": limited}}
    path = snapshot_path(folder, learner_step)
    write_verified(path, files, {"run_id": run_id, "learner_step": learner_step})
    return path


def restore_newest(checkpoint: Checkpoint, replay: PrioritisedReplay, limiter: RateLimiter) -> tuple[int | None, list[str]]:
    """Fill the replay from the snapshot of the checkpoint's own learner step, else from the newest valid one of the run.

    Returns its learner step (None without a snapshot), and a sentence on each skipped snapshot.
    """
    skipped: list[str] = []
    folder = checkpoint.path.parent
    own, newest_first = snapshot_path(folder, checkpoint.step), list_snapshots(folder)[::-1]
    for path in sorted(newest_first, key=lambda path: path != own):  # a stable sort
        try:
            snapshot = Checkpoint(path)
            if snapshot.run_id == checkpoint.run_id:
                counters = snapshot.json(COUNTERS)
                inserts, samples = (int(counters["limiter"][name]) for name in ("inserts", "samples"))
                replay.restore(counters["replay"], snapshot.array(TRANSITIONS))
                limiter.restore(inserts, samples)
                return snapshot.step, skipped
        except CheckpointError as error:
            skipped.append(f"Skipped: {error}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            skipped.append(f"Skipped: {path} does not fit here: {error!r}.")
    return None, skipped
