"""A Trainer from its start to its end, with a learner that learns nothing. No TensorFlow."""

import threading
from dataclasses import replace

import pytest
from fake_learner import FakeTrainerLearner, use_fake_learner

from agent.training import Callback, train
from agent.training.result import Result
from utils.errors import CheckpointError, StorageError
from utils.storage.results import ledger_of, read_scores
from utils.threads import ThreadGroup


@pytest.fixture
def small(tmp_path):
    """Parameters of a training of two checkpoints, whose files are in the folder of the test."""
    folders = {f"{name}_dir": str(tmp_path / name) for name in ("ckpt", "log", "results")}
    return folders | {
        "run": "a",
        "num_steps_train": 32,
        "save_ckpt_step": 16,
        "learning_starts": 64,
        "batch_size": 16,
        "num_agents": 1,
        "max_ep_length": 20,
        "replay_mem_size": 1000,
    }


class Recorder(Callback):
    """Keeps the names of the checkpoints and the result, in the order of the calls."""

    def __init__(self):
        self.calls = []

    def on_checkpoint(self, path):
        self.calls.append(path.name)

    def on_end(self, result):
        self.calls.append(result)


@pytest.mark.parametrize(("steps", "names"), [(32, ["16", "32"]), (40, ["16", "32", "40"])])
def test_callbacks_get_the_last_checkpoint_before_the_end(small, monkeypatch, steps, names):
    use_fake_learner(monkeypatch)
    recorder = Recorder()
    result = train(callbacks=[recorder], **small | {"num_steps_train": steps})
    assert recorder.calls == [*(f"Pendulum-v1.ckpt-{name}" for name in names), result]
    assert result.checkpoint.name == f"Pendulum-v1.ckpt-{steps}"


def test_an_error_while_restoring_leaves_no_thread(small, monkeypatch):
    class Unfit(FakeTrainerLearner):
        def restore(self, arrays, learner_step, scaling):
            raise CheckpointError("these arrays do not fit")

    use_fake_learner(monkeypatch)
    train(**small)
    before = set(threading.enumerate())
    use_fake_learner(monkeypatch, Unfit)
    with pytest.raises(CheckpointError, match="these arrays do not fit"):
        train(**small | {"num_steps_train": 48, "resume": True})
    assert set(threading.enumerate()) <= before


def test_scores_of_an_abandoned_branch_are_retracted(small, monkeypatch, tmp_path):
    use_fake_learner(monkeypatch)
    result = train(**small)
    results = tmp_path / "results/Pendulum-v1/a"
    ledger = ledger_of(results)
    run_id = read_scores(results)[0]["run_id"]
    for step in (16, 32):
        ledger.add(run_id, step, "tested")
    older = result.checkpoint.with_name("Pendulum-v1.ckpt-16")
    train(**small | {"resume": True, "ckpt_file": str(older), "num_steps_train": 48})
    scores = {row["learner_step"]: row["mean"] for row in read_scores(results)}
    assert list(scores) == ["48"]
    assert ledger.keys() == {(run_id, 16)}


def test_a_score_that_cannot_be_written_does_not_fail_the_training(small, monkeypatch, capsys):
    def full(*_):
        raise StorageError("the disk is full.")

    use_fake_learner(monkeypatch)
    monkeypatch.setattr("agent.training.trainer.append_result", full)
    recorder = Recorder()
    result = train(callbacks=[recorder], verbose=True, **small)
    assert result.score is not None
    assert recorder.calls[-1] is result
    assert "has a score that is not in the results: the disk is full. Try python test.py." in capsys.readouterr().out


@pytest.mark.parametrize(("hangs_at", "name"), [(8, None), (24, "Pendulum-v1.ckpt-16")])
def test_the_result_of_a_learner_that_hangs_names_the_newest_saved_checkpoint(small, monkeypatch, hangs_at, name):
    go_on = threading.Event()
    run = ThreadGroup.run
    monkeypatch.setattr(ThreadGroup, "run", lambda group, stop: run(group, stop, patience=0.5))

    class Hanging(FakeTrainerLearner):
        def run(self, limiter, stop, keeper):
            self._params = replace(self._params, num_steps_train=hangs_at)
            super().run(limiter, stop, keeper)
            keeper.finish()
            stop.set()
            go_on.wait(60)

    use_fake_learner(monkeypatch, Hanging)
    try:
        result = train(**small)
    finally:
        go_on.set()
    assert (result.checkpoint and result.checkpoint.name) == name
    assert (result.learner_step, result.status, result.score) == (hangs_at, "stopped", None)


def test_a_result_without_a_checkpoint_has_no_policy():
    with pytest.raises(CheckpointError, match="before its first checkpoint"):
        _ = Result(None, None, 0, 0, 0.0, "stopped").policy
