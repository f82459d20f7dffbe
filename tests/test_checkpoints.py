"""Checkpoints: what was saved is loaded, what was damaged or forged is refused, and a kill leaves nothing half."""

import hashlib
import io
import json
import os
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from utils.arrays import read_npz
from utils.checkpoints import (
    Checkpoint,
    checkpoint_path,
    is_tensorflow_1,
    list_checkpoints,
    named_checkpoint,
    newest_checkpoint,
)
from utils.errors import CheckpointError, StorageError
from utils.sealed_folder import remove_sealed, seal, write_file, write_sealed

MANIFEST = {"learner_step": 5, "run_id": "a run"}
FILES = ["manifest.json", "policy.npz", "state.json"]


def read_all(path):
    """Everything that a checkpoint holds, in a form that can be compared."""
    checkpoint = Checkpoint(path).verify()
    arrays = {name: array.tobytes() for name, array in checkpoint.arrays("policy.npz").items()}
    return checkpoint.manifest, arrays, checkpoint.json("state.json")


def forge(path, contents, **changes):
    """A checkpoint of these bytes, whose manifest agrees with them but for `changes`. Only here its format is known."""
    path.mkdir(parents=True)
    for name, data in contents.items():
        (path / name).write_bytes(data)
    entries = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    manifest = {"format_version": 1, **MANIFEST, "files": entries} | changes
    (path / "manifest.json").write_text(json.dumps(manifest | {"seal": seal(manifest)}))
    return path


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
    write_sealed(tmp_path / "a.ckpt-5", {"policy.npz": {"dense/kernel": array}}, MANIFEST)
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
    write_sealed(path, {"policy.npz": arrays}, MANIFEST)
    loaded = Checkpoint(path).arrays("policy.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert (loaded[name].shape, loaded[name].dtype) == (array.shape, array.dtype)
        assert loaded[name].tobytes() == array.tobytes()


def test_json_and_manifest_come_back(tmp_path):
    path = tmp_path / "deep" / "down" / "a.ckpt-5"
    state = {"episodes": [1, 2], "text": "é", "nested": {"limit": None}}
    write_sealed(path, {"state.json": state, "policy.npz": {}}, MANIFEST | {"env": "Toy-v0", "seconds": 1.5})
    checkpoint = Checkpoint(str(path)).verify()
    assert checkpoint.json("state.json") == state
    assert checkpoint.arrays("policy.npz") == {}
    assert (checkpoint.path, checkpoint.step, checkpoint.run_id) == (path, 5, "a run")
    assert checkpoint.manifest["seconds"] == 1.5


def test_the_manifest_lists_size_and_checksum_of_every_file(tmp_path, make_checkpoint):
    path = make_checkpoint(tmp_path, 5)
    files = json.loads((path / "manifest.json").read_text())["files"]
    assert sorted(["manifest.json", *files]) == sorted(os.listdir(path)) == FILES
    for name, entry in files.items():
        data = (path / name).read_bytes()
        assert entry == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_arrays_are_stored_uncompressed(tmp_path, make_checkpoint):
    with zipfile.ZipFile(make_checkpoint(tmp_path, 5) / "policy.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_saving_again_replaces_what_was_there(tmp_path, make_checkpoint):
    path = make_checkpoint(tmp_path, 5)
    (path / "state.json").write_text("damaged")
    (path / "left over").write_text("")
    write_sealed(path, {"state.json": {"episodes": [7]}}, MANIFEST)
    assert Checkpoint(path).verify().json("state.json") == {"episodes": [7]}
    assert sorted(os.listdir(path)) == ["manifest.json", "state.json"]
    assert os.listdir(tmp_path) == [path.name]


def test_everything_is_on_the_disk_before_the_name_appears(tmp_path, monkeypatch):
    # The system's calls are written down and made as ever: power loss cannot be had in a test.
    calls = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append(os.fstat(number).st_ino), fsync(number)))
    monkeypatch.setattr(os, "rename", lambda *names: (calls.append("rename"), rename(*names)))
    path = tmp_path / "a.ckpt-5"
    write_sealed(path, {"policy.npz": {"a": np.ones(3)}, "state.json": {}}, MANIFEST)
    before, after = calls[: calls.index("rename")], calls[calls.index("rename") + 1 :]
    assert {path.stat().st_ino, *((path / name).stat().st_ino for name in FILES)} <= set(before)
    assert before[-1] == path.stat().st_ino  # the names in the folder last, when they are all there
    assert after == [tmp_path.stat().st_ino]


def test_a_small_file_is_replaced_as_a_whole(tmp_path):
    write_file(tmp_path / "run.json", "first")
    with open(tmp_path / "run.json") as reader:
        write_file(tmp_path / "run.json", "second, which is longer")
        assert reader.read() == "first"  # whoever has it open keeps the old one whole
    assert (tmp_path / "run.json").read_text() == "second, which is longer"
    assert os.listdir(tmp_path) == ["run.json"]


# ---- finding


def test_checkpoints_are_listed_by_learner_step_and_nothing_else_is(tmp_path, make_checkpoint):
    for step in (100, 9, 20, 0):
        make_checkpoint(tmp_path, step)
    (tmp_path / "Toy-v0.ckpt-7").write_text("a file, as the original wrote")
    for stranger in (".Toy-v0.ckpt-8.123.partial", ".Toy-v0.ckpt-8", "Toy-v0.ckpt-", "Toy-v0.ckpt-8x", "before-2020", "run"):
        (tmp_path / stranger).mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == [f"Toy-v0.ckpt-{step}" for step in (0, 9, 20, 100)]
    assert list_checkpoints(tmp_path)[0] == checkpoint_path(tmp_path, "Toy-v0", 0)


def test_a_folder_that_is_not_there_holds_no_checkpoints(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []
    assert newest_checkpoint(tmp_path / "none") == (None, [])


def test_a_file_where_the_folder_should_be_is_an_error_of_storage(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file cannot be listed"):
        list_checkpoints(tmp_path / "file")


def test_the_newest_whole_one_is_found_and_the_damaged_ones_are_named(tmp_path, make_checkpoint):
    for step in (8, 9, 10, 11):
        make_checkpoint(tmp_path, step)
    (tmp_path / "Toy-v0.ckpt-11" / "state.json").write_text("{}")
    (tmp_path / "Toy-v0.ckpt-10" / "manifest.json").unlink()
    newest, passed_over = newest_checkpoint(tmp_path)
    assert newest.step == 9
    assert ["ckpt-11/state.json" in str(passed_over[0]), "ckpt-10" in str(passed_over[1])] == [True, True]
    assert len(passed_over) == 2


def test_when_none_is_whole_all_are_passed_over(tmp_path, make_checkpoint):
    for step in (1, 2):
        (make_checkpoint(tmp_path, step) / "policy.npz").unlink()
    newest, passed_over = newest_checkpoint(tmp_path)
    assert newest is None
    assert len(passed_over) == 2


def test_a_checkpoint_is_found_by_path_and_by_name(tmp_path, make_checkpoint, monkeypatch):
    path = make_checkpoint(tmp_path / "run", 5)
    assert named_checkpoint(str(path), tmp_path / "elsewhere") == path
    assert named_checkpoint(path.name, tmp_path / "run") == path
    monkeypatch.chdir(tmp_path)
    assert named_checkpoint(f"run/{path.name}", tmp_path / "elsewhere") == Path("run") / path.name


def test_the_prefix_of_a_checkpoint_of_the_original_is_found(tmp_path):
    (tmp_path / "Toy-v0.ckpt-660000.index").write_text("")
    (tmp_path / "Toy-v0.ckpt-660000.data-00000-of-00001").write_text("")
    path = named_checkpoint("Toy-v0.ckpt-660000", tmp_path)
    assert path == tmp_path / "Toy-v0.ckpt-660000"
    assert is_tensorflow_1(path)


@pytest.mark.parametrize("name", ["Toy-v0.ckpt-6", "no/such/path", "a" * 300, "a/" * 3000, "\0"])
def test_a_name_that_names_nothing_is_refused_with_where_it_was_sought(tmp_path, name):
    with pytest.raises(CheckpointError, match="there is no checkpoint") as error:
        named_checkpoint(name, tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("name", ["/", ".", ""])
def test_a_folder_without_a_name_is_no_checkpoint_of_the_original(name):
    assert not is_tensorflow_1(Path(name))


# ---- removing


def test_removing_leaves_nothing_and_touches_no_other(tmp_path, make_checkpoint):
    make_checkpoint(tmp_path, 1)
    remove_sealed(make_checkpoint(tmp_path, 2))
    assert os.listdir(tmp_path) == ["Toy-v0.ckpt-1"]


def test_removing_what_has_gone_already_does_nothing(tmp_path, make_checkpoint):
    make_checkpoint(tmp_path, 1)
    remove_sealed(tmp_path / "Toy-v0.ckpt-2")
    assert os.listdir(tmp_path) == ["Toy-v0.ckpt-1"]


def test_a_removal_that_a_kill_cut_short_does_not_hinder_the_next(tmp_path, make_checkpoint):
    path = make_checkpoint(tmp_path, 1)
    shutil.copytree(path, tmp_path / f".{path.name}.removed")  # as a kill during the removal of an earlier one leaves it
    remove_sealed(path)
    assert list_checkpoints(tmp_path) == []


# ---- damage


def damaged(path, error):
    """Whether the error names the damaged file in one sentence."""
    return str(path) in str(error.value) and str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name(tmp_path, make_checkpoint, name, kept):
    path = make_checkpoint(tmp_path, 5)
    data = (path / name).read_bytes()
    (path / name).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(CheckpointError) as error:
        read_all(path)
    assert damaged(path / name, error)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fate", ["removed", "a folder", "longer", "zeros", "another's", "a loop of links"])
def test_a_file_that_is_not_what_was_saved_is_refused_by_name(tmp_path, make_checkpoint, name, fate):
    path, other = make_checkpoint(tmp_path, 5), make_checkpoint(tmp_path, 6)
    data = (path / name).read_bytes()
    (path / name).unlink()
    if fate == "a folder":
        (path / name).mkdir()
    elif fate == "a loop of links":
        (path / name).symlink_to(path / name)
    elif fate != "removed":
        new = {"longer": data + b"\0", "zeros": bytes(len(data)), "another's": (other / "state.json").read_bytes()[::-1]}
        (path / name).write_bytes(new[fate])
    with pytest.raises(CheckpointError) as error:
        read_all(path)
    assert name in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_never_loaded_as_something_else(tmp_path, make_checkpoint, name):
    path = make_checkpoint(tmp_path, 1000, env_step=8000, params={"tau": 0.001})
    saved, data = read_all(path), (path / name).read_bytes()
    silently_wrong = []
    for i in range(len(data)):
        for bit in {0, i % 8}:
            (path / name).write_bytes(data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :])
            try:
                if read_all(path) != saved:
                    silently_wrong.append((i, bit))
            except CheckpointError as error:
                assert str(path) in str(error)  # noqa: PT017  (both outcomes are allowed, this one needs a name)
    assert silently_wrong == []


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_any_rewriting_is_refused_or_harmless(tmp_path_factory, name, data):
    path = tmp_path_factory.mktemp("rewritten") / "a.ckpt-5"
    state = {"policy.npz": {"a": np.arange(3.0)}, "state.json": {"episodes": [1]}}
    write_sealed(path, state, MANIFEST)
    saved, whole = read_all(path), (path / name).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    (path / name).write_bytes(whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:])
    try:
        loaded = read_all(path)
    except CheckpointError as error:
        loaded, said = saved, str(error)
    else:
        said = str(path)
    assert loaded == saved
    assert str(path) in said


def test_what_is_no_checkpoint_at_all_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(CheckpointError, match=str(path)):
            Checkpoint(path)


def test_a_file_that_the_manifest_does_not_know_is_not_read(tmp_path, make_checkpoint):
    path = make_checkpoint(tmp_path, 5)
    (path / "critic.npz").write_bytes((path / "policy.npz").read_bytes())
    with pytest.raises(CheckpointError, match=r"has no critic\.npz in its manifest"):
        Checkpoint(path).arrays("critic.npz")


def test_a_checkpoint_that_goes_while_it_is_read_is_an_error_that_names_it(tmp_path, make_checkpoint):
    checkpoint = Checkpoint(make_checkpoint(tmp_path, 5))
    remove_sealed(checkpoint.path)
    with pytest.raises(CheckpointError, match=r"policy\.npz is missing"):
        checkpoint.arrays("policy.npz")


# ---- forgeries


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 2},
        {"format_version": None},
        {"format_version": [1]},
        {"learner_step": -1},
        {"learner_step": 5.0},
        {"learner_step": True},
        {"learner_step": "5"},
        {"learner_step": None},
        {"run_id": 5},
        {"run_id": None},
        {"files": None},
        {"files": ["policy.npz"]},
        {"files": {"policy.npz": None}},
        {"files": {"policy.npz": {}}},
        {"files": {"policy.npz": {"size": "many", "sha256": ""}}},
        {"files": {"policy.npz": {"size": float("nan"), "sha256": ""}}},
        {"files": {"policy.npz": {"size": float("inf"), "sha256": ""}}},
        {"files": {"../secret": {"size": 6, "sha256": ""}}},
        {"files": {"/etc/passwd": {"size": 6, "sha256": ""}}},
        {"files": {"..": {"size": 6, "sha256": ""}}},
        {"files": {"": {"size": 6, "sha256": ""}}},
        {"files": {"a\0b": {"size": 6, "sha256": ""}}},
        {"files": {"\ud800": {"size": 6, "sha256": ""}}},
        {"files": {"a" * 300: {"size": 6, "sha256": ""}}},
    ],
    ids=lambda changes: ascii(changes)[:60],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, changes):
    (tmp_path / "secret").write_text("secret")
    path = forge(tmp_path / "a.ckpt-5", {}, **changes)
    with pytest.raises(CheckpointError) as error:
        Checkpoint(path).verify()
    assert str(path) in str(error.value)


def test_a_file_in_another_folder_is_not_read_even_when_it_is_as_the_manifest_says(tmp_path):
    (tmp_path / "secret").write_text("secret")
    entry = {"size": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    path = forge(tmp_path / "a.ckpt-5", {}, files={"../secret": entry})
    with pytest.raises(CheckpointError, match="it names a file in another folder"):
        Checkpoint(path)


DEEP = b"[" * 100_000 + b"]" * 100_000
BOMBS = {
    "deep list": DEEP,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "endless digits": b'{"learner_step": ' + b"9" * 100_000 + b"}",
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
    "null": b"null",
    "a number": b"5",
    "a list": b"[]",
    "text": b'"abc"',
    "large": b'{"a": "' + b"x" * 5 * 2**20 + b'"}',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_manifest_that_is_a_bomb_is_refused(tmp_path, bomb):
    (tmp_path / "manifest.json").write_bytes(BOMBS[bomb])
    with pytest.raises(CheckpointError, match=r"manifest\.json cannot be used"):
        Checkpoint(tmp_path)


@pytest.mark.parametrize("bomb", [name for name in BOMBS if name != "large"])
def test_a_state_that_is_a_bomb_is_refused(tmp_path, bomb):
    path = forge(tmp_path / "a.ckpt-5", {"state.json": BOMBS[bomb]})
    with pytest.raises(CheckpointError, match=r"state\.json cannot be used"):
        Checkpoint(path).verify().json("state.json")


def test_a_pipe_in_place_of_the_manifest_holds_nobody_up(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")
    errors = []

    def read():
        try:
            Checkpoint(tmp_path)
        except CheckpointError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5.0)
    hung = thread.is_alive()
    if hung:  # let it go before the verdict
        os.close(os.open(tmp_path / "manifest.json", os.O_WRONLY))
        thread.join()
    assert not hung
    assert len(errors) == 1


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


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_runs_nothing(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    assert HOSTILE[kind] != GOOD
    path = forge(tmp_path / "a.ckpt-5", {"policy.npz": HOSTILE[kind]})
    with pytest.raises(CheckpointError) as error:
        Checkpoint(path).verify().arrays("policy.npz")
    assert str(error.value).startswith(f"{path / 'policy.npz'} cannot be used: ")
    assert os.listdir(tmp_path) == ["a.ckpt-5"]


def test_the_forger_of_these_tests_can_write_a_good_checkpoint(tmp_path):
    path = forge(tmp_path / "a.ckpt-5", {"policy.npz": GOOD, "state.json": b"{}"})
    assert read_all(path)[1:] == ({"weights": bytes(4)}, {})


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
def test_a_rewritten_archive_is_an_array_or_a_checkpoint_error(start, new):
    # Here without the checksum, which a forger can compute as well as we can.
    content = GOOD[:start] + new + GOOD[start + len(new) :]
    try:
        arrays = read_npz(content, Path("x.npz"))
    except CheckpointError:
        arrays = {}
    assert all(isinstance(array, np.ndarray) and not array.dtype.hasobject for array in arrays.values())


# ---- kills and full disks

FORKS = """
import os, random, signal, sys, time
import numpy as np
from pathlib import Path
from utils.checkpoints import *
from utils.sealed_folder import *

def files(step):
    rng = np.random.default_rng(step)
    return {"policy.npz": {"weights": rng.random(20_000)}, "state.json": {"episodes": [step]}}

def save(folder, step):
    write_sealed(checkpoint_path(folder, "Toy-v0", step), files(step), {"learner_step": step, "run_id": "a run"})

def whole_steps(folder):
    "The learner steps of all visible checkpoints; raises CheckpointError unless each is whole and what was saved."
    found = [Checkpoint(path).verify() for path in list_checkpoints(folder)]
    for checkpoint in found:
        assert checkpoint.json("state.json") == {"episodes": [checkpoint.step]}
        assert np.array_equal(checkpoint.arrays("policy.npz")["weights"], files(checkpoint.step)["policy.npz"]["weights"])
    return [checkpoint.step for checkpoint in found]

def killed_before_operation(n, act):
    "Runs `act` in a fork that is killed before its n-th operation on files; whether it lived to the end."
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    seen = [0]
    def count(event, arguments):
        if event == "open" or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            if seen[0] == n:
                os.kill(os.getpid(), signal.SIGKILL)
            seen[0] += 1
    sys.addaudithook(count)
    act()
    os._exit(0)

root = Path(sys.argv[1])
"""


def test_a_save_killed_at_any_operation_leaves_whole_checkpoints_only(tmp_path, run_code):
    script = """
    for n in range(100):
        folder = root / str(n)
        save(folder, 1)
        finished = killed_before_operation(n, lambda: save(folder, 2))
        assert whole_steps(folder) in ([1], [1, 2]), n
        assert {name for name in os.listdir(folder) if not name.startswith(".")} <= {"Toy-v0.ckpt-1", "Toy-v0.ckpt-2"}, n
        save(folder, 3)  # the next start is not hindered by what is left
        assert whole_steps(folder)[-1] == 3
        if finished:
            break
    print(n)
    """
    ended = run_code(FORKS + script.replace("\n    ", "\n"), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert 5 < int(ended.stdout) < 99  # it was killed at each of some ten operations, then ran to its end


def test_a_save_over_an_older_one_killed_at_any_operation_leaves_nothing_half(tmp_path, run_code):
    script = """
    for n in range(100):
        folder = root / str(n)
        save(folder, 1)
        save(folder, 2)
        finished = killed_before_operation(n, lambda: save(folder, 2))
        assert whole_steps(folder) in ([1], [1, 2]), n
        if finished:
            break
    print(n)
    """
    ended = run_code(FORKS + script.replace("\n    ", "\n"), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert 5 < int(ended.stdout) < 99


def test_a_removal_killed_at_any_operation_leaves_the_checkpoint_whole_or_gone(tmp_path, run_code):
    script = """
    for n in range(100):
        folder = root / str(n)
        save(folder, 1)
        save(folder, 2)
        finished = killed_before_operation(n, lambda: remove_sealed(checkpoint_path(folder, "Toy-v0", 1)))
        assert whole_steps(folder) in ([2], [1, 2]), n
        if finished:
            break
    print(n)
    """
    ended = run_code(FORKS + script.replace("\n    ", "\n"), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert 3 < int(ended.stdout) < 99


def test_fifteen_kills_at_random_instants_lose_nothing_that_was_reported(tmp_path, run_code):
    script = """
    acknowledged = 0
    for _ in range(15):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            for step in range(acknowledged + 1, acknowledged + 1000):
                save(root, step)
                os.write(write, step.to_bytes(4, "big"))
                remove_sealed(checkpoint_path(root, "Toy-v0", step - 3))
        os.close(write)
        acknowledged = max(acknowledged, int.from_bytes(os.read(read, 4), "big"))  # it is at work
        time.sleep(random.uniform(0, 0.05))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while reported := os.read(read, 4):
            acknowledged = int.from_bytes(reported, "big")
        os.close(read)
        steps = whole_steps(root)
        assert acknowledged in steps and steps[-1] <= acknowledged + 1, (acknowledged, steps)
        acknowledged = steps[-1]
    print(acknowledged)
    """
    ended = run_code(FORKS + script.replace("\n    ", "\n"), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) >= 15


def test_a_full_disk_is_an_error_of_storage_and_leaves_nothing_half_written(tmp_path, run_code):
    script = """
    import resource
    from utils.errors import StorageError
    save(root, 1)
    kept = 0
    for limit in (0, 1, 100, 1000, 100_000, 160_000, 10**6):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            save(root, 2)
            kept = limit
        except StorageError as error:
            assert "Toy-v0.ckpt-2 could not be saved" in str(error), error
            assert os.listdir(root) == ["Toy-v0.ckpt-1"], (limit, os.listdir(root))
    assert whole_steps(root) == [1, 2]
    print(kept)
    """
    ended = run_code(FORKS + script.replace("\n    ", "\n"), tmp_path / "ckpts")
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == 10**6  # 160 kB of weights and their headers do not fit into less


def test_a_small_file_that_does_not_fit_leaves_the_old_one_and_no_remains(tmp_path, run_code):
    script = """
    import resource
    write_file(root / "run.json", "old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    try:
        write_file(root / "run.json", "x" * 101)
    except OSError as error:
        print((root / "run.json").read_text(), os.listdir(root))
    """
    (tmp_path / "run").mkdir()
    ended = run_code(FORKS + script.replace("\n    ", "\n"), tmp_path / "run")
    assert ended.stdout == "old ['run.json']\n", ended.stderr


def test_a_file_in_place_of_a_folder_is_an_error_of_storage(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageError, match="a.ckpt-5 could not be saved"):
        write_sealed(tmp_path / "run" / "a.ckpt-5", {}, MANIFEST)
    (tmp_path / "a.ckpt-5").write_text("")
    with pytest.raises(StorageError, match="a.ckpt-5 could not be saved"):
        write_sealed(tmp_path / "a.ckpt-5", {}, MANIFEST)
    assert sorted(os.listdir(tmp_path)) == ["a.ckpt-5", "run"]
