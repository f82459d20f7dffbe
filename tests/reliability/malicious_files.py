"""Checkpoints that somebody else made: valid ones, and the hostile archives to put into them."""

import hashlib
import io
import json
import os
import zipfile

import numpy as np

from utils.storage.verified_folder import manifest_checksum

MANIFEST = {"learner_step": 5, "run_id": "a run"}


def forge(path, contents, **changes):
    """A checkpoint of these bytes, whose manifest agrees with them but for `changes`. Only here its format is known."""
    path.mkdir(parents=True)
    for name, data in contents.items():
        (path / name).write_bytes(data)
    entries = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    manifest = {"format_version": 1, **MANIFEST, "files": entries} | changes
    (path / "manifest.json").write_text(json.dumps(manifest | {"seal": manifest_checksum(manifest)}))
    return path


def npy(shape="(1,)", dtype="'<f4'", data=bytes(4), fortran=False, version=b"\x01\x00"):
    """An .npy file whose header says this, whether it is true or not."""
    header = f"{{'descr': {dtype}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


def zipped(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def claiming(content, size):
    """The same zip, of which every header says that its member has `size` bytes."""
    content = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset : at + offset + 8] = size.to_bytes(4, "little") * 2
            at = content.find(mark, at + 4)
    return bytes(content)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("code was run",)


def pickled():
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.array([Payload()], object))
    return buffer.getvalue()


GOOD = zipped({"weights.npy": npy()})
HOSTILE = {
    "pickled objects": pickled(),
    "object dtype": zipped({"weights.npy": npy(dtype="'|O'", data=bytes(8))}),
    "objects in a record": zipped({"weights.npy": npy(dtype="[('a', '|O')]", data=bytes(8))}),
    "deflated": zipped({"weights.npy": npy("(2500000,)", data=bytes(10**7))}, zipfile.ZIP_DEFLATED),
    "bzip2": zipped({"weights.npy": npy()}, zipfile.ZIP_BZIP2),
    "lzma": zipped({"weights.npy": npy()}, zipfile.ZIP_LZMA),
    "claims a terabyte": zipped({"weights.npy": npy("(250000000000,)")}),
    "claims more than there is": zipped({"weights.npy": npy("(2,)")}),
    "claims less than there is": zipped({"weights.npy": npy("(1,)", data=bytes(8))}),
    "negative": zipped({"weights.npy": npy("(-1,)")}),
    "negative twice": zipped({"weights.npy": npy("(-1, -1)")}),
    "beyond any index": zipped({"weights.npy": npy(f"(0, {10**30})", data=b"")}),
    "items of no size": zipped({"weights.npy": npy("(1000000000000,)", "'|S0'", b"")}),
    "records of no size": zipped({"weights.npy": npy("(1000000000000,)", "[]", b"")}),
    "true as a size": zipped({"weights.npy": npy("(True,)")}),
    "no shape": zipped({"weights.npy": npy("5")}),
    "a shape that computes": zipped({"weights.npy": npy("(2**70,)")}),
    "code as a dtype": zipped({"weights.npy": npy(dtype="__import__('os').mkdir('code was run')")}),
    "deep dtype": zipped({"weights.npy": npy(dtype="[" * 3000 + "]" * 3000)}),
    "Fortran order": zipped({"weights.npy": npy("(1, 1)", fortran=True)}),
    "version 2": zipped({"weights.npy": npy(version=b"\x02\x00")}),
    "no array": zipped({"weights.npy": b"hello"}),
    "empty member": zipped({"weights.npy": b""}),
    "no zip": b"PK\x03\x04 and so on",
    "nothing": b"",
    "a member said to be larger than the file": claiming(GOOD, 2**32 - 2),
    "a member said to be smaller": claiming(GOOD, 70),
    "encrypted": GOOD.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
}
