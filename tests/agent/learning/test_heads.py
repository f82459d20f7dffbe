"""The categorical head by hand: targets between supports, the lower of two critics, priorities, metrics."""

import numpy as np
import pytest

from agent.learning.heads import CategoricalHead

HEAD = CategoricalHead()
SUPPORT = np.array([0.0, 1.0, 2.0], np.float32)
CERTAIN = 30.0  # a logit that leaves the other atoms less than 1e-12


def certain_of(*places):
    """Logits [B, 3] of critics that are certain of one atom."""
    return CERTAIN * np.eye(3, dtype=np.float32)[list(places)]


def ones(value):
    return np.array([value], np.float32)


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        (0.0, 1.0, [0.0, 0.0, 1.0]),  # the value of the next state, 2
        (0.5, 0.5, [0.0, 0.5, 0.5]),  # 0.5 + 0.5 * 2 = 1.5
        (1.0, 0.0, [0.0, 1.0, 0.0]),  # terminal: the reward only
    ],
)
def test_target_is_reward_plus_discounted_next_return(reward, discount, expected):
    target, _ = HEAD.target([certain_of(2)], ones(reward), ones(discount), SUPPORT, SUPPORT)
    np.testing.assert_allclose(target, [expected], atol=1e-6)


def test_target_moves_from_the_support_of_the_targets_to_that_of_the_critics():
    # The target critic is certain of its last atom, 4, and the reward is -2.5: 1.5 on the atoms 0, 1, 2.
    target, _ = HEAD.target([certain_of(2)], ones(-2.5), ones(1.0), 2.0 * SUPPORT, SUPPORT)
    np.testing.assert_allclose(target, [[0.0, 0.5, 0.5]], atol=1e-6)


def test_target_takes_the_critic_with_the_lower_mean_sample_by_sample():
    first, second = certain_of(0, 2), certain_of(1, 1)
    zeros, discounts = np.zeros(2, np.float32), np.ones(2, np.float32)
    for outputs in ([first, second], [second, first]):
        target, _ = HEAD.target(outputs, zeros, discounts, SUPPORT, SUPPORT)
        np.testing.assert_allclose(target, [[1, 0, 0], [0, 1, 0]], atol=1e-6)


def test_mean_and_losses_by_hand():
    outputs = np.log(np.array([[0.2, 0.3, 0.5]], np.float32))
    target = np.array([[0.0, 0.5, 0.5]], np.float32)
    np.testing.assert_allclose(HEAD.mean(outputs, SUPPORT), [1.3], rtol=1e-6)
    np.testing.assert_allclose(HEAD.losses(target, outputs, SUPPORT), [-0.5 * np.log(0.15)], rtol=1e-6)


def test_priority_is_the_mean_loss_of_the_critics():
    target = np.array([[0.0, 1.0, 0.0]], np.float32)
    outputs = [np.log(np.array([[1 - p, p, 1e-9]], np.float32)) for p in (0.5, 0.25)]
    np.testing.assert_allclose(HEAD.priority(target, outputs), [(np.log(2) + np.log(4)) / 2], rtol=1e-5)


def test_priority_can_be_the_kl_divergence_and_is_never_negative():
    head = CategoricalHead("kl")
    target = np.array([[0.5, 0.5, 0.0]], np.float32)
    outputs = [np.log(np.array([[p, 1 - p, 1e-9]], np.float32)) for p in (0.5, 0.25)]
    # Cross-entropies -ln(0.5) and -ln(0.25 * 0.75) / 2, of which the entropy ln(2) is subtracted.
    expected = (0.0 + -np.log(0.25 * 0.75) / 2 - np.log(2)) / 2
    np.testing.assert_allclose(head.priority(target, outputs), [expected], rtol=1e-5)
    probs = np.random.default_rng(0).dirichlet(np.ones(51), 64).astype(np.float32)
    priorities = head.priority(probs, [np.log(probs)]).numpy()
    assert (priorities >= 0).all()
    assert priorities.max() < 1e-6
    assert head.metrics(target, outputs) == HEAD.metrics(target, outputs)  # critic_loss stays the cross-entropy


def test_kl_divergence_is_zero_for_a_prediction_that_is_right_and_never_negative():
    probs = np.random.default_rng(0).dirichlet(np.ones(51), 64).astype(np.float32)
    metrics = HEAD.metrics(probs, [np.log(probs)])
    assert 0.0 <= float(metrics["kl_divergence"]) < 1e-6
    assert float(metrics["critic_loss"]) == pytest.approx(float(metrics["target_entropy"]), rel=1e-5)


def test_every_metric_is_named_in_metrics():
    target = np.array([[0.0, 1.0, 0.0]], np.float32)
    _, outside = HEAD.target([certain_of(2)], ones(1.0), ones(1.0), SUPPORT, SUPPORT)
    found = HEAD.metrics(target, [certain_of(1)]) | outside
    assert tuple(found) == HEAD.METRICS
    assert (float(found["target_mass_below"]), float(found["target_mass_above"])) == pytest.approx((0.0, 1.0))  # 3 is above 2.5
