"""Files that are there as a whole or not at all, for what costs nothing to make again: no fsync."""

import contextlib
import os
from pathlib import Path

from utils.errors import StorageError


def save_whole(path: Path, content: bytes) -> Path:
    """Write a file by a rename, its folder too where there is none; returns the path. Raises StorageError."""
    working = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        working.write_bytes(content)
        os.replace(working, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            working.unlink(missing_ok=True)
        raise StorageError(f"{path} could not be written: {error}.") from None
    return path
