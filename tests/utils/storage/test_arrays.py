"""Arrays on disk: what was saved is loaded, what is hostile is refused and runs nothing."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from reliability.malicious_files import GOOD, HOSTILE, MANIFEST, forge, npy, zipped

from utils.errors import CheckpointError
from utils.storage.arrays import read_npz
from utils.storage.checkpoints import Checkpoint
from utils.storage.verified_folder import write_verified

# ---- saving and loading


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.array(7, np.int64),
        np.zeros(0, np.float32),
        np.zeros((3, 0, 2)),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[::2, ::-1],
        np.array([True, False]),
        np.array([np.nan, np.inf, -0.0]),
        np.array([1, 2], ">i4"),
        np.array(["Toy-v0", "é"]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_comes_back_as_it_was(tmp_path, array):
    write_verified(tmp_path / "a.ckpt-5", {"policy.npz": {"dense/kernel": array}}, MANIFEST)
    (loaded,) = Checkpoint(tmp_path / "a.ckpt-5").arrays("policy.npz").values()
    assert (loaded.shape, loaded.dtype) == (array.shape, array.dtype)
    assert loaded.tobytes() == array.tobytes()
    assert loaded.flags.writeable


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.text("abcdefgh_/0", min_size=1, max_size=12).filter(lambda name: name != "file"),
        arrays_of.arrays(
            st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]), arrays_of.array_shapes(min_dims=0)
        ),
        max_size=4,
    )
)
def test_any_arrays_come_back(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("any") / "a.ckpt-5"
    write_verified(path, {"policy.npz": arrays}, MANIFEST)
    loaded = Checkpoint(path).arrays("policy.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert (loaded[name].shape, loaded[name].dtype) == (array.shape, array.dtype)
        assert loaded[name].tobytes() == array.tobytes()


def test_arrays_are_stored_uncompressed(tmp_path, make_checkpoint):
    with zipfile.ZipFile(make_checkpoint(tmp_path, 5) / "policy.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


# ---- forgeries


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_malicious_npz_is_refused_by_name_and_runs_no_code(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    assert HOSTILE[kind] != GOOD
    path = forge(tmp_path / "a.ckpt-5", {"policy.npz": HOSTILE[kind]})
    with pytest.raises(CheckpointError) as error:
        Checkpoint(path).verify().arrays("policy.npz")
    assert str(error.value).startswith(f"{path / 'policy.npz'} cannot be used: ")
    assert os.listdir(tmp_path) == ["a.ckpt-5"]


@pytest.mark.parametrize("name", ["../../stolen.npy", "/stolen.npy", "a/b/c.npy", "C:\\stolen.npy"])
def test_the_name_of_a_member_is_a_key_and_never_a_path(tmp_path, monkeypatch, name):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    before = sorted(tmp_path.rglob("*"))
    assert list(read_npz(zipped({name: npy()}), Path("x.npz"))) == [name.removesuffix(".npy")]
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/stolen.npy").exists()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_an_overwritten_npz_is_read_or_raises_checkpoint_error(start, new):
    # Here without the checksum, which a forger can compute as well as we can.
    content = GOOD[:start] + new + GOOD[start + len(new) :]
    try:
        arrays = read_npz(content, Path("x.npz"))
    except CheckpointError:
        arrays = {}
    assert all(isinstance(array, np.ndarray) and not array.dtype.hasobject for array in arrays.values())
