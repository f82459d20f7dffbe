"""The NumPy copies agree with the Keras networks, keep to the bounds, and survive what files may hold."""

import numpy as np
import pytest
from factories import make_uneven_scaling as scaling

from agent.policy import Critic, Policy, UniformPolicy
from utils.errors import CheckpointError
from utils.storage.verified_folder import write_verified

LOW, HIGH = scaling().action_low, scaling().action_high


def small_weights(outputs=2, extra=0):
    rng = np.random.default_rng(0)
    sizes = {"dense1": (3, 8), "dense2": (8 + extra, 6), "output": (6, outputs)}
    weights = {f"{layer}/kernel": rng.normal(size=size).astype(np.float32) for layer, size in sizes.items()}
    return weights | {f"{layer}/bias": rng.normal(size=size[1]).astype(np.float32) for layer, size in sizes.items()}


def small_critic():
    return Critic(small_weights(outputs=5, extra=2) | {"atoms": np.linspace(-1, 1, 5, dtype=np.float32)}, scaling())


def keras_networks(norm, units):
    from agent.learning.networks import Hidden, make_actor, make_critic

    rng = np.random.default_rng(3)
    actor = make_actor(3, 2, Hidden(units, norm), 0.5, rng)
    critic = make_critic(3, 2, Hidden(units, norm), 51, 0.5, rng)
    for network in (actor, critic):  # statistics and factors as after a long training, not as at the start
        for variable in network.variables:
            if "norm" in variable.path:
                spread = rng.uniform(0.2, 3.0, variable.shape)
                variable.assign(spread if "variance" in variable.path or "gamma" in variable.path else spread - 1.5)
    return actor, critic


@pytest.mark.parametrize("units", [(400, 300), (50,), (40, 30, 20, 10)])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_policy_and_critic_agree_with_the_keras_networks(norm, units):
    from agent.learning.networks import named_arrays

    actor, critic = keras_networks(norm, units)
    rng = np.random.default_rng(4)
    obs = (rng.normal(size=(500, 3)) * [4, 16, 0.2] + [1.0, -2.0, 0.5]).astype(np.float32)
    unit = rng.uniform(-1, 1, (500, 2)).astype(np.float32)
    seen = scaling().normalise(obs)

    acted = Policy(named_arrays(actor), scaling()).act(obs)
    expected = scaling().to_bounds(actor(seen, training=False).numpy())
    assert np.abs((acted - expected) / (HIGH - LOW)).max() < 1e-5

    judge = Critic(named_arrays(critic) | {"atoms": np.linspace(-20, 0, 51, dtype=np.float32)}, scaling())
    logits = critic([seen, unit], training=False).numpy()
    found = judge.outputs(obs, scaling().to_bounds(unit))
    assert np.abs(found - logits).max() < 1e-5 * (logits.max() - logits.min())


def test_one_observation_gives_one_action():
    policy = Policy(small_weights(), scaling())
    obs = np.random.default_rng(0).normal(size=(4, 3))
    assert policy.act(obs[0]).shape == (2,)
    np.testing.assert_allclose(policy.act(obs)[0], policy.act(obs[0]), rtol=1e-6)


def test_a_critics_distribution_sums_to_one_and_its_value_is_in_raw_rewards():
    critic = small_critic()
    obs, action = np.zeros((3, 3)), np.full((3, 2), 0.05)
    probs = critic.distribution(obs, action)
    np.testing.assert_allclose(probs.sum(1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(critic.atoms, [-10, -5, 0, 5, 10])  # the reward scale is 10
    np.testing.assert_allclose(critic.value(obs, action), probs @ [-10, -5, 0, 5, 10], rtol=1e-5)


def test_a_scalar_critic_has_a_value_in_raw_rewards_and_no_distribution():
    critic = Critic(small_weights(outputs=1, extra=2), scaling())
    obs, action = np.random.default_rng(1).normal(size=(3, 3)), np.full((3, 2), 0.05)
    assert critic.atoms is None
    assert critic.distribution(obs, action) is None
    np.testing.assert_allclose(critic.value(obs, action), 10.0 * critic.outputs(obs, action)[:, 0])  # the reward scale
    critic._try()


def test_uniform_policy_fills_the_bounds():
    actions = UniformPolicy(scaling(), np.random.default_rng(0)).act(np.zeros((4000, 3)))
    assert (actions >= LOW).all()
    assert (actions <= HIGH).all()
    np.testing.assert_allclose((actions.mean(0) - LOW) / (HIGH - LOW), 0.5, atol=0.03)
    np.testing.assert_allclose(actions.std(0), (HIGH - LOW) / 12**0.5, rtol=0.05)


def test_a_policy_comes_back_from_a_checkpoint(tmp_path):
    policy = Policy(small_weights(), scaling(clip=5.0))
    path = tmp_path / "X.ckpt-7"
    write_verified(path, {"policy.npz": policy.arrays()}, {"learner_step": 7, "run_id": "r"})
    loaded = Policy.load(path)
    obs = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(loaded.act(obs), policy.act(obs))
    assert loaded.version == 7


@pytest.mark.parametrize(
    "break_it",
    [
        lambda arrays: arrays.pop("dense2/kernel"),
        lambda arrays: arrays.update({"dense1/kernel": np.zeros((4, 8), np.float32)}),
        lambda arrays: arrays.update({"output/bias": np.array([np.nan, 0], np.float32)}),
        lambda arrays: arrays.update({"output/bias": np.array(["a", "b"])}),
        lambda arrays: arrays.pop("scaling/action_low"),
        lambda arrays: arrays.update({"scaling/reward_scale": np.zeros((2, 2), np.float32)}),
    ],
)
def test_arrays_that_are_no_policy_are_refused(tmp_path, break_it):
    arrays = Policy(small_weights(), scaling()).arrays()
    break_it(arrays)
    write_verified(tmp_path / "X.ckpt-7", {"policy.npz": arrays}, {"learner_step": 7, "run_id": "r"})
    with pytest.raises(CheckpointError, match="policy.npz"):
        Policy.load(tmp_path / "X.ckpt-7")
