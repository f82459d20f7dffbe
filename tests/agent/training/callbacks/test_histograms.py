"""Histograms for TensorBoard, from a replay and a critic whose numbers are known."""

import numpy as np
import pytest
from event_files import events_in
from factories import make_networks, make_scaling

from agent.training.callbacks.histograms import add_histograms
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.transitions import TransitionBatch
from utils.tensorboard import TensorBoardWriter


@pytest.fixture
def replay():
    """Ten transitions of priority 1 and ten of priority 8, with an alpha of 0.5."""
    replay = PrioritisedReplay(20, 3, 1, 0.5, 1e-9, np.random.default_rng(0))
    column = np.zeros(20, np.float32)
    replay.add(TransitionBatch(np.zeros((20, 3), np.float32), column[:, None], column, column, np.zeros((20, 3), np.float32)))
    replay.update_priorities(np.arange(20)[None], np.repeat([1.0, 8.0], 10)[None])
    return replay


def histograms(folder, replay, alpha=0.5):
    """What is written for a critic of five atoms, by name."""
    _, critic = make_networks(make_scaling(obs_size=3))
    writer = TensorBoardWriter(folder)
    add_histograms(writer, critic, replay, alpha)
    writer.close()
    return {value.tag: value.histo for event in events_in(folder) for value in event.summary.value}


def test_an_empty_replay_has_none(tmp_path):
    assert histograms(tmp_path, PrioritisedReplay(20, 3, 1, 0.5, 1e-9, np.random.default_rng(0))) == {}


def test_histograms_are_of_all_that_the_replay_holds(tmp_path, replay):
    shown = histograms(tmp_path, replay)
    returns, priorities = shown["value/return_distribution"], shown["replay/priorities"]
    assert (len(returns.bucket), returns.num) == (5, pytest.approx(20, rel=1e-4))  # an atom each
    assert (priorities.min, priorities.max) == pytest.approx((1.0, 8.0), rel=0.1)
    assert (priorities.bucket[0], priorities.bucket[-1], priorities.num) == (10, 10, 20)


def test_without_priorities_there_is_no_histogram_of_them(tmp_path, replay):
    assert set(histograms(tmp_path, replay, alpha=0.0)) == {"value/return_distribution"}


def test_reading_the_replay_draws_no_random_number(tmp_path, replay):
    before = replay.snapshot()[0]["generator"]
    assert histograms(tmp_path, replay)
    assert replay.snapshot()[0]["generator"] == before
