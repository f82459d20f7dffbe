"""Atomic writes: the new content or the old one, never a part of it, and no remains."""

import os

import pytest

from utils.errors import StorageError
from utils.storage.files import atomic_write, partial_path, remove_quietly, write_file, write_synced


def test_write_file_makes_its_folder_and_returns_the_path(tmp_path):
    path = tmp_path / "deep" / "down" / "page.html"
    assert write_file(path, b"content") == path
    assert path.read_bytes() == b"content"
    assert os.listdir(path.parent) == ["page.html"]


def test_an_open_reader_keeps_the_old_content(tmp_path):
    path = write_file(tmp_path / "page.html", b"first")
    with open(path, "rb") as reader:
        write_file(path, b"second, which is longer")
        assert reader.read() == b"first"
    assert path.read_bytes() == b"second, which is longer"


def test_write_file_names_the_path_it_cannot_write(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "page.html", tmp_path / ("a" * 300)):
        with pytest.raises(StorageError, match="could not be written") as error:
            write_file(path, b"content")
        assert str(path) in str(error.value)
    assert os.listdir(tmp_path) == ["file"]


def interrupted_write(path, make, error):
    with atomic_write(path) as partial:
        make(partial)
        raise error


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_an_exception_keeps_the_old_content_and_removes_the_partial_file(tmp_path, error):
    path = write_file(tmp_path / "run.json", b"old")
    with pytest.raises(error):
        interrupted_write(path, lambda partial: partial.write_bytes(b"new"), error)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run.json"]


def test_an_exception_removes_a_partial_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(tmp_path / "folder", lambda partial: (partial / "below").mkdir(parents=True), KeyboardInterrupt)
    assert os.listdir(tmp_path) == []


def test_remains_of_an_earlier_process_with_the_same_number_are_replaced(tmp_path):
    path = tmp_path / "a"
    (partial_path(path) / "old").mkdir(parents=True)
    write_file(path, b"new")
    partial_path(tmp_path / "b").write_bytes(b"old")
    with atomic_write(tmp_path / "b") as partial:
        partial.mkdir()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert os.listdir(tmp_path / "b") == []


def test_a_durable_write_syncs_the_file_then_renames_then_syncs_the_folder(tmp_path, monkeypatch):
    # A test cannot cut the power, so it records the system calls.
    calls = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append(os.fstat(number).st_ino), fsync(number)))
    monkeypatch.setattr(os, "rename", lambda *names: (calls.append("rename"), rename(*names)))
    with atomic_write(tmp_path / "run.json", durable=True) as partial:
        write_synced(partial, [b"two ", b"parts"])
    assert (tmp_path / "run.json").read_bytes() == b"two parts"
    assert calls == [(tmp_path / "run.json").stat().st_ino, "rename", tmp_path.stat().st_ino]


def test_remove_quietly_removes_files_and_folders_and_accepts_missing_paths(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file", tmp_path / "missing", tmp_path / ("a" * 300)):
        remove_quietly(path)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_keeps_the_old_content_and_leaves_no_remains(tmp_path, run_code):
    script = """
    import os, resource, sys
    from pathlib import Path
    from utils.storage.files import atomic_write, write_synced
    root = Path(sys.argv[1])
    (root / "run.json").write_text("old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    try:
        with atomic_write(root / "run.json") as partial:
            write_synced(partial, [b"x" * 101])
    except OSError as error:
        print((root / "run.json").read_text(), os.listdir(root))
    """
    (tmp_path / "run").mkdir()
    ended = run_code(script, tmp_path / "run")
    assert ended.stdout == "old ['run.json']\n", ended.stderr
