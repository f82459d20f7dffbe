"""The checkpoints of a folder: their names, the newest valid one, and one by name."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from utils.errors import CheckpointError, StorageError
from utils.storage.verified_folder import MANIFEST, VerifiedFolder


class Checkpoint(VerifiedFolder):
    """A verified folder of learner step `step` of the run `run_id`."""

    def __init__(self, path: Path | str):
        super().__init__(path)
        step, run_id = self.manifest.get("learner_step"), self.manifest.get("run_id")
        if type(step) is not int or step < 0 or not isinstance(run_id, str):
            raise CheckpointError(f"{self.path / MANIFEST} cannot be used: learner_step or run_id is invalid.")
        self.step, self.run_id = step, run_id


def checkpoint_path(folder: Path, prefix: str, step: int) -> Path:
    """The name of the checkpoint of a learner step."""
    return folder / f"{prefix}.ckpt-{step}"


def snapshot_path(folder: Path, step: int) -> Path:
    """The name of the replay snapshot of a learner step."""
    return folder / f"replay-{step}"


def step_of(path: Path) -> int:
    """The learner step in the name of a checkpoint or of a snapshot."""
    return int(path.name.rpartition("-")[2])


def list_checkpoints(folder: Path) -> list[Path]:
    """The paths in `folder` that are named like checkpoints, lowest learner step first. They are not verified."""
    return _by_step(folder, r"[^.].*\.ckpt-(\d{1,18})")


def list_snapshots(folder: Path) -> list[Path]:
    """The paths in `folder` that are named like replay snapshots, lowest learner step first. They are not verified."""
    return _by_step(folder, r"replay-(\d{1,18})")


def named_checkpoint(name: str, folder: Path) -> Path:
    """The path of a checkpoint: `name` is a path or a name in `folder`. Raises CheckpointError when it is neither.

    The name of a TensorFlow-1 checkpoint is a prefix of its files' names.
    """
    for path in (Path(name), folder / name):
        with contextlib.suppress(OSError, ValueError):  # an impossible file name
            if path.exists() or is_tensorflow_1(path):
                return path
    raise CheckpointError(f"there is no checkpoint {name}, neither as a path nor in {folder}.")


def is_tensorflow_1(path: Path) -> bool:
    """Whether `path` is the prefix of a TensorFlow-1 checkpoint."""
    return Path(f"{path}.index").is_file()


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[CheckpointError]]:
    """The newest valid checkpoint, and the error of each newer one."""
    skipped: list[CheckpointError] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            return Checkpoint(path).verify(), skipped
        except CheckpointError as error:
            skipped.append(error)
    return None, skipped


def newest_manifest(folder: Path) -> dict[str, Any]:
    """The newest readable manifest in `folder`; empty when there is none. The other files are not verified."""
    for path in reversed(list_checkpoints(folder)):
        with contextlib.suppress(CheckpointError):
            return Checkpoint(path).manifest
    return {}


def _by_step(folder: Path, pattern: str) -> list[Path]:
    found = []
    try:
        for entry in os.scandir(folder):
            match = re.fullmatch(pattern, entry.name)
            if match and entry.is_dir():
                found.append((int(match[1]), Path(entry.path)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{folder} cannot be listed: {error}.") from None
    return [path for _, path in sorted(found)]
