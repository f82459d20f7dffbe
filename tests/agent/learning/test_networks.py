"""Sizes, initial ranges and the place of batch normalisation."""

import keras
import numpy as np
import pytest

from agent.learning.networks import Hidden, interpolate_outputs, kernels, make_actor, make_critic, named_arrays, tilt_outputs


def actor(batch_norm=False, seed=0):
    return make_actor(3, 2, Hidden((40, 30), "batch" if batch_norm else "none"), 0.003, np.random.default_rng(seed))


def critic(batch_norm=False, seed=0):
    return make_critic(3, 2, Hidden((40, 30), "batch" if batch_norm else "none"), 51, 0.003, np.random.default_rng(seed))


def test_the_actor_maps_observations_to_unit_actions():
    actions = actor()(np.random.default_rng(0).normal(size=(7, 3)) * 1e6).numpy()
    assert actions.shape == (7, 2)
    assert np.abs(actions).max() <= 1.0


def test_the_critic_maps_observations_and_actions_to_logits():
    assert critic()([np.zeros((7, 3)), np.zeros((7, 2))]).shape == (7, 51)


def test_the_action_joins_the_critic_after_the_first_layer():
    arrays = named_arrays(critic())
    assert arrays["dense1/kernel"].shape == (3, 40)
    assert arrays["dense2/kernel"].shape == (40 + 2, 30)


@pytest.mark.parametrize(
    ("make", "layer", "limit"),
    [
        (actor, "dense1", 3**-0.5),
        (actor, "dense2", 40**-0.5),
        (actor, "output", 0.003),
        (critic, "dense1", 3**-0.5),
        (critic, "dense2", 42**-0.5),  # fan-in: 40 of the state, 2 of the action
        (critic, "output", 0.003),
    ],
)
def test_layers_start_uniform_within_their_limit(make, layer, limit):
    arrays = named_arrays(make())
    for kind in ("kernel", "bias"):
        values = arrays[f"{layer}/{kind}"]
        assert np.abs(values).max() <= limit
    kernel = arrays[f"{layer}/kernel"]
    assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.25)  # of a uniform distribution
    assert abs(kernel.mean()) < 0.3 * limit


def test_a_seed_fixes_the_weights():
    first, again, other = named_arrays(actor(seed=1)), named_arrays(actor(seed=1)), named_arrays(actor(seed=2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["dense1/kernel"], other["dense1/kernel"])


@pytest.mark.parametrize("make", [actor, critic])
def test_batch_normalisation_is_on_the_input_and_before_each_hidden_relu(make):
    def inputs_of(layer):
        return layer.input._keras_history.operation

    model = make(batch_norm=True)
    for number in (1, 2):
        norm = inputs_of(model.get_layer(f"relu{number}"))
        assert isinstance(norm, keras.layers.BatchNormalization)
        assert inputs_of(norm).name == f"dense{number}"
    assert inputs_of(model.get_layer("dense1")).name == "norm0"
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in make().layers)


def test_kernels_are_the_matrices_of_the_dense_layers():
    assert [tuple(kernel.shape) for kernel in kernels(critic(batch_norm=True))] == [(3, 40), (40, 30), (2, 30), (30, 51)]


def distributions(network, rng):
    inputs = [rng.normal(size=(50, 3)).astype(np.float32), rng.uniform(-1, 1, (50, 2)).astype(np.float32)]
    logits = network(inputs).numpy().astype(np.float64)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return probs / probs.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (-1.0, 3.0), (-0.9, 0.8), (-20.0, 20.0)])
def test_interpolated_outputs_keep_the_distribution_over_other_returns(low, high):
    # A density around a return that depends on the inputs, from -0.35 to 0.35, with a standard deviation of 0.2.
    old, new = np.linspace(-1.0, 1.0, 51), np.linspace(low, high, 51)
    network, hidden = critic(), np.random.default_rng(1)
    layer = network.get_layer("output")
    layer.kernel.assign(np.outer(hidden.normal(size=30), old) * 4.0)
    layer.bias.assign(-0.5 * (old / 0.2) ** 2)
    before = distributions(network, np.random.default_rng(0))
    interpolate_outputs(network, old, new)
    after = distributions(network, np.random.default_rng(0))
    spacing = new[1] - new[0]
    assert np.abs(before @ old).max() > 0.1
    np.testing.assert_allclose(after @ new, before @ old, atol=0.02 + 0.5 * max(0.0, spacing - 0.3))


def test_atoms_beyond_the_old_support_get_hardly_any_probability():
    old, new = np.linspace(-1.0, 1.0, 51), np.linspace(-1.0, 3.0, 51)
    network = critic()
    interpolate_outputs(network, old, new)  # a new critic is uniform
    probs = distributions(network, np.random.default_rng(0))
    assert probs[:, new > 1.0].sum(axis=1).max() < 0.01
    np.testing.assert_allclose(probs[:, :26], 1 / 26, rtol=0.1)


@pytest.mark.parametrize("mean", [0.0, -40.0, 12.0, 26.0])
def test_a_tilted_critic_predicts_the_mean_by_an_exponential(mean):
    network, atoms = critic(), np.linspace(-125.6, 27.8, 51)
    tilt_outputs(network, atoms, mean)
    probs = distributions(network, np.random.default_rng(0))
    np.testing.assert_allclose(probs @ atoms, mean, atol=0.5)
    ratios = probs[:, 1:] / probs[:, :-1]
    np.testing.assert_allclose(ratios, ratios.mean(), rtol=0.1)  # the final layer's random weights are small, not zero


def test_a_mean_at_an_outer_atom_is_refused():
    with pytest.raises(ValueError, match="different signs"):
        tilt_outputs(critic(), np.linspace(-1.0, 1.0, 51), 1.0)
