"""Checkpoints: folders that appear complete by a rename, with a manifest that tells whether one still is.

No pickle and no Keras loader is on any path here, so that loading a checkpoint can never run code.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import CheckpointError, StorageError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 4 * 2**20

Arrays = dict[str, np.ndarray]


class Checkpoint:
    """A checkpoint whose manifest has been read. `arrays` and `json` verify a file's checksum before they parse it."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            self.manifest: dict[str, Any] = json.loads(_read(self.path / MANIFEST, at_most=_LARGEST_MANIFEST))
            self.step, self.run_id, files = self.manifest["learner_step"], self.manifest["run_id"], self.manifest["files"]
            if type(self.step) is not int or self.step < 0 or not isinstance(self.run_id, str):
                raise ValueError("learner_step or run_id is not what it should be")
            if any(name != os.path.basename(name) for name in files):
                raise ValueError("it names a file in another folder")
            self._files = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in files.items()}
        except FileNotFoundError:
            raise CheckpointError(f"{self.path} is not a checkpoint: it has no {MANIFEST}.") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{self.path / MANIFEST} cannot be used: {error}.") from None
        if self.manifest.get("format_version") != FORMAT_VERSION:
            raise CheckpointError(
                f"{self.path} has format version {self.manifest.get('format_version')}, this toolkit reads {FORMAT_VERSION}."
            )
        if self.manifest.get("seal") != seal(self.manifest):
            raise CheckpointError(f"{self.path / MANIFEST} is damaged: its checksum is not its own.")

    def bytes(self, name: str) -> bytes:
        """A file's content, of which size and checksum are as the manifest says. Raises CheckpointError otherwise."""
        path = self.path / name
        if name not in self._files:
            raise CheckpointError(f"{self.path} has no {name} in its manifest.")
        size, checksum = self._files[name]
        try:
            content = _read(path, at_most=size)
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing.") from None
        except (OSError, ValueError, MemoryError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from None
        if len(content) != size:
            raise CheckpointError(f"{path} is damaged: the manifest says {size} bytes, it has {len(content)}.")
        if hashlib.sha256(content).hexdigest() != checksum:
            raise CheckpointError(f"{path} is damaged: its checksum is not the manifest's.")
        return content

    def arrays(self, name: str) -> Arrays:
        """The named arrays of an .npz file."""
        return read_arrays(self.bytes(name), self.path / name)

    def json(self, name: str) -> dict[str, Any]:
        """The content of a .json file."""
        try:
            content = json.loads(self.bytes(name))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.path / name} cannot be used: {error}.") from None
        if not isinstance(content, dict):
            raise CheckpointError(f"{self.path / name} cannot be used: it is not an object.")
        return content

    def verify(self) -> "Checkpoint":
        """Check every file's size and checksum."""
        for name in self._files:
            self.bytes(name)
        return self


def seal(manifest: Mapping[str, Any]) -> str:
    """The checksum that a manifest carries of itself."""
    content = {name: value for name, value in manifest.items() if name != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checkpoint_path(folder: Path, prefix: str, step: int) -> Path:
    """The name of the checkpoint of a learner step."""
    return folder / f"{prefix}.ckpt-{step}"


def list_checkpoints(folder: Path) -> list[Path]:
    """The paths in `folder` that are named like checkpoints, oldest learner step first, whole or not."""
    found = []
    try:
        for entry in os.scandir(folder):
            match = re.fullmatch(r"[^.].*\.ckpt-(\d{1,18})", entry.name)
            if match and entry.is_dir():
                found.append((int(match[1]), Path(entry.path)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{folder} cannot be listed: {error}.") from None
    return [path for _, path in sorted(found)]


def named_checkpoint(name: str, folder: Path) -> Path:
    """A checkpoint that a person named: a path, or a name in `folder`. Raises CheckpointError when it is neither.

    The name of a TensorFlow-1 checkpoint is a prefix of its files' names.
    """
    for path in (Path(name), folder / name):
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            if path.exists() or is_tensorflow_1(path):
                return path
    raise CheckpointError(f"there is no checkpoint {name}, neither as a path nor in {folder}.")


def is_tensorflow_1(path: Path) -> bool:
    """Whether `path` is the prefix of a TensorFlow-1 checkpoint."""
    return Path(f"{path}.index").is_file()


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[CheckpointError]]:
    """The newest checkpoint of which every file is sound, and what was wrong with each newer one."""
    passed_over: list[CheckpointError] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            return Checkpoint(path).verify(), passed_over
        except CheckpointError as error:
            passed_over.append(error)
    return None, passed_over


def newest_manifest(folder: Path) -> dict[str, Any]:
    """The newest manifest in `folder` that can be read, whatever state its checkpoint is in; empty when there is none."""
    for path in reversed(list_checkpoints(folder)):
        with contextlib.suppress(CheckpointError):
            return Checkpoint(path).manifest
    return {}


def remove_remains(folder: Path) -> None:
    """Remove what killed processes left half-written or half-removed. Only for who holds the folder's lock."""
    for remains in [*folder.glob(".*.partial"), *folder.glob(".*.removed")]:
        if remains.is_dir():
            shutil.rmtree(remains, ignore_errors=True)
        else:
            remains.unlink(missing_ok=True)


def save_checkpoint(path: Path, files: Mapping[str, Arrays | dict[str, Any]], manifest: dict[str, Any]) -> None:
    """Write `files` (arrays as .npz, the rest as .json) and their manifest so that `path` appears complete or not at all.

    `manifest` must hold learner_step and run_id. Everything is on the disk, the rename too, when this returns.
    Raises StorageError; nothing half-written stays visible.
    """
    working = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(working, ignore_errors=True)
        working.mkdir(parents=True)
        entries = {}
        for name, content in files.items():
            data = _npz(content) if name.endswith(".npz") else _json(content)
            _write(working / name, data)
            entries[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest = {"format_version": FORMAT_VERSION, **manifest, "files": entries}
        _write(working / MANIFEST, _json({**manifest, "seal": seal(manifest)}))
        sync_folder(working)
        if path.is_dir():  # damaged, or the caller would not save it again
            remove_checkpoint(path)
        os.rename(working, path)
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(working, ignore_errors=True)
        raise StorageError(f"the checkpoint {path} could not be saved: {error}.") from error


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint: first out of sight by a rename, then from the disk."""
    doomed = path.with_name(f".{path.name}.removed")
    shutil.rmtree(doomed, ignore_errors=True)  # of a removal that a kill cut short
    try:
        os.rename(path, doomed)
    except OSError:
        return  # somebody else was quicker, or the disk is read-only: the checkpoint stays whole
    shutil.rmtree(doomed, ignore_errors=True)


def write_file(path: Path, text: str) -> None:
    """Replace a small file as a whole: temporary file, fsync, rename, fsync of the folder."""
    working = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _write(working, text.encode())
        os.replace(working, path)
    finally:
        working.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_arrays(content: bytes, origin: Path) -> Arrays:
    """The arrays of an .npz that was stored uncompressed; anything else is a CheckpointError that names `origin`.

    No array is made before its header agrees with the bytes that are really there.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in archive.infolist()}
    except Exception as error:  # a hostile file makes zipfile and NumPy raise a dozen different kinds
        raise CheckpointError(f"{origin} cannot be used: {error}.") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    stream = io.BytesIO(archive.read(member))
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{member.filename} is not an array of version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    data = stream.read()
    if dtype.hasobject or fortran or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{member.filename} does not hold the {dtype} {shape} that it says")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, at_most: int) -> bytes:
    """A regular file's content; raises ValueError when it is larger, before reading it, or no file at all."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place must hold nobody up
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_size > at_most:
            raise ValueError(f"it is damaged: it has {status.st_size} bytes, more than the {at_most} it should")
        return file.read()


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _npz(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.asarray(array, order="C") for name, array in arrays.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()
