"""Every algorithm and combination of settings agrees with an independent update in float64, and solves what it must."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from factories import make_scaling
from reference_update import Reference
from small_learners import make_eager, small

from agent.learning.networks import named_arrays
from agent.learning.update import CompiledUpdate
from params import ALGORITHMS
from utils.replay.prioritised import Sample

pytestmark = pytest.mark.xdist_group("small learners")

OBS, ACTION, BATCH, UPDATES = 3, 2, 16, 10
SIZES = dict(dense1_size=12, dense2_size=10, num_atoms=7, updates_per_call=UPDATES, final_layer_init=0.3, random_seed=5)
NAMES = ("value_head", "num_critics", "policy_delay", "target_noise")
COMBINATIONS = [
    dict(zip(NAMES, values, strict=True)) for values in itertools.product(("categorical", "scalar"), (1, 2), (1, 2), (0.0, 0.3))
]
FURTHER = [
    dict(num_critics=2, actor_value="lower"),
    dict(num_critics=2, actor_value="mean"),
    dict(value_head="scalar", num_critics=2, actor_value="lower"),
    dict(value_head="scalar", scalar_loss="huber"),
    dict(value_head="scalar", max_gradient_norm=0.05),
    dict(max_gradient_norm=0.02),
    dict(critic_hidden_sizes=(14, 9)),
]
LEARNED = ("value_head", "num_critics", "policy_delay", "target_noise")  # of a set in ALGORITHMS: what an update depends on


def batches():
    rng = np.random.default_rng(1)
    obs, next_obs = rng.normal(size=(2, UPDATES, BATCH, OBS)).astype(np.float32)
    action = rng.uniform(-1, 1, (UPDATES, BATCH, ACTION)).astype(np.float32)
    reward, weights = rng.normal(size=(UPDATES, BATCH)), rng.uniform(0.2, 1, (UPDATES, BATCH))
    discount = rng.choice([0.0, 0.95], (UPDATES, BATCH), p=[0.2, 0.8])
    ids = np.zeros((UPDATES, BATCH), int)
    return Sample(
        ids, obs, action, *(part.astype(np.float32) for part in (reward, discount)), next_obs, weights.astype(np.float32)
    )


def layers_of(model):
    arrays = named_arrays(model)
    return [
        [arrays[f"{name}/{part}"].astype(np.float64) for part in ("kernel", "bias")] for name in ("dense1", "dense2", "output")
    ]


def noise_of(params, step, is_eager):
    """The standard normal numbers that the update draws at a step; compiled by XLA they are others."""
    draw = tf.function(lambda seed: tf.random.stateless_normal((BATCH, ACTION), seed), jit_compile=not is_eager)
    return draw(tf.constant([params.random_seed, step], tf.int64)).numpy().astype(float)


def compare(changes, is_eager=True):
    params = small(**SIZES | changes)
    update = CompiledUpdate(params, make_scaling(OBS, ACTION), np.random.default_rng(0))
    if is_eager:
        make_eager(update)
    reference = Reference(params, layers_of(update.actor), [layers_of(critic) for critic in update.critics], update.atoms)
    start, sample = update.arrays(), batches()
    for count in (1, UPDATES):
        update.restore(start, 0)
        result = update(count, 0, sample)
        for step in range(reference.step, count):
            columns = (np.asarray(column[step], np.float64) for column in sample[1:])
            priorities = reference.update(*columns, noise_of(params, step, is_eager))
            np.testing.assert_allclose(result.priorities[step], priorities, rtol=2e-3, atol=2e-4)
        pairs = [(update.actor, reference.actor), (update.target_actor, reference.target_actor)]
        pairs += [*zip(update.critics, reference.critics, strict=True)]
        pairs += [*zip(update.target_critics, reference.target_critics, strict=True)]
        for network, expected in pairs:
            for found, layer in zip(layers_of(network), expected, strict=True):
                for part, number in zip(found, layer, strict=True):
                    np.testing.assert_allclose(part, number, rtol=1e-3, atol=2e-5, err_msg=network.name)
    return result


@pytest.mark.parametrize("changes", COMBINATIONS + FURTHER, ids=str)
def test_updates_agree_with_an_independent_implementation_in_float64(changes):
    compare(changes)


@pytest.mark.parametrize("name", ["d4pg", "ddpg", "td3"])
def test_each_algorithm_agrees_when_it_is_compiled(name):
    compare({key: value for key, value in ALGORITHMS[name].items() if key in LEARNED}, is_eager=False)
