"""The evaluator scores checkpoints beside a training as the watcher does: when they are due, once, one at a time."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from callback_events import make_pendulum, make_result, make_run, make_status, use_fake_children
from factories import save_checkpoint

from agent.training.callbacks import evaluator as module
from agent.training.callbacks.evaluator import Evaluator
from params import TrainParams
from utils.storage.results import Ledger, read_results

LEARNING = make_status()


@pytest.fixture
def training(tmp_path):
    """A run whose checkpoints are saved by hand, its evaluator, and what the evaluator leaves."""
    config = TrainParams(
        eval_every=100, max_ep_length=5, ckpt_dir=str(tmp_path / "ckpts"), results_dir=str(tmp_path / "results")
    )
    made = []

    def start(**run):
        run = make_run(tmp_path, config, **run)
        evaluator = Evaluator(config.eval_every)
        made.append(evaluator)
        evaluator.on_start(run)
        found.evaluator, found.said = evaluator, run.console.said
        return evaluator

    def path(learner_step):
        return tmp_path / "ckpts/Pendulum-v1" / f"Pendulum-v1.ckpt-{learner_step}"

    def put(learner_step):
        """Save a checkpoint, then look as the dispatcher does."""
        save_checkpoint(path(learner_step), make_pendulum())
        found.evaluator.on_checkpoint(path(learner_step))
        found.evaluator.on_tick(LEARNING)

    def end(learner_step):
        found.evaluator.on_end(make_result(path(learner_step)))

    def ledger():
        lines = (tmp_path / "results/Pendulum-v1.tested.jsonl").read_text().splitlines()
        return [(entry["learner_step"], entry["outcome"]) for entry in map(json.loads, lines)]

    def scores():
        return [
            (int(row["learner_step"]), row["episodes"], row["first_seed"])
            for row in read_results(tmp_path / "results/Pendulum-v1.csv")
        ]

    found = SimpleNamespace(start=start, path=path, put=put, end=end, ledger=ledger, scores=scores, folder=tmp_path)
    start()
    yield found
    for evaluator in made:
        evaluator.close()


@pytest.fixture
def started(monkeypatch):
    """The tests that have been started, none of which runs."""
    return use_fake_children(monkeypatch, module)


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def names(started):
    return [int(child.name.rpartition("-")[2]) for child in started]


def test_due_checkpoint_is_scored_as_the_watcher_does(training):
    training.put(100)
    training.end(100)
    training.end(100)  # the second time there is nothing left to do
    assert training.scores() == [(100, "100", "1000000")]
    assert training.ledger() == [(100, "tested")]


def test_first_checkpoint_at_or_after_each_multiple_is_due(training, started):
    for learner_step, due in ((60, []), (120, [120]), (180, [120]), (240, [120, 240]), (300, [120, 240, 300])):
        training.put(learner_step)
        assert names(started) == due
        for child in started:
            child.code = 0
    training.evaluator.on_tick(LEARNING)
    assert training.ledger() == [(120, "tested"), (240, "tested"), (300, "tested")]


def test_one_test_runs_at_a_time_and_only_the_latest_waits(training, started):
    for learner_step in (100, 200, 300, 350):
        training.put(learner_step)
    assert names(started) == [100]
    started[0].code = 0
    training.evaluator.on_tick(LEARNING)
    assert names(started) == [100, 300]


def test_resumed_run_scores_what_lies_beyond_its_start(training, started):
    training.start(resumed_step=(250, 2000))
    training.put(280)
    assert names(started) == []
    training.put(300)
    assert names(started) == [300]


def test_checkpoint_in_the_ledger_is_not_tested_again(training, started):
    Ledger(training.folder / "results/Pendulum-v1.tested.jsonl").add("r1", 100, "tested")
    training.put(100)
    training.end(100)
    assert started == []


@pytest.mark.parametrize("ending", [{"is_ending": True}, {"has_ended": True}])
def test_no_test_starts_while_the_run_ends(training, started, ending):
    save_checkpoint(training.path(100), make_pendulum())
    training.evaluator.on_checkpoint(training.path(100))
    training.evaluator.on_tick(make_status(**ending))
    assert started == []


@pytest.mark.parametrize(("code", "lines"), [(7, [(100, "failed")]), (-9, [(100, "failed")]), (130, None)])
def test_failed_test_is_reported_and_an_interrupted_one_has_no_outcome(training, started, code, lines):
    training.put(100)
    started[0].code = code
    training.put(200)
    assert names(started) == [100, 200]  # it goes on
    assert ["failed" in sentence for sentence in training.said] == [True] * (lines is not None)
    assert (training.folder / "results/Pendulum-v1.tested.jsonl").exists() == (lines is not None)
    if lines:
        assert training.ledger() == lines


def test_test_that_takes_too_long_is_ended(training, started, monkeypatch):
    monkeypatch.setattr("params.WatchParams.test_timeout", 0.0)
    training.put(100)
    training.evaluator.on_tick(LEARNING)
    assert (started[0].has_ended, training.ledger()) == (True, [(100, "failed")])


def test_test_that_cannot_start_is_reported(training, monkeypatch):
    def fails(*words, **flags):
        raise OSError("out of processes")

    monkeypatch.setattr(module, "Child", fails)
    training.put(100)
    assert training.said == ["Pendulum-v1.ckpt-100 could not be tested: out of processes"]


def test_end_of_training_waits_for_the_running_test_and_scores_the_last(training, started):
    training.put(100)
    training.put(120)
    thread = threading.Thread(target=training.end, args=(120,), daemon=True)
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
    evaluator = training.start(is_interrupted=lambda: True)
    training.put(100)
    training.end(100)
    assert not started[0].has_ended
    evaluator.close()
    assert started[0].has_ended
    assert names(started) == [100]


def test_failed_training_ends_the_running_test_without_an_outcome(training, started):
    training.put(100)
    training.evaluator.close()  # without on_end
    started[0].code = -15
    training.evaluator.close()
    assert started[0].has_ended
    assert not (training.folder / "results/Pendulum-v1.tested.jsonl").exists()
