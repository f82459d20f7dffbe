"""The folder monitor: wakes a waiter when something happens in a folder, whatever happens to the folder."""

import os
import shutil
import threading
import time

import pytest

from utils.storage.folder_monitor import FolderMonitor

LONG = 30.0  # seconds: a monitor that does not ring would be waited for so long
SHORT = 0.05


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def monitor(folder):
    monitor = FolderMonitor(folder)
    settle(monitor)
    yield monitor
    monitor.close()


def wakes(monitor, act):
    """Whether `act`, done a moment after the wait has begun, ends it before its time."""
    timer = threading.Timer(0.1, act)
    timer.start()
    begun = time.monotonic()
    monitor.wait(LONG)
    timer.join()
    return time.monotonic() - begun < LONG / 2


def is_quiet(monitor, seconds):
    """Whether a wait of so many seconds lasts as long."""
    begun = time.monotonic()
    monitor.wait(seconds)
    return time.monotonic() - begun >= 0.9 * seconds


def settle(monitor, seconds=0.1):
    """Wait until no event of earlier is on its way any more."""
    while not is_quiet(monitor, seconds):
        pass


def test_a_new_folder_ends_the_wait(monitor, folder):
    assert wakes(monitor, (folder / "Toy-v0.ckpt-1").mkdir)


def test_a_rename_within_the_folder_ends_the_wait(monitor, folder):
    (folder / ".partial").mkdir()
    settle(monitor)
    assert wakes(monitor, lambda: os.rename(folder / ".partial", folder / "Toy-v0.ckpt-1"))


def test_a_rename_from_outside_ends_the_wait(monitor, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    settle(monitor)
    assert wakes(monitor, lambda: os.rename(tmp_path / "elsewhere", folder / "Toy-v0.ckpt-1"))


def test_a_rewritten_file_ends_the_wait(monitor, folder):
    (folder / "run.json").write_text("training")
    settle(monitor)
    assert wakes(monitor, lambda: (folder / "run.json").write_text("done"))


def test_saving_a_checkpoint_ends_the_wait(monitor, folder, make_checkpoint):
    settle(monitor)
    assert wakes(monitor, lambda: make_checkpoint(folder, 5))


def test_the_first_wait_returns_at_once(folder):
    monitor = FolderMonitor(folder)
    (folder / "Toy-v0.ckpt-1").mkdir()
    assert not is_quiet(monitor, LONG)
    monitor.close()


def test_an_event_at_the_timeout_is_kept_for_the_next_wait(monitor, monkeypatch):
    changed = threading.Event()

    def ring_just_too_late(timeout):
        monkeypatch.undo()
        changed.set()
        return False

    monkeypatch.setattr(changed, "wait", ring_just_too_late)
    monitor._changed = changed
    monitor.wait(0.0)
    assert not is_quiet(monitor, LONG)


def test_without_events_wait_takes_its_timeout(monitor):
    settle(monitor, 0.3)
    assert is_quiet(monitor, 0.2)


def test_listing_the_folder_is_no_event(monitor, folder):
    (folder / "run.json").write_text("{}")
    settle(monitor, 0.3)
    looker = threading.Timer(0.02, lambda: [path.read_text() for path in folder.iterdir()])
    looker.start()
    assert is_quiet(monitor, 0.3)
    looker.join()


def test_an_event_between_two_waits_ends_the_second(monitor, folder):
    settle(monitor)
    (folder / "Toy-v0.ckpt-1").mkdir()
    time.sleep(SHORT)
    begun = time.monotonic()
    monitor.wait(LONG)
    assert time.monotonic() - begun < LONG / 2


def test_wake_ends_exactly_one_wait(monitor):
    settle(monitor, 0.3)
    assert wakes(monitor, monitor.wake)
    assert is_quiet(monitor, 0.1)


def test_a_missing_folder_is_watched_once_it_exists(tmp_path):
    monitor = FolderMonitor(tmp_path / "deep" / "later")
    assert is_quiet(monitor, 0.1)
    (tmp_path / "deep" / "later").mkdir(parents=True)
    monitor.wait(SHORT)
    settle(monitor)
    assert wakes(monitor, (tmp_path / "deep" / "later" / "Toy-v0.ckpt-1").mkdir)
    monitor.close()


def test_a_folder_that_was_deleted_and_made_again_is_watched_again(monitor, folder):
    for _ in range(3):
        settle(monitor)
        shutil.rmtree(folder)
        settle(monitor)  # it notices that the folder has gone
        folder.mkdir()
        settle(monitor)
        assert wakes(monitor, (folder / "Toy-v0.ckpt-1").mkdir)


def test_a_folder_that_was_replaced_between_two_waits_is_watched_again(monitor, folder):
    # Many file systems give the new folder the inode of the old one.
    for _ in range(3):
        settle(monitor)
        shutil.rmtree(folder)
        folder.mkdir()
        settle(monitor)
        assert wakes(monitor, (folder / "Toy-v0.ckpt-1").mkdir)


def test_a_folder_that_was_moved_away_and_made_again_is_watched_again(monitor, folder, tmp_path):
    settle(monitor)
    os.rename(folder, tmp_path / "before")
    folder.mkdir()
    settle(monitor)
    assert wakes(monitor, (folder / "Toy-v0.ckpt-1").mkdir)


def test_a_file_in_place_of_the_folder_does_not_raise(tmp_path):
    (tmp_path / "run").write_text("")
    monitor = FolderMonitor(tmp_path / "run")
    begun = time.monotonic()
    monitor.wait(0.1)
    monitor.wait(0.1)
    assert time.monotonic() - begun < LONG
    monitor.close()


def test_a_burst_ends_one_wait_only(monitor, folder):
    settle(monitor)

    def burst():
        for i in range(2000):
            (folder / str(i)).touch()

    assert wakes(monitor, burst)
    settle(monitor, 0.3)
    assert is_quiet(monitor, 0.1)


def test_closing_ends_its_threads_and_may_happen_twice(folder):
    before = threading.active_count()
    monitor = FolderMonitor(folder)
    monitor.close()
    monitor.wait(SHORT)
    assert threading.active_count() > before
    monitor.close()
    monitor.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
