"""StopAtScore ends a training at the score that was asked for, and not before."""

import pytest
from callback_events import make_pendulum, make_run
from factories import save_checkpoint

import params
from agent.training.callbacks import stop_at_score
from agent.training.callbacks.stop_at_score import StopAtScore
from utils.errors import EnvironmentFailure


@pytest.fixture
def started(tmp_path):
    """Makes the callback for a goal; `started.run` is the run."""

    def start(goal):
        callback = StopAtScore(goal)
        callback.on_start(start.run)
        return callback

    start.run = make_run(tmp_path)
    return start


@pytest.mark.parametrize(("goal", "reached"), [(-1000.0, True), (0.0, False)])
def test_checkpoint_that_reaches_the_goal_asks_for_the_stop(started, tmp_path, goal, reached):
    path = save_checkpoint(tmp_path / "E.ckpt-10", make_pendulum())
    assert started(goal).on_checkpoint(path) is reached
    (sentence,) = started.run.console.said
    assert sentence.startswith("Learner step ")
    assert sentence.endswith(" over 20 noise-free episodes.")


def test_checkpoint_that_was_removed_is_passed_over(started, tmp_path):
    assert started(-1000.0).on_checkpoint(tmp_path / "E.ckpt-10") is False


def test_an_environment_that_fails_in_a_test_does_not_end_the_training(started, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise EnvironmentFailure("it fell over")

    monkeypatch.setattr(stop_at_score, "evaluate", fail)
    path = save_checkpoint(tmp_path / "E.ckpt-10", make_pendulum())
    assert started(-1000.0).on_checkpoint(path) is False
    assert started.run.console.said == ["E.ckpt-10 could not be scored: it fell over."]


def test_scoring_ends_with_the_run(started, tmp_path):
    path = save_checkpoint(tmp_path / "E.ckpt-10", make_pendulum())
    started.run.stop.set()
    assert started(-1000.0).on_checkpoint(path) is False
    assert started.run.console.said == []


def test_it_runs_beside_the_other_callbacks():
    assert StopAtScore.slow


def test_its_seeds_are_used_by_no_other_score():
    for scored in (params.TestParams(), params.WatchParams()):
        theirs = range(scored.random_seed, scored.random_seed + 100_000)
        assert not set(theirs) & set(range(stop_at_score.FIRST_SEED, stop_at_score.FIRST_SEED + stop_at_score.EPISODES))
