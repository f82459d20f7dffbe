"""Logs writes what happens in a run to CSV files and to TensorBoard."""

import csv

import pytest
from callback_events import make_episode, make_pendulum, make_result, make_run, make_status
from event_files import events_in, scalars_in
from factories import make_params, make_replay, save_checkpoint

from agent.training.callbacks import logs as module
from agent.training.callbacks.logs import Logs
from utils.errors import DependencyError, StorageError
from utils.replay.transitions import Transition, TransitionBatch

ROW = {"env_step": 800, "critic_loss": 2.5, "skipped_updates": 0}


@pytest.fixture
def started(tmp_path):
    """Makes Logs that have started; the fields of the run may be given."""
    made = []

    def start(**run):
        logs = Logs()
        made.append(logs)
        logs.on_start(make_run(tmp_path, **run))
        return logs

    yield start
    for logs in made:
        logs.close()


@pytest.fixture
def checkpoint(tmp_path):
    return save_checkpoint(tmp_path / "Pendulum-v1.ckpt-32", make_pendulum())


@pytest.fixture
def recording(monkeypatch):
    """Replaces the recording by one of a single pixel, made at once; `recording.error` is raised instead."""

    def make(config, path, stop):
        if make.error:
            raise make.error
        return b"GIF89a" + bytes((1, 0, 1, 0))

    make.error = None
    monkeypatch.setattr(module, "record_checkpoint", make)
    return make


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def tags(folder):
    return {value.tag for event in events_in(folder / "logs/tensorboard") for value in event.summary.value}


def test_metrics_are_a_row_of_learner_csv_and_scalars_by_group(started, tmp_path):
    logs = started()
    logs.on_metrics(40, ROW)
    logs.close()
    assert rows(tmp_path / "logs/learner.csv") == [{"learner_step": "40"} | {name: str(value) for name, value in ROW.items()}]
    assert scalars_in(tmp_path / "logs/tensorboard") == [
        ("progress/env_step", 40, 800.0),
        ("loss/critic_loss", 40, 2.5),
        ("faults/skipped_updates", 40, 0.0),
    ]


def test_episode_is_a_row_of_agents_csv(started, tmp_path):
    logs = started()
    logs.on_episode(make_episode(-100.0))
    logs.on_episode(make_episode(-50.0, length=150))
    first, second = rows(tmp_path / "logs/agents.csv")
    assert first == {"env_step": "800", "agent": "2", "return": "-100.0", "length": "200", "noise": "0.25"}
    assert second["return"] == "-50.0"


def test_tensorboard_shows_the_returns_of_all_agents_together_by_learner_step(started, tmp_path):
    logs = started()
    logs.on_episode(make_episode(-100.0, agent=0))
    logs.on_episode(make_episode(-50.0, agent=1))
    logs.close()
    shown = scalars_in(tmp_path / "logs/tensorboard")
    assert [value for value in shown if value[0] == "rollout/return"] == [
        ("rollout/return", 40, -100.0),
        ("rollout/return", 40, -50.0),
    ]
    assert {tag for tag, _, _ in shown} == {"rollout/return", "rollout/length", "rollout/noise"}


def test_logs_of_another_run_are_moved_aside(started, tmp_path):
    started().on_metrics(40, ROW)
    started().on_metrics(8, ROW)
    assert [row["learner_step"] for row in rows(tmp_path / "logs/learner.csv")] == ["8"]
    assert len(list(tmp_path.rglob("learner.csv"))) == 2


def test_resumed_run_cuts_what_lies_beyond_its_checkpoint(started, tmp_path):
    logs = started()
    for learner_step in (40, 80):
        logs.on_metrics(learner_step, ROW)
        logs.on_episode(make_episode(learner_step=learner_step, env_step=20 * learner_step))
    logs.close()
    started(resumed_step=(40, 800)).on_metrics(48, ROW)
    assert [row["learner_step"] for row in rows(tmp_path / "logs/learner.csv")] == ["40", "48"]
    assert [row["env_step"] for row in rows(tmp_path / "logs/agents.csv")] == ["800"]


def test_checkpoint_gets_its_histograms(started, tmp_path, checkpoint):
    replay = make_replay(20, 3)
    zeros = make_pendulum().reset(seed=0)[0] * 0
    replay.add(TransitionBatch.stack([Transition(zeros, zeros[:1], 0.0, 1.0, zeros)] * 20))
    logs = started(replay=replay)
    logs.on_checkpoint(checkpoint)
    logs.close()
    assert tags(tmp_path) == {"value/return_distribution", "replay/priorities"}


def test_checkpoint_that_was_removed_is_reported_and_raises_nothing(started, tmp_path):
    logs = started()
    logs.on_checkpoint(tmp_path / "Pendulum-v1.ckpt-64")
    logs.on_tick(make_status())
    (sentence,) = logs._run.console.said
    assert "is not a checkpoint" in sentence


def test_log_that_cannot_be_written_is_reported_once(started, tmp_path):
    logs = started()
    (tmp_path / "logs/learner.csv").unlink()
    (tmp_path / "logs/learner.csv").mkdir()
    for _ in range(2):
        logs.on_metrics(40, ROW)
        logs.on_tick(make_status())
    (sentence,) = logs._run.console.said
    assert sentence.startswith("Training continues without the lost log lines: ")
    assert "learner.csv" in sentence


def test_tensorboard_that_cannot_be_opened_ends_the_run_at_its_start(started, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(module, "TensorBoardWriter", fails)
    with pytest.raises(StorageError, match="Choose another with --log-dir"):
        started()


def test_end_adds_parameters_score_and_film(started, tmp_path, checkpoint, recording):
    logs = started(config=make_params(obs_scale=(1.0, 1.0, 8.0)))
    logs.on_end(make_result(checkpoint, score=-123.5))
    logs.close()
    assert {"score/final", "recording", "_hparams_/session_start_info"} <= tags(tmp_path)
    assert ("score/final", 100, -123.5) in scalars_in(tmp_path / "logs/tensorboard")
    assert logs._run.console.said == []


def test_end_without_a_score_adds_nothing(started, tmp_path, checkpoint, recording):
    logs = started()
    logs.on_end(make_result(checkpoint))
    logs.close()
    assert tags(tmp_path) == set()


@pytest.mark.parametrize(("is_interrupted", "sentences"), [(False, 1), (True, 0)])
def test_film_that_fails_is_one_sentence_and_none_after_a_signal(
    started, tmp_path, checkpoint, recording, is_interrupted, sentences
):
    recording.error = DependencyError("there is no ffmpeg.")
    logs = started(is_interrupted=lambda: is_interrupted)
    logs.on_end(make_result(checkpoint, score=-123.5))
    logs.close()
    assert "recording" not in tags(tmp_path)
    assert logs._run.console.said == ["TensorBoard shows no recording of Pendulum-v1.ckpt-32: there is no ffmpeg."] * sentences


def test_failure_at_the_end_is_reported(started, checkpoint, monkeypatch):
    monkeypatch.setattr(module, "record_checkpoint", lambda *_: b"")  # not a GIF
    logs = started()
    logs.on_end(make_result(checkpoint, score=-123.5))
    (sentence,) = logs._run.console.said
    assert "TensorBoard lacks a picture" in sentence


def test_close_before_the_start_does_nothing():
    Logs().close()
