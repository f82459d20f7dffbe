"""What is logged of a training, and the snapshot that is shown, from counters whose values are known."""

import csv
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from agent.training.progress import Progress
from event_files import scalars_in

from agent.training import progress as module
from params import TrainParams
from utils.logs import Metrics
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter
from utils.replay.transitions import Episode, TransitionBatch
from utils.tensorboard import TensorBoardWriter


class Screen:
    """Keeps the sentences and the lines of the view."""

    def __init__(self):
        self.said = []
        self.lines = []

    def show(self, rows, line, is_last=False):
        self.lines.append(line)

    def say_once(self, sentence, key=None):
        self.said.append(sentence)


class Means:
    """The averages of a learner."""

    def __init__(self, **values):
        self.values = {"critic_loss": 2.5, "mean_q": -3.0, "target_mass_below": 0.0, "target_mass_above": 0.0} | values

    def take(self):
        return self.values


@pytest.fixture
def training(tmp_path):
    """A progress and the objects that it watches: 100 transitions, 40 learner steps of 100."""
    params = TrainParams(v_min=-20.0, v_max=0.0, num_steps_train=100, learning_starts=20, replay_mem_size=200)
    replay = PrioritisedReplay(200, 1, 1, 1.0, 1e-5, np.random.default_rng(0))
    column = np.zeros((100, 1), np.float32)
    replay.add(TransitionBatch(column, column, column[:, 0], column[:, 0], column))
    limiter = RateLimiter(0.0, 20, 0.0)
    limiter._inserts, limiter._samples = 100, 160
    learner = SimpleNamespace(learner_step=40, skipped_updates=0, averages=Means(), beta=lambda step: 0.64)
    archive = SimpleNamespace(seconds=50.0, env_step=800, episodes=4, newest=None, saved_step=None)
    logs = Metrics(tmp_path / "learner.csv", "learner_step"), Metrics(tmp_path / "agents.csv", "env_step")
    progress = Progress(params, learner, archive, replay, limiter, *logs, Screen())
    return SimpleNamespace(progress=progress, learner=learner, archive=archive, folder=tmp_path, screen=progress._console)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_holds_counters_means_and_rates_since_the_last(training):
    training.progress._counts = (40.0, 20, 640)  # ten seconds ago
    training.progress.write_row()
    (row,) = rows(training.folder / "learner.csv")
    assert {name: float(value) for name, value in row.items()} == {
        "learner_step": 40,
        "env_step": 800,
        "seconds": 50.0,
        "updates_per_s": 2.0,
        "env_steps_per_s": 16.0,
        "critic_loss": 2.5,
        "mean_q": -3.0,
        "target_mass_below": 0.0,
        "target_mass_above": 0.0,
        "beta": 0.64,
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
    training.progress.write_row()
    assert rows(training.folder / "learner.csv") == []


def test_episode_is_a_row_of_agents_csv_and_a_return_of_the_view(training):
    agent = SimpleNamespace(index=2, noise=SimpleNamespace(deviation=0.25))
    training.progress.episode(agent, Episode(-100.0, 200))
    training.progress.episode(agent, Episode(-50.0, 150))
    first, second = rows(training.folder / "agents.csv")
    assert first == {"env_step": "800", "agent": "2", "return": "-100.0", "length": "200", "noise": "0.25"}
    assert second["return"] == "-50.0"
    assert training.progress._snapshot().recent_returns == training.progress._snapshot().binned_returns == (-100.0, -50.0)


def test_tensorboard_shows_the_returns_of_all_agents_together_by_learner_step(training):
    board = TensorBoardWriter(training.folder / "tensorboard")
    training.progress._agents_log = Metrics(training.folder / "agents.csv", "env_step", board)
    for index, score in ((0, -100.0), (1, -50.0)):
        agent = SimpleNamespace(index=index, noise=SimpleNamespace(deviation=0.25))
        training.progress.episode(agent, Episode(score, 200))
    board.close()
    shown = scalars_in(training.folder / "tensorboard")
    assert [value for value in shown if value[0] == "rollout/return"] == [
        ("rollout/return", 40, -100.0),
        ("rollout/return", 40, -50.0),
    ]
    assert {tag for tag, _, _ in shown} == {"rollout/return", "rollout/length", "rollout/noise"}


def test_snapshot_holds_the_counters(training):
    training.progress.write_row()
    snapshot = training.progress._snapshot()
    assert (snapshot.learner_step, snapshot.first_learner_step, snapshot.num_steps_train) == (40, 40, 100)
    assert (snapshot.env_step, snapshot.episodes, snapshot.inserts) == (800, 4, 100)
    assert (snapshot.replay_size, snapshot.replay_capacity, snapshot.critic_loss) == (100, 200, 2.5)


def test_last_state_is_shown_after_the_learner_has_ended(training, monkeypatch):
    monkeypatch.setattr(module, "LOOK", 0.0)
    stop = Event()

    def show(rows, line, is_last=False):
        training.screen.lines.append(line)
        stop.set()

    training.screen.show = show
    training.learner.learner_step = 88
    training.progress.run(stop)
    training.learner.learner_step = 100  # its last call ends after `stop` was set
    training.progress.close()
    first, ending, last = training.screen.lines
    assert "learning | 88 of 100" in first
    assert "stopping" in ending
    assert "done | 100 of 100 learner steps (100 %)" in last
    assert rows(training.folder / "learner.csv")[-1]["learner_step"] == "100"


@pytest.mark.parametrize(("side", "advice"), [("above", "raise v_max"), ("below", "lower v_min")])
def test_target_mass_outside_the_support_is_said_after_the_first_tenth(training, side, advice):
    training.learner.averages = Means(**{f"target_mass_{side}": 0.07})
    training.learner.learner_step = 9
    training.progress.write_row()
    assert training.screen.said == []
    training.learner.learner_step = 11
    training.progress.write_row()
    assert "7%" in training.screen.said[0]
    assert training.progress._snapshot().warnings == (training.screen.said[0],)
    assert advice in training.screen.said[0]


def test_a_log_that_cannot_be_written_is_said_and_does_not_raise(training):
    training.progress._learner_log._path = training.folder / "nowhere" / "learner.csv"
    training.progress.write_row()
    assert "nowhere" in training.screen.said[0]
