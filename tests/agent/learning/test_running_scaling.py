"""Scaling that follows the data: observations by their moments, the support and the reward scale by the rewards."""

import json

import numpy as np
import pytest
from small_learners import bandit, make, small

from agent.learning.support import WIDTH
from utils.replay.returns import ReturnRange
from utils.replay.transitions import TransitionBatch

AUTOMATIC = dict(v_min=None, v_max=None, updates_per_call=4)


def seen(low, high):
    """A batch that brings a range of returns."""
    row = np.zeros((1, 1), np.float32)
    return TransitionBatch(row, row, row[0], row[0], row, returns=[ReturnRange(low, high, low, high)])


def learner_of(**changes):
    learner, _ = make(small(**AUTOMATIC | changes), bandit())
    return learner


def raw_atoms(learner):
    return learner.update.atoms * learner.scaling.current.reward_scale


def test_the_first_call_uses_the_observed_returns_and_a_reward_scale_of_their_width():
    learner = learner_of()
    learner.scaling.observe(seen(-1000.0, 1000.0))
    learner.step()
    assert raw_atoms(learner)[[0, -1]] == pytest.approx([-1500.0, 1500.0])
    assert learner.update.atoms[-1] - learner.update.atoms[0] == pytest.approx(WIDTH)
    policy, critic, _ = learner.snapshot()
    assert policy.scaling.reward_scale == pytest.approx(3000.0 / WIDTH)
    assert critic.atoms[[0, -1]] == pytest.approx([-1500.0, 1500.0])


def first_values(learner):
    learner.scaling.observe(seen(-1000.0, 200.0))
    learner.scaling.prepare()
    critic = learner.snapshot()[1]
    return critic.value(np.ones((9, 1)), np.linspace(-1, 1, 9)[:, None])


def test_new_critics_predict_0_although_most_returns_are_negative():
    np.testing.assert_allclose(first_values(learner_of(num_critics=2)), 0.0, atol=20.0)  # of 1 800


def test_critics_that_have_learned_are_not_changed_by_the_first_support():
    learner = learner_of()
    arrays = learner.snapshot()[2]
    learner.restore(arrays, 8)
    np.testing.assert_allclose(first_values(learner), -400.0, atol=20.0)  # the middle: the logits are equal


def test_a_move_keeps_what_the_critic_says_and_the_targets_until_they_agree():
    learner = learner_of(num_steps_train=100_000)
    learner.scaling.observe(seen(-3.0, 1.0))
    for _ in range(150):  # the reward is at most 1: the critic has learned it
        learner.step()
    _, before, _ = learner.snapshot()
    for _ in range(2):
        learner.scaling.observe(seen(-20.0, 1.0))
    learner.step()  # judges, and moves
    _, after, _ = learner.snapshot()
    assert (before.atoms[0], after.atoms[0]) == pytest.approx((-4.0, -20.0 - 0.25 * 21), rel=1e-3)
    obs, actions = np.ones((9, 1)), np.linspace(-1, 1, 9)[:, None]
    np.testing.assert_allclose(after.value(obs, actions), before.value(obs, actions), atol=0.6)  # atoms are 0.5 apart
    assert learner.scaling.support.target_bounds != learner.scaling.support.bounds
    for _ in range(300):
        learner.step()
    assert learner.scaling.support.target_bounds == learner.scaling.support.bounds
    rewards = 1.0 - 2.0 * (actions[:, 0] - 0.3) ** 2
    np.testing.assert_allclose(learner.snapshot()[1].value(obs, actions), rewards, atol=0.5)


def test_observations_are_scaled_by_the_moments_of_what_entered_the_replay():
    learner = learner_of(normalise_observations=True, v_min=-2.0, v_max=2.0)
    batch = bandit()
    learner.scaling.observe(TransitionBatch(np.array([[1.0], [3.0]], np.float32), *batch_tail(batch)))
    learner.step()
    scaling = learner.policy.scaling
    assert (scaling.obs_mean, scaling.obs_scale, scaling.obs_clip) == (2.0, 1.0, 10.0)


def batch_tail(batch):
    return batch.action[:2], batch.reward[:2], batch.discount[:2], batch.next_obs[:2]


def test_a_snapshot_in_the_middle_of_a_move_continues_bit_for_bit():
    whole = learner_of(normalise_observations=True)
    whole.scaling.observe(seen(-1.0, 1.0))
    for _ in range(3):
        whole.step()
    whole.scaling.observe(seen(-9.0, 1.0))
    whole.scaling.observe(seen(-9.0, 1.0))
    whole.step()
    assert whole.scaling.support.target_bounds != whole.scaling.support.bounds
    policy, _, arrays = whole.snapshot()
    state, learner_step, sample = json.dumps(whole.scaling.state()), whole.learner_step, whole._draw(whole.learner_step)
    whole.step(sample)
    expected, atoms = whole.update.arrays(), whole.update.atoms

    other = learner_of(normalise_observations=True)
    other.restore(arrays, learner_step, json.loads(state))
    for name, array in other.policy.scaling.arrays().items():
        np.testing.assert_array_equal(array, policy.scaling.arrays()[name], err_msg=name)
    other.step(sample)
    for name, array in expected.items():
        np.testing.assert_array_equal(other.update.arrays()[name], array, err_msg=name)
    np.testing.assert_array_equal(other.update.atoms, atoms)
