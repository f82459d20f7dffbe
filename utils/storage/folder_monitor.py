"""A bell that rings when something changes in a folder: a hint to look, never the truth."""

import contextlib
import threading
import time
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver


class FolderMonitor:
    """Wakes `wait` when watchdog reports a change in `folder`.

    Events get lost in bursts, on network folders and when a folder is made again, so `wait` always returns after its
    timeout, and the waiter must list the folder. A folder that does not exist yet is watched once it does.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._rung = threading.Event()
        self._observer: BaseObserver | None = None
        self._watched: int | None = None  # inode of the folder that is observed

    def wait(self, timeout: float, stop: threading.Event | None = None) -> None:
        """Return after a change in the folder, after `timeout` seconds, or soon after `stop`.

        Returns at once where it has only now begun to observe the folder: what changed before that made no event.
        """
        self._observe()
        deadline = time.monotonic() + timeout
        while not self._rung.wait(min(0.2, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline or stop is not None and stop.is_set():
                return
        self._rung.clear()

    def ring(self) -> None:
        """End the current or next `wait`."""
        self._rung.set()

    def lose(self) -> None:
        """Forget the folder that was observed: it has gone, and one of the same name may be another."""
        self._watched = None
        self._rung.set()

    def close(self) -> None:
        """Stop observing."""
        if self._observer is not None:
            with contextlib.suppress(Exception):  # watchdog may raise anything here, and there is nothing left to do
                self._observer.stop()
            self._observer = None

    def _observe(self) -> None:
        try:
            inode = self._folder.stat().st_ino
        except OSError:
            inode = None
        if inode == self._watched and (self._observer is None or self._observer.is_alive()):
            return
        if self._watched is None and inode is not None:
            self._rung.set()
        self.close()
        self._watched = inode
        if inode is not None:
            # Out of inotify watches, or a file system without events: the timeout of `wait` carries on alone.
            with contextlib.suppress(OSError):
                observer = Observer()
                observer.daemon = True
                observer.schedule(_Ringer(self, str(self._folder)), str(self._folder))
                observer.start()
                self._observer = observer


class _Ringer(FileSystemEventHandler):
    def __init__(self, bell: FolderMonitor, folder: str):
        self._bell, self._folder = bell, folder

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):  # our own listing
            self._bell.ring()
        if event.event_type in ("deleted", "moved") and event.src_path == self._folder:
            self._bell.lose()
