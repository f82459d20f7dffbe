"""Arrays on disk: .npz and .npy, read without pickle and without trusting their headers."""

import io
import math
import zipfile
from pathlib import Path

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


def read_npy(content: bytes, origin: Path) -> np.ndarray:
    """The array of an .npy, read-only. Raises CheckpointError that names `origin` for anything else."""
    try:
        return _array(content, origin.name)
    except Exception as error:
        raise CheckpointError(f"{origin} cannot be used: {error}.") from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    return _array(archive.read(member), member.filename).copy()


def _array(content: bytes, name: str) -> np.ndarray:
    # The header must match the number of bytes before an array is created.
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not an array of version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    size = len(content) - stream.tell()
    if dtype.hasobject or fortran or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} does not hold the {dtype} {shape} of its header")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)
