"""Checks before a long run that its files can be written."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from utils.errors import StorageError


def check_writable(files: Mapping[str, Iterable[Path]]) -> None:
    """Raise StorageError when one of `files` could not be written; the keys are the flags to change.

    Makes their folders, and removes these again after an error. Files are not changed.
    """
    made: list[Path] = []
    try:
        for flag, paths in files.items():
            for path in paths:
                try:
                    _try_to_write(path, made)
                except (OSError, ValueError) as error:
                    reason = getattr(error, "strerror", None) or error
                    raise StorageError(f"{path} cannot be written: {reason}. Choose another with {flag}.") from None
    except StorageError:
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # another process uses it by now
                folder.rmdir()
        raise


def _try_to_write(path: Path, made: list[Path]) -> None:
    for folder in reversed([path.parent, *path.parent.parents]):
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)  # another process may be quicker
            made.append(folder)
    with tempfile.TemporaryFile(dir=path.parent, buffering=0) as file:  # nameless, so a kill leaves nothing
        file.write(b"?")
    if path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))  # a pipe must not block
