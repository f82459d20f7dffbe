"""Arrays on disk: .npz and .npy that are read without pickle and without trusting what their headers say."""

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
    """The arrays of an .npz that was stored uncompressed; anything else is a CheckpointError that names `origin`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {member.filename.removesuffix(".npy"): _member(archive, member) for member in archive.infolist()}
    except Exception as error:  # a hostile file makes zipfile and NumPy raise a dozen different kinds
        raise CheckpointError(f"{origin} cannot be used: {error}.") from None


def npy_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """How the .npy of an array begins; its rows follow as they lie in memory."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def read_npy(content: bytes, origin: Path) -> np.ndarray:
    """The array of an .npy, read-only; anything else is a CheckpointError that names `origin`."""
    try:
        return _array(content, origin.name)
    except Exception as error:
        raise CheckpointError(f"{origin} cannot be used: {error}.") from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    return _array(archive.read(member), member.filename).copy()


def _array(content: bytes, name: str) -> np.ndarray:
    # No array is made before its header agrees with the bytes that are really there.
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not an array of version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    size = len(content) - stream.tell()
    if dtype.hasobject or fortran or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} does not hold the {dtype} {shape} that it says")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)
