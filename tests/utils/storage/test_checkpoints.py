"""The checkpoints of a folder: listed by learner step, the newest whole one found, the one that a person means."""

from pathlib import Path

import pytest

from utils.errors import CheckpointError, StorageError
from utils.storage.checkpoints import (
    checkpoint_path,
    is_tensorflow_1,
    list_checkpoints,
    named_checkpoint,
    newest_checkpoint,
)


def test_checkpoints_are_listed_by_learner_step_and_nothing_else_is(tmp_path, make_checkpoint):
    for step in (100, 9, 20, 0):
        make_checkpoint(tmp_path, step)
    (tmp_path / "Toy-v0.ckpt-7").write_text("a file, as the original wrote")
    for other in (".Toy-v0.ckpt-8.123.partial", ".Toy-v0.ckpt-8", "Toy-v0.ckpt-", "Toy-v0.ckpt-8x", "before-2020", "run"):
        (tmp_path / other).mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == [f"Toy-v0.ckpt-{step}" for step in (0, 9, 20, 100)]
    assert list_checkpoints(tmp_path)[0] == checkpoint_path(tmp_path, "Toy-v0", 0)


def test_a_missing_folder_holds_no_checkpoints(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []
    assert newest_checkpoint(tmp_path / "none") == (None, [])


def test_a_file_in_place_of_the_folder_raises_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file cannot be listed"):
        list_checkpoints(tmp_path / "file")


def test_newest_checkpoint_is_the_newest_valid_one_and_names_the_damaged_ones(tmp_path, make_checkpoint):
    for step in (8, 9, 10, 11):
        make_checkpoint(tmp_path, step)
    (tmp_path / "Toy-v0.ckpt-11" / "state.json").write_text("{}")
    (tmp_path / "Toy-v0.ckpt-10" / "manifest.json").unlink()
    newest, passed_over = newest_checkpoint(tmp_path)
    assert newest.step == 9
    assert ["ckpt-11/state.json" in str(passed_over[0]), "ckpt-10" in str(passed_over[1])] == [True, True]
    assert len(passed_over) == 2


def test_without_a_valid_checkpoint_all_errors_are_returned(tmp_path, make_checkpoint):
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
def test_an_unknown_name_is_refused_with_the_searched_folder(tmp_path, name):
    with pytest.raises(CheckpointError, match="there is no checkpoint") as error:
        named_checkpoint(name, tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("name", ["/", ".", ""])
def test_a_folder_without_a_name_is_no_checkpoint_of_the_original(name):
    assert not is_tensorflow_1(Path(name))
