"""Runs: one training for each folder, found again by the next one, moved aside when asked."""

import fcntl
import json
import os
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
from trainings import slowed

from utils.errors import FolderInUseError, ParameterError, StorageError
from utils.storage.checkpoints import list_checkpoints
from utils.storage.run_folder import RUN_FILE, Run, has_ended, move_aside, read_run

HOLDER = """
import sys, time
from pathlib import Path
from utils.storage.run_folder import Run
run = Run(Path(sys.argv[1]))
if len(sys.argv) > 2:
    run.report("training", int(sys.argv[2]))
print(run.run_id, flush=True)
time.sleep(600)
"""


def test_closing_twice_closes_no_file_of_others(tmp_path):
    run = Run(tmp_path / "E")
    run.close()
    with open(tmp_path / "other", "w") as other:
        run.close()
        other.write("still open")
    assert not run.is_held()


@pytest.fixture
def open_run():
    """Opens runs, and lets go of those that the test has not closed."""
    opened = []

    class OwnRun(Run):
        def __init__(self, folder):
            super().__init__(folder)
            opened.append(self)

        def close(self):
            opened.remove(self)
            super().close()

    yield OwnRun
    for run in list(opened):
        run.close()


# ---- one after the other


def test_a_new_folder_is_made_and_holds_no_run(tmp_path, open_run):
    run = open_run(tmp_path / "Toy-v0" / "second")
    assert run.folder.is_dir()
    assert not run.holds_a_run
    run.refuse_if_taken()
    assert read_run(run.folder) == {}


def test_every_run_has_a_unique_id(tmp_path, open_run):
    ids = {open_run(tmp_path / str(i)).run_id for i in range(5)}
    assert len(ids) == 5
    assert all(re.fullmatch("[0-9a-f]{12}", run_id) for run_id in ids)


def test_a_report_records_the_progress_of_the_run(tmp_path, open_run):
    run = open_run(tmp_path)
    run.report("training", 0)
    run.report("training", 700)
    assert read_run(tmp_path) == {"run_id": run.run_id, "status": "training", "learner_step": 700, "process": os.getpid()}


def test_the_next_start_finds_the_same_run(tmp_path, open_run):
    run = open_run(tmp_path)
    run.report("done", 700)
    run.close()
    again = open_run(tmp_path)
    assert again.run_id == run.run_id
    assert again.holds_a_run


def test_a_folder_with_a_run_is_refused_with_the_three_ways_out(tmp_path, open_run):
    run = open_run(tmp_path)
    run.report("done", 700)
    run.close()
    with pytest.raises(ParameterError, match="learner step 700") as error:
        open_run(tmp_path).refuse_if_taken()
    assert str(tmp_path) in str(error.value)
    assert all(flag in str(error.value) for flag in ("--resume", "--fresh", "--run"))


def test_checkpoints_alone_are_a_run_too(tmp_path, open_run, make_checkpoint):
    make_checkpoint(tmp_path, 5)
    with pytest.raises(ParameterError, match="already holds a run"):
        open_run(tmp_path).refuse_if_taken()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"5", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000],
    ids=lambda content: ascii(content[:8]),
)
def test_a_damaged_record_counts_as_none(tmp_path, open_run, content):
    (tmp_path / RUN_FILE).write_bytes(content)
    assert read_run(tmp_path) == {}
    run = open_run(tmp_path)
    run.report("training", 1)
    assert read_run(tmp_path)["run_id"] == run.run_id


@pytest.mark.parametrize("record", [{}, {"run_id": None}, {"run_id": ""}, {"status": "training"}])
def test_a_record_without_an_id_gets_one(tmp_path, open_run, record):
    (tmp_path / RUN_FILE).write_text(json.dumps(record))
    assert re.fullmatch("[0-9a-f]{12}", open_run(tmp_path).run_id)


# ---- at the same time


def test_a_second_training_is_refused_and_the_holder_is_named(tmp_path, spawn):
    holder = spawn(HOLDER, tmp_path, 300)
    holder.stdout.readline()
    begun = time.monotonic()
    with pytest.raises(FolderInUseError) as error:
        Run(tmp_path)
    assert time.monotonic() - begun < slowed(10.0)
    assert error.value.exit_code == 8
    assert f"process {holder.pid}" in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "--run NAME" in str(error.value)
    assert read_run(tmp_path)["process"] == holder.pid


def test_the_holder_is_named_even_before_its_first_report(tmp_path, spawn):
    # It loads TensorFlow for some seconds first. The record of an earlier training names a process long gone.
    (tmp_path / RUN_FILE).write_text(json.dumps({"run_id": "a", "status": "done", "learner_step": 9, "process": 999_999_999}))
    holder = spawn(HOLDER, tmp_path)
    holder.stdout.readline()
    with pytest.raises(FolderInUseError) as error:
        Run(tmp_path)
    assert str(holder.pid) in str(error.value)
    assert "999999999" not in str(error.value)


def test_a_killed_training_releases_the_lock_and_its_run_continues(tmp_path, spawn, open_run):
    holder = spawn(HOLDER, tmp_path, 300)
    run_id = holder.stdout.readline().strip()
    assert not has_ended(tmp_path)
    holder.kill()
    holder.wait()
    assert has_ended(tmp_path)  # its record still says "training": the lock is the truth
    run = open_run(tmp_path)
    assert (run.run_id, run.holds_a_run) == (run_id, True)
    assert not has_ended(tmp_path)


def test_concurrent_starts_give_the_folder_to_one_process(tmp_path, run_code):
    ended = run_code(
        """
        import os, sys
        from pathlib import Path
        from utils.errors import ToolkitError
        from utils.storage.run_folder import Run
        wait_for_start, start = os.pipe()
        wait_for_end, end = os.pipe()
        children = []
        for _ in range(24):
            if not (pid := os.fork()):
                os.close(start), os.close(end)
                os.read(wait_for_start, 1)  # returns when the parent closes the other end
                try:
                    run = Run(Path(sys.argv[1]))
                except ToolkitError as error:
                    os._exit(error.exit_code)
                os.read(wait_for_end, 1)
                os._exit(0)
            children.append(pid)
        os.close(start)
        codes = sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in children[1:])  # the last one to end holds the folder
        os.close(end)
        print(codes, os.waitstatus_to_exitcode(os.wait()[1]))
        """,
        tmp_path / "run",
    )
    assert ended.stdout == f"{[8] * 23} 0\n", ended.stderr


def test_runs_in_different_folders_are_independent(tmp_path, spawn, open_run):
    holder = spawn(HOLDER, tmp_path, 300)
    holder.stdout.readline()
    assert not open_run(tmp_path / "second").holds_a_run


def test_a_short_shared_lock_of_a_watcher_does_not_refuse_a_training(tmp_path, open_run):
    with open(tmp_path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        timer = threading.Timer(0.2, fcntl.flock, (file, fcntl.LOCK_UN))
        timer.start()
        assert open_run(tmp_path)
        timer.join()


def test_has_ended_leaves_the_folder_unlocked(tmp_path, open_run):
    run = open_run(tmp_path)
    run.report("done", 5)
    run.close()
    for _ in range(3):
        assert has_ended(tmp_path)
    open_run(tmp_path)


def test_a_folder_where_nothing_was_recorded_has_not_ended(tmp_path, open_run):
    assert not has_ended(tmp_path / "none")
    assert not has_ended(tmp_path)
    open_run(tmp_path / "run").close()
    assert not has_ended(tmp_path / "run")


def test_close_releases_the_lock(tmp_path, open_run):
    for _ in range(3):
        open_run(tmp_path).close()
    assert open_run(tmp_path)


# ---- moving aside


def test_start_new_run_moves_the_old_run_aside_and_keeps_other_files(tmp_path, open_run, make_checkpoint):
    for step in (1, 20):
        make_checkpoint(tmp_path, step)
    make_checkpoint(tmp_path / "second", 3)  # another run's folder, within this one
    run = open_run(tmp_path)
    run.report("training", 20)
    old_id = run.run_id
    aside = run.start_new_run()
    assert sorted(os.listdir(aside)) == ["Toy-v0.ckpt-1", "Toy-v0.ckpt-20", RUN_FILE]
    assert read_run(aside)["run_id"] == old_id != run.run_id
    assert aside.parent == tmp_path
    assert sorted(os.listdir(tmp_path)) == sorted([".lock", "second", aside.name])
    assert list_checkpoints(tmp_path) == []
    run.refuse_if_taken()
    with pytest.raises(FolderInUseError):
        Run(tmp_path)  # the lock is still ours


def test_start_new_run_in_an_empty_folder_moves_nothing(tmp_path, open_run):
    assert open_run(tmp_path).start_new_run() is None
    assert os.listdir(tmp_path) == [".lock"]


def test_runs_moved_aside_within_a_second_stay_apart(tmp_path, open_run):
    run = open_run(tmp_path)
    aside = []
    for step in (1, 2, 3):
        run.report("training", step)
        aside.append(run.start_new_run())
    assert [read_run(folder)["learner_step"] for folder in aside] == [1, 2, 3]


def test_move_aside_without_paths_returns_none(tmp_path):
    assert move_aside([]) is None


def test_move_aside_raises_storage_error(tmp_path):
    with pytest.raises(StorageError, match="could not be cleared"):
        move_aside([tmp_path / "gone"])
    with pytest.raises(StorageError, match="could not be cleared"):
        move_aside([Path("/proc/self/status")])


# ---- storage


@pytest.mark.parametrize("place", ["/proc/run", "/proc/self/run", "{file}", "{file}/run", "{long}"])
def test_a_read_only_folder_raises_storage_error(tmp_path, place):
    (tmp_path / "file").write_text("")
    folder = Path(place.format(file=tmp_path / "file", long=tmp_path / ("a" * 300)))
    with pytest.raises(StorageError, match="--ckpt-dir") as error:
        Run(folder)
    assert str(folder) in str(error.value)
    assert (tmp_path / "file").read_text() == ""


def test_a_report_that_does_not_fit_on_the_disk_keeps_the_last_one(tmp_path, run_code):
    ended = run_code(
        """
        import resource, sys
        from pathlib import Path
        from utils.errors import StorageError
        from utils.storage.run_folder import Run, read_run
        run = Run(Path(sys.argv[1]))
        run.report("training", 5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
        try:
            run.report("training", 6)
        except StorageError as error:
            print(error)
        print(read_run(run.folder)["learner_step"])
        """,
        tmp_path,
    )
    sentence, step = ended.stdout.splitlines()
    assert f"{tmp_path / RUN_FILE} could not be written" in sentence
    assert step == "5"


def test_a_folder_that_was_removed_or_created_again_is_not_held(tmp_path, open_run):
    run = open_run(tmp_path / "E")
    assert run.is_held()
    shutil.rmtree(tmp_path / "E")
    assert not run.is_held()
    other = open_run(tmp_path / "E")
    assert other.is_held()
    assert not run.is_held()
