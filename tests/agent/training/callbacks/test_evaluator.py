"""The evaluator scores checkpoints beside a training as the watcher does: when they are due, once, one at a time."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from factories import save_checkpoint as save

from agent.training import evaluator
from agent.training.callbacks.evaluator import Evaluator
from params import TrainParams
from utils.console import Console
from utils.env_spec import EnvSpec
from utils.storage.results import Ledger, read_results


@pytest.fixture
def training(tmp_path):
    """A run whose checkpoints are saved by hand, with what the evaluator left of it."""
    params = TrainParams(
        eval_every=100, max_ep_length=5, ckpt_dir=str(tmp_path / "ckpts"), results_dir=str(tmp_path / "results")
    )
    archive = SimpleNamespace(newest=None, saved_step=None)

    def put(learner_step):
        archive.newest = save(
            tmp_path / "ckpts/Pendulum-v1" / f"Pendulum-v1.ckpt-{learner_step}", EnvSpec("Pendulum-v1").make()
        )

    def ledger():
        lines = (tmp_path / "results/Pendulum-v1.tested.jsonl").read_text().splitlines()
        return [(entry["learner_step"], entry["outcome"]) for entry in map(json.loads, lines)]

    def scores():
        return [
            (int(row["learner_step"]), row["episodes"], row["first_seed"])
            for row in read_results(tmp_path / "results/Pendulum-v1.csv")
        ]

    return SimpleNamespace(params=params, archive=archive, put=put, ledger=ledger, scores=scores, folder=tmp_path)


class Started:
    """Stands in for a child process: ends when `code` is set."""

    def __init__(self, script, nice, ckpt_file, **flags):
        self.name, self.code, self.output, self.ended = ckpt_file.name, None, "said", False

    def wait(self, seconds, stop=lambda: False):
        return self.code

    def end(self):
        self.ended = True


@pytest.fixture
def started(monkeypatch):
    """The tests that have been started, none of which runs."""
    children = []

    def start(*words, **flags):
        children.append(Started(*words, **flags))
        return children[-1]

    monkeypatch.setattr(evaluator, "Child", start)
    return children


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def running(training):
    """The evaluator at work in a thread; and the event that stops it."""
    stop = threading.Event()
    with Evaluator(training.params, "r1", training.archive, Console()) as made:
        thread = threading.Thread(target=made.run, args=(stop,), daemon=True)
        thread.start()
        yield SimpleNamespace(evaluator=made, stop=stop)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def names(started):
    return [int(child.name.rpartition("-")[2]) for child in started]


def test_due_checkpoint_is_scored_as_the_watcher_does(training):
    training.put(100)
    with Evaluator(training.params, "r1", training.archive, Console()) as made:
        made.finish(lambda: False)
        made.finish(lambda: False)  # the second time there is nothing left to do
    assert training.scores() == [(100, "100", "1000000")]
    assert training.ledger() == [(100, "tested")]


def test_first_checkpoint_at_or_after_each_multiple_is_due(training, started, running):
    for learner_step, due in ((60, []), (120, [120]), (180, [120]), (240, [120, 240]), (300, [120, 240, 300])):
        training.put(learner_step)
        wait_for(lambda: running.evaluator._seen == learner_step)  # noqa: B023  (awaited at once)
        wait_for(lambda: names(started) == due)  # noqa: B023
        for child in started:
            child.code = 0
    wait_for(lambda: len(training.ledger()) == 3)


def test_one_test_runs_at_a_time_and_only_the_latest_waits(training, started, running):
    for learner_step in (100, 200, 300, 350):
        training.put(learner_step)
        wait_for(lambda: running.evaluator._seen == learner_step)  # noqa: B023  (awaited at once)
    assert names(started) == [100]
    started[0].code = 0
    wait_for(lambda: len(started) == 2)
    assert names(started) == [100, 300]


def test_resumed_run_does_not_score_what_it_starts_from(training, started):
    training.put(250)
    training.archive.saved_step = 250
    with Evaluator(training.params, "r1", training.archive, Console()) as made:
        made._look()
        made._start()
        assert names(started) == []
        training.put(300)
        made._look()
        made._start()
    assert names(started) == [300]


def test_checkpoint_in_the_ledger_is_not_tested_again(training, started):
    training.put(100)
    Ledger(training.folder / "results/Pendulum-v1.tested.jsonl").add("r1", 100, "tested")
    with Evaluator(training.params, "r1", training.archive, Console()) as made:
        made.finish(lambda: False)
    assert started == []


@pytest.mark.parametrize(("code", "lines"), [(7, [(100, "failed")]), (-9, [(100, "failed")]), (130, None)])
def test_failed_test_is_reported_and_an_interrupted_one_has_no_outcome(training, started, running, capfd, code, lines):
    training.put(100)
    wait_for(lambda: started)
    started[0].code = code
    training.put(200)
    wait_for(lambda: len(started) == 2)  # it goes on
    assert ("failed" in capfd.readouterr().out) == (lines is not None)
    assert (training.folder / "results/Pendulum-v1.tested.jsonl").exists() == (lines is not None)
    if lines:
        assert training.ledger() == lines


def test_test_that_takes_too_long_is_ended(training, started, running, monkeypatch):
    monkeypatch.setattr("params.WatchParams.test_timeout", 0.0)
    training.put(100)
    wait_for(lambda: (training.folder / "results/Pendulum-v1.tested.jsonl").exists())
    assert (started[0].ended, training.ledger()) == (True, [(100, "failed")])


def test_test_that_cannot_start_and_a_full_disk_are_reported(training, monkeypatch, capfd):
    def fails(*words, **flags):
        raise OSError("out of processes")

    monkeypatch.setattr(evaluator, "Child", fails)
    training.put(100)
    with Evaluator(training.params, "r1", training.archive, Console()) as made:
        made.finish(lambda: False)
    assert capfd.readouterr().out == "Pendulum-v1.ckpt-100 could not be tested: out of processes\n"


def test_end_of_training_waits_for_the_running_test_and_scores_the_last(training, started):
    training.put(100)
    with Evaluator(training.params, "r1", training.archive, Console()) as made:
        made._look()
        made._start()
        training.put(120)
        thread = threading.Thread(target=made.finish, args=(lambda: False,), daemon=True)
        thread.start()
        thread.join(0.2)
        assert names(started) == [100]
        started[0].code = 0
        wait_for(lambda: len(started) == 2)
        started[1].code = 0
        thread.join(30)
    assert not thread.is_alive()
    assert training.ledger() == [(100, "tested"), (120, "tested")]


def test_interrupted_training_ends_the_running_test(training, started):
    training.put(100)
    with Evaluator(training.params, "r1", training.archive, Console()) as made:
        made._look()
        made._start()
        made.finish(lambda: True)
        assert not started[0].ended
    assert started[0].ended
    assert names(started) == [100]
