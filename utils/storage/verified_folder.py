"""Folders that appear complete by a rename, with a manifest that holds the checksum of each file and of itself.

Loading one can never run code: it uses neither pickle nor a Keras loader.
"""

import contextlib
import hashlib
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from utils.errors import CheckpointError, StorageError
from utils.storage.arrays import Arrays, map_npy, npz, read_npz
from utils.storage.files import atomic_write, remove_quietly, sync_folder, write_synced

Content = TypeVar("Content")
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 4 * 2**20
_REPLACED = ".replaced"  # the ending of a folder while a new one takes its place


class VerifiedFolder:
    """A folder and its manifest. The checksum of a file is verified before the file is parsed."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            with _opened(self.path / MANIFEST, at_most=_LARGEST_MANIFEST) as file:
                self.manifest: dict[str, Any] = json.load(file)
            files = self.manifest["files"]
            if any(name != os.path.basename(name) for name in files):
                raise ValueError("it names a file in another folder")
            self._files = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in files.items()}
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(f"{self.path} is not a checkpoint: it has no {MANIFEST}.") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{self.path / MANIFEST} cannot be used: {error}.") from None
        if self.manifest.get("format_version") != FORMAT_VERSION:
            raise CheckpointError(
                f"{self.path} has format version {self.manifest.get('format_version')}, this toolkit reads {FORMAT_VERSION}."
            )
        if self.manifest.get("seal") != manifest_checksum(self.manifest):
            raise CheckpointError(f"{self.path / MANIFEST} is damaged: its checksum is wrong.")

    def bytes(self, name: str) -> bytes:
        """The content of a file. Raises CheckpointError if its size or checksum differs from the manifest."""

        def read(file: BufferedReader) -> tuple[bytes, str]:
            content = file.read()
            return content, hashlib.sha256(content).hexdigest()

        return self._verified(name, read)

    def _verified(self, name: str, read: Callable[[BufferedReader], tuple[Content, str]]) -> Content:
        """Check size and checksum of a file, and return the result of `read(file)`."""
        path = self.path / name
        if name not in self._files:
            raise CheckpointError(f"{self.path} has no {name} in its manifest.")
        size, checksum = self._files[name]
        try:
            with _opened(path, at_most=size) as file:
                found, (content, digest) = os.fstat(file.fileno()).st_size, read(file)
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing.") from None
        except (OSError, ValueError, MemoryError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from None
        if found != size:
            raise CheckpointError(f"{path} is damaged: the manifest says {size} bytes, it has {found}.")
        if digest != checksum:
            raise CheckpointError(f"{path} is damaged: its checksum differs from the manifest.")
        return content

    def arrays(self, name: str) -> Arrays:
        """The named arrays of an .npz file."""
        return read_npz(self.bytes(name), self.path / name)

    def array(self, name: str) -> np.ndarray:
        """The array of an .npy file, mapped and read-only: only the used parts of it are in memory."""
        self._verified(name, _digested)
        return map_npy(self.path / name)

    def json(self, name: str) -> dict[str, Any]:
        """The content of a .json file."""
        try:
            content = json.loads(self.bytes(name))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.path / name} cannot be used: {error}.") from None
        if not isinstance(content, dict):
            raise CheckpointError(f"{self.path / name} cannot be used: it is not an object.")
        return content

    def verify(self) -> Self:
        """Check every file's size and checksum."""
        for name in self._files:
            self._verified(name, _digested)
        return self


def manifest_checksum(manifest: Mapping[str, Any]) -> str:
    """The checksum of a manifest without its own entry "seal"."""
    content = {name: value for name, value in manifest.items() if name != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_verified(
    path: Path, files: Mapping[str, Arrays | dict[str, Any] | Iterable[bytes]], manifest: dict[str, Any]
) -> None:
    """Write `files` and their manifest so that `path` appears complete or not at all.

    Named arrays become an .npz, an object a .json; anything else is an iterable of the parts of a file. `manifest` must
    hold learner_step and run_id. When this returns, everything is on the disk, the rename too. Raises StorageError.
    """
    replaced = path.with_name(f".{path.name}{_REPLACED}")
    try:
        with atomic_write(path, durable=True) as partial:
            partial.mkdir(parents=True)
            entries = {name: _write(partial / name, _parts(name, content)) for name, content in files.items()}
            manifest = {"format_version": FORMAT_VERSION, **manifest, "files": entries}
            _write(partial / MANIFEST, [_json({**manifest, "seal": manifest_checksum(manifest)})])
            sync_folder(partial)
            if path.is_dir():  # a damaged one, or one whose run.json could not be written
                remove_quietly(replaced)
                os.rename(path, replaced)
        remove_quietly(replaced)
    except OSError as error:
        _put_back(replaced, path)
        raise StorageError(f"{path} could not be saved: {error}.") from error


def remove_verified(path: Path) -> None:
    """Remove such a folder: first hide it by a rename, then delete it."""
    doomed = path.with_name(f".{path.name}.removed")
    remove_quietly(doomed)  # of a removal that a kill interrupted
    try:
        os.rename(path, doomed)
    except OSError:
        return  # it has gone already, or the disk is read-only
    remove_quietly(doomed)


def remove_remains(folder: Path) -> None:
    """Remove partial folders and files of killed processes. The caller must hold the lock of the folder.

    A folder that was about to be replaced takes its place again.
    """
    for replaced in folder.glob(f".*{_REPLACED}"):
        _put_back(replaced, folder / replaced.name[1:].removesuffix(_REPLACED))
    for remains in itertools.chain(*(folder.glob(f".*{ending}") for ending in (".partial", ".removed", _REPLACED))):
        remove_quietly(remains)


def _put_back(replaced: Path, path: Path) -> None:
    if not path.exists():
        with contextlib.suppress(OSError):
            os.rename(replaced, path)


def _digested(file: BufferedReader) -> tuple[None, str]:
    return None, hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _opened(path: Path, at_most: int) -> Iterator[BufferedReader]:
    """A regular file, open for reading. Raises ValueError if it is larger or not a regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe with this name must not block
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_size > at_most:
            raise ValueError(f"it is damaged: it has {status.st_size} bytes, more than the {at_most} it should")
        yield file


def _parts(name: str, content: Any) -> Iterable[bytes]:
    if name.endswith(".npz"):
        return [npz(content)]
    return [_json(content)] if name.endswith(".json") else content


def _write(path: Path, parts: Iterable[bytes]) -> dict[str, Any]:
    """Write and fsync a file; returns its entry in a manifest."""
    checksum, size = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for part in parts:
            checksum.update(part)
            size += len(part)
            yield part

    write_synced(path, counted())
    return {"size": size, "sha256": checksum.hexdigest()}


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()
