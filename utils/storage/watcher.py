"""The watcher: handles every checkpoint of a folder once, oldest first, and keeps a ledger of it."""

import threading
from collections.abc import Callable
from pathlib import Path

from utils.errors import CheckpointError
from utils.storage.checkpoints import Checkpoint, list_checkpoints, step_of
from utils.storage.folder_monitor import FolderMonitor
from utils.storage.results import Ledger
from utils.storage.run_folder import has_ended
from utils.storage.verified_folder import MANIFEST

LISTING_EVERY = 2.0  # seconds


class Watcher:
    """Calls `test(path) -> outcome` for each checkpoint that is not in the ledger, and `tested()` after a score."""

    def __init__(self, folder: Path, ledger: Ledger, test: Callable[[Path], str], tested: Callable[[], object] = lambda: None):
        self._folder, self._ledger, self._test, self._tested = folder, ledger, test, tested
        self._keys: dict[tuple[str, int, int], tuple[str, int]] = {}  # of manifests already read, by name, inode and time

    def run(self, stop: threading.Event, exit_when_done: bool = False) -> None:
        """Watch until `stop`, or, with `exit_when_done`, until the run in the folder has ended and all is tested."""
        monitor = FolderMonitor(self._folder)
        try:
            while not stop.is_set():
                ended = exit_when_done and has_ended(self._folder)  # before the listing, which then holds the last checkpoint
                if self.test_one(stop):
                    continue  # list again: an older checkpoint may have appeared
                if ended:
                    return
                monitor.wait(LISTING_EVERY, stop)
        finally:
            monitor.close()

    def test_one(self, stop: threading.Event) -> bool:
        """Test the oldest checkpoint that is not in the ledger; False when there is none."""
        known = self._ledger.keys()
        for path in list_checkpoints(self._folder):
            key = self._key(path, stop)
            if key is None or key in known:
                continue
            outcome = self._test(path)
            if stop.is_set() and outcome != "tested":
                return False  # an interrupted test has no outcome
            self._ledger.add(*key, outcome if path.exists() or outcome == "tested" else "gone", checkpoint=path.name)
            if outcome == "tested":
                self._tested()
            return True
        return False

    def _key(self, path: Path, stop: threading.Event) -> tuple[str, int] | None:
        """(run_id, learner_step); None for a checkpoint that is being removed."""
        try:
            status = (path / MANIFEST).stat()
            place = (path.name, status.st_ino, status.st_mtime_ns)
            if place not in self._keys:
                checkpoint = Checkpoint(path)
                self._keys[place] = (checkpoint.run_id, checkpoint.step)
            return self._keys[place]
        except (OSError, CheckpointError):
            stop.wait(0.2)
            # Without a readable manifest only its name identifies it.
            return ("", step_of(path)) if path.exists() else None
