"""What TensorBoard shows besides scalars, from a replay and a critic whose numbers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from event_files import events_in
from factories import save_checkpoint as save

from agent.loading import load_checkpoint
from agent.training.callbacks.histograms import Histograms, show_result
from params import PlayParams, TrainParams
from utils.console import Console
from utils.env_spec import EnvSpec
from utils.logs import Metrics
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.transitions import TransitionBatch
from utils.storage.verified_folder import remove_verified
from utils.tensorboard import TensorBoardWriter

make = EnvSpec("Pendulum-v1", max_ep_length=8).make


@pytest.fixture
def replay():
    """Ten transitions of priority 1 and ten of priority 8, with an alpha of 0.5."""
    replay = PrioritisedReplay(20, 3, 1, 0.5, 1e-9, np.random.default_rng(0))
    column = np.zeros(20, np.float32)
    replay.add(TransitionBatch(np.zeros((20, 3), np.float32), column[:, None], column, column, np.zeros((20, 3), np.float32)))
    replay.update_priorities(np.arange(20)[None], np.repeat([1.0, 8.0], 10)[None])
    return replay


@pytest.fixture
def training(tmp_path, replay):
    path = save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-32", make())
    board = TensorBoardWriter(tmp_path / "board")
    log = Metrics(tmp_path / "learner.csv", "learner_step", board)
    archive = SimpleNamespace(newest=None)
    exhibits = Histograms(TrainParams(priority_alpha=0.5), archive, replay, log)
    yield SimpleNamespace(exhibits=exhibits, archive=archive, path=path, log=log, board=tmp_path / "board", folder=tmp_path)
    board.close()


def values(folder):
    return [(value.tag, event.step, value) for event in events_in(folder) for value in event.summary.value]


def test_each_checkpoint_gets_its_histograms_once(training):
    training.exhibits.look()
    assert values(training.board) == []
    training.archive.newest = training.path
    training.exhibits.look()
    training.exhibits.look()
    assert [(tag, step) for tag, step, _ in values(training.board)] == [
        ("value/return_distribution", 32),
        ("replay/priorities", 32),
    ]


def test_the_histograms_are_of_all_that_the_replay_holds(training):
    training.archive.newest = training.path
    training.exhibits.look()
    returns, priorities = (value.histo for _, _, value in values(training.board))
    assert (len(returns.bucket), returns.num) == (5, pytest.approx(20, rel=1e-4))  # an atom each
    assert (priorities.min, priorities.max) == pytest.approx((1.0, 8.0), rel=0.1)
    assert (priorities.bucket[0], priorities.bucket[-1], priorities.num) == (10, 10, 20)


def test_to_look_at_the_replay_draws_no_random_number(training, replay):
    training.archive.newest = training.path
    before = replay.snapshot()[0]["generator"]
    training.exhibits.look()
    assert values(training.board)
    assert replay.snapshot()[0]["generator"] == before


def test_a_checkpoint_that_is_gone_is_no_failure_of_the_training(training):
    training.archive.newest = training.folder / "Pendulum-v1.ckpt-64"
    training.exhibits.look()
    assert "is not a checkpoint" in training.log.failure


def test_result_is_parameters_a_score_and_a_film(training, capfd):
    choice = load_checkpoint(PlayParams(ckpt_dir=str(training.folder)), make())
    show_result(training.log, TrainParams(obs_scale=(1.0, 1.0, 8.0), max_ep_length=8), choice, -123.5, make, Console())
    shown = {tag: value for tag, _, value in values(training.board)}
    assert shown["score/final"].simple_value == -123.5
    assert shown["film"].image.encoded_image_string.startswith(b"GIF8")
    assert (training.log.failure, capfd.readouterr().out) == (None, "")


def test_film_is_rendered_in_another_process(training, monkeypatch):
    def render(env_id):
        raise AssertionError("rendered here")

    monkeypatch.setattr("utils.env_spec._check_may_render", render)
    choice = load_checkpoint(PlayParams(ckpt_dir=str(training.folder)), make())
    show_result(training.log, TrainParams(max_ep_length=8), choice, -123.5, make, Console())
    assert "film" in {tag for tag, _, _ in values(training.board)}


def test_film_that_fails_is_one_sentence(training, capfd):
    choice = load_checkpoint(PlayParams(ckpt_dir=str(training.folder)), make())
    remove_verified(choice.path)
    show_result(training.log, TrainParams(), choice, -123.5, make, Console())
    assert {tag for tag, _, _ in values(training.board)} >= {"score/final"}
    (line,) = capfd.readouterr().out.splitlines()
    assert line.startswith("TensorBoard shows no film of Pendulum-v1.ckpt-32: there is no checkpoint ")


@pytest.mark.parametrize(("stopped", "says"), [(False, "it took more than 0.1 seconds."), (True, "")])
def test_film_ends_with_its_time_and_silently_with_the_training(training, capfd, monkeypatch, stopped, says):
    monkeypatch.setattr("agent.training.callbacks.histograms.FILM_SECONDS", 0.1)
    choice = load_checkpoint(PlayParams(ckpt_dir=str(training.folder)), make())
    show_result(training.log, TrainParams(), choice, -123.5, make, Console(), lambda: stopped)
    assert "film" not in {tag for tag, _, _ in values(training.board)}
    assert capfd.readouterr().out.strip().endswith(says)
    assert training.log.failure is None
