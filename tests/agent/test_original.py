"""A checkpoint in the original's format, made here with known weights, is read to the same functions."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from factories import make_scaling

from agent import original as module
from agent.original import load_original, step_of
from utils.errors import CheckpointError

LOW, HIGH = np.array([-1.0, 0.0], np.float32), np.array([3.0, 4.0], np.float32)
SCALING = replace(make_scaling(3, 2, 100.0, LOW, HIGH), obs_scale=np.array([1.0, 1.0, 8.0], np.float32))
ATOMS = np.linspace(-20.0, 0.0, 5, dtype=np.float32)
SIZES = {
    "learner_actor_main": {"dense1": (3, 8), "dense2": (8, 6), "output": (6, 2)},
    "learner_critic_main": {"dense1": (3, 8), "dense2a": (8, 6), "dense2b": (2, 6), "output_logits": (6, 5)},
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The prefix of a checkpoint, and its weights by scope and layer."""
    rng, weights = np.random.default_rng(0), {}
    prefix = tmp_path_factory.mktemp("original") / "Pendulum-v0.ckpt-660000"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for scope, layers in SIZES.items():
            for layer, size in layers.items():
                kernel, bias = rng.normal(size=size).astype(np.float32), rng.normal(size=size[1]).astype(np.float32)
                weights[scope, layer] = kernel, bias
                for kind, value in (("kernel", kernel), ("bias", bias)):
                    tf.compat.v1.get_variable(f"{scope}/{layer}/dense/{kind}", initializer=value, use_resource=False)
                    # What its optimiser left beside them must not be mistaken for weights.
                    tf.compat.v1.get_variable(f"{scope}/train/{scope}/{layer}/dense/{kind}/Adam", initializer=value * 0)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(prefix), write_meta_graph=False)
    return prefix, weights


@pytest.fixture(scope="module")
def loaded(original):
    """Policy and critic of the checkpoint, and the variables that were read: each reading takes a process with TensorFlow."""
    variables, read = {}, module._read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_read", lambda path: variables.update(read(path)) or dict(variables))
        return *load_original(original[0], SCALING, ATOMS), variables


def relu(x):
    return np.maximum(x, 0.0)


def test_the_actor_is_the_originals(original, loaded):
    _, weights = original
    policy, _, _ = loaded
    obs = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32) * [1, 1, 8]
    (k1, b1), (k2, b2), (k3, b3) = (weights["learner_actor_main", layer] for layer in ("dense1", "dense2", "output"))
    unit = np.tanh(relu(relu(obs / [1, 1, 8] @ k1 + b1) @ k2 + b2) @ k3 + b3)
    np.testing.assert_allclose(policy.act(obs), [1.0, 2.0] + 2.0 * unit, rtol=1e-4, atol=1e-5)
    assert policy.version == 660_000


def test_the_critic_takes_actions_in_environment_units_and_adds_two_biases(original, loaded):
    _, weights = original
    _, critic, _ = loaded
    rng = np.random.default_rng(2)
    obs = rng.normal(size=(20, 3)).astype(np.float32)
    action = rng.uniform(LOW, HIGH, (20, 2)).astype(np.float32)
    layers = ("dense1", "dense2a", "dense2b", "output_logits")
    (k1, b1), (ka, ba), (kb, bb), (k3, b3) = (weights["learner_critic_main", layer] for layer in layers)
    hidden = relu(relu(obs / [1, 1, 8] @ k1 + b1) @ ka + ba + action @ kb + bb)
    np.testing.assert_allclose(critic.outputs(obs, action), hidden @ k3 + b3, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(critic.atoms, [-2000, -1500, -1000, -500, 0])


def test_other_sizes_are_a_checkpoint_error(original, loaded, monkeypatch):
    monkeypatch.setattr(module, "_read", lambda path: dict(loaded[2]))
    other = make_scaling(4, 2, 1.0, LOW, HIGH)
    with pytest.raises(CheckpointError, match="not a checkpoint of the original for this environment"):
        load_original(original[0], other, ATOMS)


def test_rubbish_is_a_checkpoint_error(tmp_path):
    (tmp_path / "X.ckpt-1.index").write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"X\.ckpt-1"):
        load_original(tmp_path / "X.ckpt-1", SCALING, ATOMS)


def test_its_learner_step_is_in_its_name(tmp_path):
    assert step_of(tmp_path / "Pendulum-v0.ckpt-660000") == 660_000
    assert step_of(tmp_path / "weights") == 0
