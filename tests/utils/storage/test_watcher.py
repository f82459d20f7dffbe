"""The watcher: every checkpoint once, oldest first, through restarts, damage and kills."""

import shutil
import threading
import time

import pytest

from utils.errors import StorageError
from utils.storage.results import Ledger
from utils.storage.run_folder import Run
from utils.storage.verified_folder import remove_verified
from utils.storage.watcher import Watcher


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ckpts" / "Toy-v0"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "results" / "Toy-v0.tested.jsonl")


def end_run(folder):
    """Leave the folder as a training does that has ended."""
    run = Run(folder)
    run.report("done", 0)
    run.close()


def watch(folder, ledger, test=None, seconds=30.0, stop=None):
    """Watch until all is tested; the names of the checkpoints that were handed to the test, in order."""
    names, stop = [], stop or threading.Event()

    def noted(path):
        names.append(path.name)
        return test(path) if test else "tested"

    thread = threading.Thread(target=Watcher(folder, ledger, noted).run, args=(stop, True), daemon=True)
    thread.start()
    thread.join(seconds)
    hung = thread.is_alive()
    stop.set()
    assert not hung, names
    return names


def lines(ledger):
    """The (run_id, learner_step, outcome) of each line of the ledger."""
    return [(entry["run_id"], entry["learner_step"], entry["outcome"]) for entry in ledger.entries()]


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_checkpoints_are_tested_by_learner_step_whatever_the_order_they_came_in(folder, ledger, make_checkpoint):
    for step in (100, 9, 20, 0):
        make_checkpoint(folder, step)
    end_run(folder)
    assert watch(folder, ledger) == [f"Toy-v0.ckpt-{step}" for step in (0, 9, 20, 100)]
    assert lines(ledger) == [("a run", step, "tested") for step in (0, 9, 20, 100)]
    assert [entry["checkpoint"] for entry in ledger.entries()] == [f"Toy-v0.ckpt-{step}" for step in (0, 9, 20, 100)]


def test_a_second_watcher_finds_nothing_to_do(folder, ledger, make_checkpoint):
    make_checkpoint(folder, 5)
    end_run(folder)
    assert watch(folder, ledger) == ["Toy-v0.ckpt-5"]
    assert watch(folder, ledger) == []
    make_checkpoint(folder, 3)  # older than what has been tested, and new all the same
    assert watch(folder, ledger) == ["Toy-v0.ckpt-3"]


def test_one_call_tests_one(folder, ledger, make_checkpoint):
    for step in (1, 2):
        make_checkpoint(folder, step)
    watcher = Watcher(folder, ledger, lambda path: "tested")
    assert [watcher.test_one(threading.Event()) for _ in range(3)] == [True, True, False]


def test_a_restarted_watcher_continues_with_the_untested_checkpoints(folder, ledger, make_checkpoint):
    for step in (1, 2, 3):
        make_checkpoint(folder, step)
    end_run(folder)
    stop = threading.Event()

    def interrupted(path):
        if path.name.endswith("-2"):
            stop.set()  # Ctrl-C: this test did not come to its end
            return "failed"
        return "tested"

    assert watch(folder, ledger, interrupted, stop=stop) == ["Toy-v0.ckpt-1", "Toy-v0.ckpt-2"]
    assert lines(ledger) == [("a run", 1, "tested")]
    assert watch(folder, ledger) == ["Toy-v0.ckpt-2", "Toy-v0.ckpt-3"]


def test_a_test_that_ends_just_before_stop_counts(folder, ledger, make_checkpoint):
    make_checkpoint(folder, 1)
    stop = threading.Event()
    watch(folder, ledger, lambda path: stop.set() or "tested", stop=stop)
    assert lines(ledger) == [("a run", 1, "tested")]  # its score is written: to test it again would double it


def test_a_failed_test_is_recorded_and_does_not_stop_the_others(folder, ledger, make_checkpoint):
    for step in (1, 2, 3):
        make_checkpoint(folder, step)
    end_run(folder)
    watch(folder, ledger, lambda path: "failed" if path.name.endswith("-2") else "tested")
    assert lines(ledger) == [("a run", 1, "tested"), ("a run", 2, "failed"), ("a run", 3, "tested")]
    assert watch(folder, ledger) == []


def test_a_checkpoint_pruned_during_its_test_is_recorded_as_gone(folder, ledger, make_checkpoint):
    for step in (1, 2, 3):
        make_checkpoint(folder, step)
    end_run(folder)

    def pruned(path):
        if not path.name.endswith("-3"):
            remove_verified(path)
        return "tested" if path.name.endswith("-2") else "failed"

    watch(folder, ledger, pruned)
    # Of the second the score was there before it went.
    assert lines(ledger) == [("a run", 1, "gone"), ("a run", 2, "tested"), ("a run", 3, "failed")]


def test_another_run_in_the_same_folder_is_tested_again(folder, ledger, make_checkpoint):
    make_checkpoint(folder, 5)
    end_run(folder)
    watch(folder, ledger)
    shutil.rmtree(folder)
    make_checkpoint(folder, 5, run_id="another run")
    end_run(folder)
    assert watch(folder, ledger) == ["Toy-v0.ckpt-5"]
    assert lines(ledger) == [("a run", 5, "tested"), ("another run", 5, "tested")]


# ---- damage


@pytest.mark.parametrize("file", ["manifest.json", "policy.npz"])
@pytest.mark.parametrize("damage", ["removed", "truncated"])
def test_a_damaged_checkpoint_gets_exactly_one_ledger_line(folder, ledger, make_checkpoint, file, damage):
    for step in (1, 2, 3):
        make_checkpoint(folder, step)
    path = folder / "Toy-v0.ckpt-2" / file
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[:-20])
    end_run(folder)
    tested = watch(folder, ledger, lambda path: "failed" if path.name.endswith("-2") else "tested")
    assert tested == [f"Toy-v0.ckpt-{step}" for step in (1, 2, 3)]
    assert [(step, outcome) for _, step, outcome in lines(ledger)] == [(1, "tested"), (2, "failed"), (3, "tested")]
    assert watch(folder, ledger) == []


def test_a_checkpoint_that_was_unreadable_is_tested_once_it_is_saved_again(folder, ledger, make_checkpoint):
    (make_checkpoint(folder, 2) / "manifest.json").unlink()
    end_run(folder)
    watch(folder, ledger, lambda path: "failed")
    make_checkpoint(folder, 2)  # the resumed training has come to this learner step again
    assert watch(folder, ledger) == ["Toy-v0.ckpt-2"]
    assert [(step, outcome) for _, step, outcome in lines(ledger)] == [(2, "failed"), (2, "tested")]


def test_a_partial_checkpoint_is_ignored(folder, ledger, make_checkpoint):
    shutil.copytree(make_checkpoint(folder, 1), folder / ".Toy-v0.ckpt-2.123.partial")
    end_run(folder)
    assert watch(folder, ledger) == ["Toy-v0.ckpt-1"]


def test_an_incomplete_ledger_line_is_ignored(folder, ledger, make_checkpoint):
    for step in (1, 2):
        make_checkpoint(folder, step)
    end_run(folder)
    watch(folder, ledger)
    text = ledger.path.read_text()
    ledger.path.write_text(text[:-15])
    assert watch(folder, ledger) == ["Toy-v0.ckpt-2"]
    assert lines(ledger) == [("a run", 1, "tested"), ("a run", 2, "tested")]


# ---- while training runs


def test_each_checkpoint_is_tested_as_it_appears_until_the_training_ends(folder, ledger, make_checkpoint):
    run, stop, tested = Run(folder), threading.Event(), []
    watcher = Watcher(folder, ledger, lambda path: tested.append(path.name) or "tested")
    thread = threading.Thread(target=watcher.run, args=(stop, True), daemon=True)
    thread.start()
    for step in (1, 2, 3):
        make_checkpoint(folder, step)
        run.report("training", step)
        wait_for(lambda: len(tested) == step)  # noqa: B023  (awaited at once)
    time.sleep(0.1)
    assert thread.is_alive()  # all is tested, but the training goes on
    make_checkpoint(folder, 4)
    run.report("done", 4)
    run.close()
    thread.join(30)
    assert not thread.is_alive()
    assert tested == [f"Toy-v0.ckpt-{step}" for step in (1, 2, 3, 4)]


def test_the_last_checkpoint_is_tested_though_training_ended_right_after_it(folder, ledger, make_checkpoint):
    run = Run(folder)
    run.report("training", 1)
    make_checkpoint(folder, 1)

    def slow(path):
        if path.name.endswith("-1"):  # during this test the training saves its last and ends
            make_checkpoint(folder, 2)
            run.report("done", 2)
            run.close()
        return "tested"

    assert watch(folder, ledger, slow) == ["Toy-v0.ckpt-1", "Toy-v0.ckpt-2"]


def test_without_exit_when_done_it_runs_until_stop(folder, ledger, make_checkpoint):
    make_checkpoint(folder, 1)
    end_run(folder)
    stop, tested = threading.Event(), []
    watcher = Watcher(folder, ledger, lambda path: tested.append(path.name) or "tested")
    thread = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
    thread.start()
    wait_for(lambda: tested)
    time.sleep(0.1)
    assert thread.is_alive()
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_it_waits_for_a_missing_folder_and_follows_a_recreated_one(folder, ledger, make_checkpoint):
    stop, tested = threading.Event(), []
    watcher = Watcher(folder, ledger, lambda path: tested.append(path.name) or "tested")
    thread = threading.Thread(target=watcher.run, args=(stop, True), daemon=True)
    thread.start()
    for step in (1, 2):
        make_checkpoint(folder, step)
        wait_for(lambda: len(tested) == step)  # noqa: B023  (awaited at once)
        shutil.rmtree(folder)
    make_checkpoint(folder, 3)
    end_run(folder)
    thread.join(30)
    assert not thread.is_alive()
    assert tested == [f"Toy-v0.ckpt-{step}" for step in (1, 2, 3)]


def test_five_kills_of_the_watcher_leave_one_line_for_each_checkpoint(folder, ledger, make_checkpoint, run_code):
    for step in range(40):
        make_checkpoint(folder, step)
    end_run(folder)
    ended = run_code(
        """
        import os, random, signal, sys, threading, time
        from pathlib import Path
        from utils.storage.results import Ledger
        from utils.storage.watcher import Watcher
        folder, ledger = Path(sys.argv[1]), Ledger(Path(sys.argv[2]))
        for kill in range(6):
            pid = os.fork()
            if not pid:
                Watcher(folder, ledger, lambda path: time.sleep(0.005) or "tested").run(threading.Event(), True)
                os._exit(0)
            before = sum(1 for _ in ledger.entries())
            if kill < 5:
                while sum(1 for _ in ledger.entries()) < before + 3:  # it is at work
                    time.sleep(0.002)
                time.sleep(random.uniform(0, 0.01))
                os.kill(pid, signal.SIGKILL)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        folder,
        ledger.path,
    )
    assert ended.stdout.split() == ["-9"] * 5 + ["0"], ended.stderr
    assert [step for _, step, _ in lines(ledger)] == list(range(40))


# ---- what ends it


def test_an_unwritable_ledger_raises_storage_error(folder, tmp_path, make_checkpoint):
    make_checkpoint(folder, 1)
    (tmp_path / "results").write_text("a file in place of the folder")
    with pytest.raises(StorageError, match=r"tested\.jsonl"):
        Watcher(folder, Ledger(tmp_path / "results" / "x.tested.jsonl"), lambda path: "tested").run(threading.Event(), True)


def test_an_error_in_the_test_itself_is_not_swallowed(folder, ledger, make_checkpoint):
    make_checkpoint(folder, 1)

    def broken(path):
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        Watcher(folder, ledger, broken).run(threading.Event())
    assert lines(ledger) == []


def test_tested_is_called_after_the_ledger_line_is_written(folder, ledger, make_checkpoint):
    make_checkpoint(folder, 1)
    make_checkpoint(folder, 2)
    outcomes = iter(["tested", "failed"])
    known = []
    watcher = Watcher(folder, ledger, lambda path: next(outcomes), lambda: known.append(lines(ledger)))
    while watcher.test_one(threading.Event()):
        pass
    assert known == [[("a run", 1, "tested")]]  # not after a failure
