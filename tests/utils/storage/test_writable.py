"""The probe: what cannot be written is said before the work, and nothing of the asking is left."""

import os

import pytest

from utils.errors import StorageError
from utils.storage.writable import check_writable


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_successful_check_makes_folders_and_no_files(tmp_path):
    check_writable({"--a": [tmp_path / "one/two/file.csv", tmp_path / "one/two/file.txt"], "--b": [tmp_path / "three/x"]})
    assert listing(tmp_path) == ["one", "one/two", "three"]


def test_an_existing_file_is_unchanged(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("1,2\n")
    os.utime(file, (5, 5))
    check_writable({"--results-dir": [file]})
    assert file.read_text() == "1,2\n"
    assert file.stat().st_mtime == 5


def in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file/below/x"


def a_folder_of_that_name(tmp_path):
    (tmp_path / "x").mkdir()
    return tmp_path / "x"


def a_pipe_that_nobody_reads(tmp_path):
    os.mkfifo(tmp_path / "x")
    return tmp_path / "x"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "bad",
    [
        in_the_way,
        a_folder_of_that_name,
        a_pipe_that_nobody_reads,
        lambda tmp_path: tmp_path / ("n" * 300) / "x",
        lambda tmp_path: type(tmp_path)("/proc/nowhere/x"),
        lambda tmp_path: tmp_path / "a\0b" / "x",
    ],
    ids=["file", "folder", "pipe", "long", "proc", "null"],
)
def test_an_unwritable_path_is_named_with_its_flag_and_leaves_no_folders(tmp_path, bad):
    path = bad(tmp_path)
    before = listing(tmp_path)
    with pytest.raises(StorageError, match="cannot be written: .* Choose another with --log-dir") as caught:
        check_writable({"--ckpt-dir": [tmp_path / "new/run/x"], "--log-dir": [tmp_path / "new/log/x", path]})
    assert caught.value.exit_code == 6
    assert listing(tmp_path) == before


def test_a_full_disk_is_noticed(run_code, tmp_path):
    # No file may have a single byte here.
    done = run_code(
        """
        import resource
        from pathlib import Path
        from utils.script import run_script
        from utils.storage.writable import check_writable
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        run_script(lambda: check_writable({"--log-dir": [Path("new/x")]}))
        """
    )
    assert done.returncode == 6
    assert "File too large" in done.stderr
    assert listing(tmp_path) == []
