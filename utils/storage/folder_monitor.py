"""Wakes a waiter on file-system events in a folder. Events may be lost, so always list the folder again."""

import contextlib
import threading
import time
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver


class FolderMonitor:
    """Wakes `wait` when watchdog reports a change in `folder`.

    Events get lost in bursts, on network folders and when a folder is created again. So `wait` always returns after its
    timeout, and the caller must list the folder. A missing folder is watched once it exists.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._changed = threading.Event()
        self._observer: BaseObserver | None = None
        self._watched: int | None = None  # inode of the observed folder

    def wait(self, timeout: float, stop: threading.Event | None = None) -> None:
        """Return after a change in the folder, after `timeout` seconds, or soon after `stop`.

        Returns at once if observing starts with this call: earlier changes caused no event.
        """
        self._observe()
        deadline = time.monotonic() + timeout
        while not self._changed.wait(min(0.2, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline or stop is not None and stop.is_set():
                return
        self._changed.clear()

    def wake(self) -> None:
        """End the current or next `wait`."""
        self._changed.set()

    def forget(self) -> None:
        """Forget the observed folder, which has gone. A folder of the same name may be another one."""
        self._watched = None
        self._changed.set()

    def close(self) -> None:
        """Stop observing."""
        if self._observer is not None:
            with contextlib.suppress(Exception):  # watchdog may raise anything here
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
            self._changed.set()
        self.close()
        self._watched = inode
        if inode is not None:
            # Without inotify watches or file-system events, only the timeout of `wait` is left.
            with contextlib.suppress(OSError):
                observer = Observer()
                observer.daemon = True
                observer.schedule(_Handler(self, str(self._folder)), str(self._folder))
                observer.start()
                self._observer = observer


class _Handler(FileSystemEventHandler):
    def __init__(self, monitor: FolderMonitor, folder: str):
        self._monitor, self._folder = monitor, folder

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):  # caused by our own listing
            self._monitor.wake()
        if event.event_type in ("deleted", "moved") and event.src_path == self._folder:
            self._monitor.forget()
