"""A run: one training and its folder, locked while a process trains in it."""

import fcntl
import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from utils.errors import FolderInUseError, ParameterError, StorageError
from utils.storage.checkpoints import list_checkpoints, newest_manifest
from utils.storage.files import atomic_write, write_synced
from utils.storage.verified_folder import remove_remains

RUN_FILE = "run.json"
LOCK_FILE = ".lock"


class Run:
    """The folder of a run while this process trains in it. `run_id` is unique."""

    def __init__(self, folder: Path):
        """Create the folder if needed, lock it, and check that it can be written.

        Raises FolderInUseError naming the process that holds it, and StorageError.
        """
        self.folder = folder
        self._lock = -1  # a file descriptor while it is held
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # The lock is held until the process ends.
            self._lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if not self._acquire():
                self.close()
                holder = (folder / LOCK_FILE).read_text() or "another process"
                raise FolderInUseError(f"{folder} is in use by {holder}; give this training its own folder with --run NAME.")
            os.truncate(self._lock, 0)
            os.pwrite(self._lock, f"process {os.getpid()}".encode(), 0)
        except OSError as error:
            raise StorageError(f"{folder} cannot be written: {error}. Choose another with --ckpt-dir.") from None
        remove_remains(folder)
        before, newest = read_run(folder), newest_manifest(folder)
        self.run_id = str(before.get("run_id") or newest.get("run_id") or uuid.uuid4().hex[:12])
        self.holds_a_run = bool(before) or bool(list_checkpoints(folder))

    def refuse_if_taken(self) -> None:
        """Raise ParameterError when the folder holds a run already, naming the flags that help."""
        if self.holds_a_run:
            step = read_run(self.folder).get("learner_step", "?")
            raise ParameterError(
                f"{self.folder} already holds a run (learner step {step}): continue with --resume, start a new run with "
                "--fresh (the old one is moved aside), or keep both with --run NAME."
            )

    def start_new_run(self) -> Path | None:
        """Move the run in the folder into a new subfolder; returns that, or None when there was no run."""
        self.run_id, self.holds_a_run = uuid.uuid4().hex[:12], False
        return move_aside(
            [
                path
                for path in (self.folder / RUN_FILE, *list_checkpoints(self.folder), *self.folder.glob("replay-*"))
                if path.exists()
            ]
        )

    def is_held(self) -> bool:
        """Whether the folder is still the locked one: it was neither removed nor created again."""
        try:
            return os.path.samestat(os.stat(self.folder / LOCK_FILE), os.fstat(self._lock))
        except OSError:
            return False

    def report(self, status: str, learner_step: int) -> None:
        """Record the progress of the run; `status` is "training", "stopped" or "done". Raises StorageError."""
        record = {"run_id": self.run_id, "status": status, "learner_step": learner_step, "process": os.getpid()}
        try:
            with atomic_write(self.folder / RUN_FILE, durable=True) as partial:
                write_synced(partial, [json.dumps(record).encode()])
        except OSError as error:
            raise StorageError(f"{self.folder / RUN_FILE} could not be written: {error}.") from None

    def _acquire(self, patience: float = 1.0) -> bool:
        # A watcher holds the lock for an instant to see whether a training runs, so try more than once.
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)

    def close(self) -> None:
        """Release the lock. Further calls do nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def move_aside(paths: list[Path]) -> Path | None:
    """Move `paths`, which share a parent, into a new folder in that parent. Returns it; None without paths."""
    if not paths:
        return None
    aside = paths[0].parent / time.strftime("before-%Y%m%d-%H%M%S")
    while aside.exists():
        aside = aside.with_name(aside.name + "x")
    try:
        aside.mkdir()
        for path in paths:
            os.rename(path, aside / path.name)
    except OSError as error:
        raise StorageError(f"{paths[0].parent} could not be cleared: {error}.") from None
    return aside


def read_run(folder: Path) -> dict[str, Any]:
    """The content of run.json; empty when it is missing or cannot be read."""
    try:
        record = json.loads((folder / RUN_FILE).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def has_ended(folder: Path) -> bool:
    """Whether the folder holds the record of a run and no process trains in it any more."""
    try:
        with open(folder / LOCK_FILE) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # there is no lock yet, or another process holds it
        return False
    return bool(read_run(folder))
