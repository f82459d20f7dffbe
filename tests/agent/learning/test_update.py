"""The compiled update: numbers that change without a new compilation, and a list of critics."""

import ast
import inspect

import numpy as np
import pytest
from factories import make_replay
from small_learners import COMPILED, NOT_COMPILED, bandit, make, make_eager, make_update, small

from agent.learning.actor_critic import ActorCritic
from agent.learning.heads import make_head
from agent.learning.update import CompiledUpdate
from agent.scaling import Scaling

pytestmark = pytest.mark.xdist_group("small learners")  # in one worker, which compiles each program once

ONE = np.ones(1, np.float32)
SUPPORT = np.linspace(-2.0, 2.0, 51, dtype=np.float32)


def scaling(mean=0.0, scale=1.0, clip=np.inf, reward_scale=1.0, high=1.0):
    return Scaling(mean * ONE, scale * ONE, clip, reward_scale, -high * ONE, high * ONE)


def sample_of(updates):
    replay = make_replay(5000)
    replay.add(bandit())
    return replay.sample(updates, 64, 0.4)


def test_other_scales_and_supports_compile_nothing_and_are_used():
    sample = sample_of(4)
    moved, wider = scaling(0.5, 2.0, 3.0, 4.0, 1.5), np.linspace(-3.0, 3.0, 51, dtype=np.float32)
    update = make_update(small(), scaling())
    start = update.arrays()
    update(1, 0, sample)
    traced = update._compiled.experimental_get_tracing_count()
    update.restore(start, 0)
    update.rescale(moved, wider)
    result = update(1, 0, sample)
    assert update._compiled.experimental_get_tracing_count() == traced

    fresh = make_eager(CompiledUpdate(small(v_min=-3.0, v_max=3.0), moved, np.random.default_rng(0)))
    expected = fresh(1, 0, sample)
    np.testing.assert_allclose(result.priorities, expected.priorities, rtol=1e-4)
    assert result.sums == pytest.approx(expected.sums, rel=1e-4, abs=2e-5)
    np.testing.assert_array_equal(update.atoms, fresh.atoms)


def test_the_supports_of_targets_and_critics_can_differ():
    # Without bootstrapping the support of the targets has no effect; with it, it has.
    update = make_update(small(), scaling())
    start, terminal = update.arrays(), sample_of(4)
    means = []
    for discount in (0.0, 1.0):
        for target_support in (SUPPORT, 0.5 * SUPPORT):
            update.restore(start, 0)
            update.rescale(scaling(), SUPPORT, target_support)
            sample = terminal._replace(discount=np.full_like(terminal.discount, discount))
            means.append(update(1, 0, sample).sums["target_entropy"])
    assert means[0] == means[1]
    assert means[3] < means[2] - 0.1  # half as wide


def critic_of(arrays, owner):
    return {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(f"{owner}/")}


def test_target_critics_keep_their_weights_while_their_support_differs():
    update = make_update(small(), scaling())
    before, sample = update.arrays(), sample_of(4)
    update.rescale(scaling(), SUPPORT, 0.5 * SUPPORT)
    update(1, 0, sample)
    after = update.arrays()
    for name in critic_of(before, "target_critic"):
        np.testing.assert_array_equal(after[f"target_critic/{name}"], before[f"target_critic/{name}"])
    assert (after["target_actor/dense1/kernel"] != before["target_actor/dense1/kernel"]).any()

    update.copy_critics()
    update.rescale(scaling(), SUPPORT)
    copied = update.arrays()
    assert critic_of(copied, "target_critic").keys() == critic_of(copied, "critic").keys()
    for name, array in critic_of(copied, "critic").items():
        np.testing.assert_array_equal(copied[f"target_critic/{name}"], array)
    update(1, 0, sample)
    assert (update.arrays()["target_critic/dense1/kernel"] != copied["target_critic/dense1/kernel"]).any()


def test_results_hold_the_mean_target_and_the_td_error_in_raw_rewards():
    update = make_update(small(), scaling(reward_scale=10.0))
    sample = sample_of(4)
    sample = sample._replace(reward=np.full_like(sample.reward, 16.0))  # terminal: the target is 1.6, a new critic says 0
    result = update(2, 0, sample)
    assert result.target_mass.sum() == pytest.approx(2.0, abs=1e-5)
    assert result.target_mass @ SUPPORT == pytest.approx(2 * 1.6, abs=1e-4)
    assert result.sums["td_error"] == pytest.approx(2 * 16.0, abs=1.5)


def test_one_critic_keeps_the_names_of_its_arrays():
    update = CompiledUpdate(small(), scaling(), np.random.default_rng(0))
    owners = {"actor", "critic", "target_actor", "target_critic", "actor_optimiser", "critic_optimiser"}
    assert {name.partition("/")[0] for name in update.arrays()} == owners
    layer = {"kernel", "second_kernel", "bias"}
    assert {f"critic/dense2/{name}" for name in layer} <= update.arrays().keys()
    assert {f"critic_optimiser/adam/dense2_{name}_velocity" for name in layer} <= update.arrays().keys()


def test_two_critics_learn_from_one_target():
    update = make_eager(CompiledUpdate(small(num_critics=2), scaling(), np.random.default_rng(0)))
    before = update.arrays()
    result = update(4, 0, sample_of(4))
    after = update.arrays()
    assert result.finite == 4
    for name in ("critic", "critic2"):
        for owner in (name, f"target_{name}"):
            assert not np.array_equal(before[f"{owner}/output/kernel"], after[f"{owner}/output/kernel"])
    assert not np.array_equal(after["critic/output/kernel"], after["critic2/output/kernel"])
    update.critics[1].get_layer("output").bias.assign(np.full(51, np.nan))
    spoilt = update.arrays()
    assert update(4, 0, sample_of(4)).skipped_in_a_row == 4
    assert all(np.array_equal(spoilt[name], array, equal_nan=True) for name, array in update.arrays().items())


# ---- the compiled update that the small learners of the tests share


def test_every_parameter_of_the_update_is_known_as_compiled_or_not():
    sources = [inspect.getsource(part) for part in (CompiledUpdate, ActorCritic, make_head)]
    named = {node.attr for source in sources for node in ast.walk(ast.parse(source)) if is_parameter(node)}
    assert named == {*COMPILED, *NOT_COMPILED}


def is_parameter(node):
    """Whether a node of the syntax tree is `params.name` or `self._params.name`."""
    return isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("params", "self._params")


def test_a_learner_with_a_shared_update_learns_what_one_with_its_own_does():
    params = small(v_min=-3.0, final_layer_init=0.1, actor_learning_rate=1e-4, critic_learning_rate=1e-4)
    earlier, _ = make(small(), bandit(), seed=1)
    earlier.step()
    learner, replay = make(params, bandit(), seed=2)
    own = make_eager(CompiledUpdate(params, learner.scaling.current, np.random.default_rng(2)))
    sample = replay.sample(4, 64, 0.4)
    for update in (learner.update, own):
        update(4, 0, sample)
    for name, array in own.arrays().items():
        np.testing.assert_allclose(learner.update.arrays()[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(learner.update.atoms, own.atoms)


def test_a_learner_that_gave_up_its_update_cannot_be_used():
    earlier, _ = make(small(), bandit())
    make(small(), bandit())
    with pytest.raises(AttributeError, match="update"):
        earlier.step()
