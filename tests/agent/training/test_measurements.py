"""Rows, episodes and the status of a run, from counters whose values are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from callback_events import Screen
from factories import make_params, make_replay

from agent.training.callbacks.callback import FinishedEpisode
from agent.training.checkpointer import Parts
from agent.training.measurements import Measurements
from utils.errors import EnvironmentFailure
from utils.replay.rate_limiter import RateLimiter
from utils.replay.transitions import Episode, TransitionBatch


class Means:
    """The averages of a learner."""

    def __init__(self, **values):
        self.values = {"critic_loss": 2.5, "mean_q": -3.0} | values

    def take(self):
        return self.values


@pytest.fixture
def training():
    """Measurements and the objects that they read: 100 transitions, 40 learner steps of 100."""
    replay = make_replay(200, alpha=1.0)
    column = np.zeros((100, 1), np.float32)
    replay.add(TransitionBatch(column, column, column[:, 0], column[:, 0], column))
    limiter = RateLimiter(0.0, 20, 0.0)
    limiter._inserts, limiter._samples = 100, 160
    scaling = SimpleNamespace(support=SimpleNamespace(bounds=(-20.0, 5.0)))
    schedules = {"beta": lambda step: 0.64, "rate_factor": lambda step: step / 60}
    learner = SimpleNamespace(learner_step=40, skipped_updates=0, averages=Means(), scaling=scaling, **schedules)
    counters = SimpleNamespace(seconds=50.0, env_steps=800)
    checkpointer = SimpleNamespace(saved_step=30)
    parts = Parts(learner, SimpleNamespace(episodes=4), counters, replay, limiter)
    console = Screen()
    made = Measurements(make_params(num_steps_train=100, learning_starts=20), parts, checkpointer, console)
    return SimpleNamespace(measurements=made, learner=learner, counters=counters, checkpointer=checkpointer, said=console.said)


def test_row_holds_counters_means_and_rates_since_the_last(training):
    training.measurements._counts = (40.0, 20, 640)  # ten seconds ago
    learner_step, row = training.measurements.row()
    assert learner_step == 40
    assert row == {
        "env_step": 800,
        "seconds": 50.0,
        "updates_per_s": 2.0,
        "env_steps_per_s": 16.0,
        "critic_loss": 2.5,
        "mean_q": -3.0,
        "v_min_raw": -20.0,
        "v_max_raw": 5.0,
        "critic_learning_rate": 0.0003333,  # 5e-4 * 40 / 60
        "beta": 0.64,
        "policy_lag": 0.0,
        "samples_per_insert": 2.0,  # 160 samples of the 80 inserts past the first 20
        "replay_size": 100,
        "mean_priority": 1.0,
        "skipped_updates": 0,
        "invalid_priorities": 0,
        "clipped_priorities": 0,
        "env_failures": 0,
    }


def test_without_an_update_there_is_no_row(training):
    training.learner.averages.values = {}
    assert training.measurements.row() is None


def test_row_is_due_five_seconds_after_the_last(training):
    training.counters.seconds = 54.9
    assert training.measurements.due_row() is None
    training.counters.seconds = 55.0
    assert training.measurements.due_row() is not None
    assert training.measurements.due_row() is None


def test_failures_are_counted_and_the_first_of_each_agent_is_printed(training):
    for index in (0, 0, 1):
        training.measurements.failure(index, EnvironmentFailure(f"agent {index} failed"))
    assert training.measurements.row()[1]["env_failures"] == training.measurements.status().env_failures == 3
    assert training.said == [f"agent {index} failed. A new environment takes its place." for index in (0, 1)]


def test_policy_lag_is_the_mean_age_of_the_policies_since_the_last_row(training):
    column = np.zeros((1, 1), np.float32)
    for version in (0, 24, 32):  # the first batch was random
        training.measurements.count(TransitionBatch(column, column, column[:, 0], column[:, 0], column, policy_version=version))
    assert training.measurements.row()[1]["policy_lag"] == 12.0  # of 16 and 8 learner steps
    assert training.measurements.row()[1]["policy_lag"] == 12.0  # no batch since then


def test_episodes_of_a_batch_get_the_steps_of_the_run(training):
    column = np.zeros((1, 1), np.float32)
    ended = [Episode(-100.0, 200), Episode(-50.0, 150)]
    batch = TransitionBatch(column, column, column[:, 0], column[:, 0], column, ended, agent=2, noise=0.25)
    assert training.measurements.episodes(batch) == [
        FinishedEpisode(40, 800, 2, -100.0, 200, 0.25),
        FinishedEpisode(40, 800, 2, -50.0, 150, 0.25),
    ]


def test_status_holds_the_counters(training):
    training.measurements._counts = (40.0, 20, 640)
    training.measurements.row()
    training.learner.learner_step = 48
    status = training.measurements.status(has_ended=True)
    assert (status.learner_step, status.first_learner_step, status.num_steps_train) == (48, 40, 100)
    assert (status.env_steps, status.episodes, status.inserts, status.learning_starts) == (800, 4, 100, 20)
    assert (status.replay_size, status.replay_capacity, status.seconds) == (100, 200, 50.0)
    assert (status.updates_per_s, status.env_steps_per_s, status.metrics["critic_loss"]) == (2.0, 16.0, 2.5)
    assert (status.saved_step, status.is_ending, status.has_ended) == (30, False, True)
    training.checkpointer.saved_step = 48
    assert training.measurements.status().saved_step == 48
