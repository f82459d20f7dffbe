"""Figures from the logs of a training, whatever columns they have."""

import numpy as np
import pytest

from agent.analysis.training_plots import draw_speed, draw_training, running_mean

EPISODES = dict(env_step=np.array([20.0, 10.0, 30.0]), **{"return": np.array([2.0, 1.0, 6.0])})
OLD = dict(learner_step=np.array([1.0, 2.0]), critic_loss=np.array([3.0, 2.0]))
NEW = OLD | dict(kl_divergence=np.array([0.5, 0.4]), actor_loss=np.array([np.nan, np.nan]))


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_a_running_mean_starts_with_the_values_so_far():
    np.testing.assert_allclose(running_mean(np.array([1.0, 3.0, 5.0, 7.0]), 2), [1.0, 2.0, 4.0, 6.0])


def test_the_returns_are_drawn_in_the_order_of_environment_steps():
    axes = draw_training(EPISODES, {}).axes[0]
    np.testing.assert_allclose(axes.lines[1].get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [1.0, 1.5, 3.0])


@pytest.mark.parametrize("narrow", [False, True])
def test_missing_losses_are_left_out(narrow):
    assert titles(draw_training({}, OLD, narrow)) == ["critic loss"]
    assert titles(draw_training(EPISODES, NEW, narrow))[1:] == ["critic loss", "KL divergence"]  # no number of the actor


def test_without_logs_there_is_no_figure():
    assert draw_training({}, {}) is None


def test_speed_has_a_panel_for_each_kind_of_step():
    log = dict(seconds=np.array([60.0]), updates_per_s=np.array([9.0]), env_steps_per_s=np.array([8.0]))
    assert titles(draw_speed(log)) == ["learner steps a second", "environment steps a second"]
    log["policy_lag"] = np.array([16.0])  # older logs do not have it
    assert titles(draw_speed(log))[2:] == ["age of the agents' policies, learner steps"]
