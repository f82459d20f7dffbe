"""Arrays on disk: .npz and .npy, read without pickle and without trusting their headers."""

import io
import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils.errors import CheckpointError

Arrays = dict[str, np.ndarray]


def npz(arrays: Arrays) -> bytes:
    """Named arrays as the content of an uncompressed .npz."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.asarray(array, order="C") for name, array in arrays.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def read_npz(content: bytes, origin: Path) -> Arrays:
    """The arrays of an uncompressed .npz. Raises CheckpointError that names `origin` for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {member.filename.removesuffix(".npy"): _member(archive, member) for member in archive.infolist()}
    except Exception as error:  # malicious files make zipfile and NumPy raise many different types
        raise CheckpointError(f"{origin} cannot be used: {error}.") from None


def npy_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The header of an .npy file. The rows of the array follow as they are in memory."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def map_npy(path: Path) -> np.ndarray:
    """The array of an .npy, mapped and read-only. Raises CheckpointError that names `path` for anything else."""
    try:
        with open(path, "rb") as file:
            dtype, shape = _header(file, path.stat().st_size, path.name)
            return np.memmap(path, dtype, "r", file.tell(), shape)
    except Exception as error:
        raise CheckpointError(f"{path} cannot be used: {error}.") from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    return _array(archive.read(member), member.filename).copy()


def _array(content: bytes, name: str) -> np.ndarray:
    stream = io.BytesIO(content)
    dtype, shape = _header(stream, len(content), name)
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)


def _header(stream: BinaryIO, size: int, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape of the array of `size` bytes with its header, which must match before an array is created."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not an array of version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or fortran or math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise ValueError(f"{name} does not hold the {dtype} {shape} of its header")
    return dtype, shape
