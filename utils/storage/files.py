"""Atomic writes: a file or folder appears complete by a rename, or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

from utils.errors import StorageError


def partial_path(path: Path, suffix: str = "") -> Path:
    """The hidden path beside `path` under which this process writes it. `suffix` is for encoders that need one."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial{suffix}")


@contextlib.contextmanager
def atomic_write(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a partial path. The caller makes a file or a folder there; at the end it replaces `path`.

    After an exception the partial path is removed, and `path` stays as it was. With `durable` the rename is on the disk
    at the end; the content must be synced by the caller (`write_synced`, `sync_folder`). Raises OSError.
    """
    partial = partial_path(path)
    remove_quietly(partial)  # of an earlier process with the same number
    try:
        yield partial
        os.rename(partial, path)
    except BaseException:
        remove_quietly(partial)
        raise
    if durable:
        sync_folder(path.parent)


def write_file(path: Path, content: bytes) -> Path:
    """Write a file atomically; makes its folder, returns the path. No fsync. Raises StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error}.") from None
    return path


def write_synced(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file in parts, then fsync it. Raises OSError."""
    with open(path, "wb", buffering=0) as file:
        for part in parts:
            write_all(file, part)
        os.fsync(file.fileno())


def write_all(file: FileIO, content: bytes) -> None:
    """Write all of `content` to an unbuffered file. Raises OSError."""
    rest = memoryview(content)
    while rest:  # on a full disk the first call writes a part, and the next call raises
        rest = rest[file.write(rest) :]


def sync_folder(path: Path) -> None:
    """Fsync a folder: the names in it survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_quietly(path: Path) -> None:
    """Remove a file or a folder if that is possible. Never raises OSError."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
