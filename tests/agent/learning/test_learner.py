"""The learner on problems with known answers, and its bookkeeping against numbers worked out by hand."""

import threading

import numpy as np
import pytest
from small_learners import bandit, batch_of, make, small

from agent.learning.heads import CategoricalHead
from agent.learning.learner import MetricMeans
from agent.learning.update import METRICS
from agent.policy import Policy
from agent.training.callbacks.logs import GROUPS
from utils.errors import CheckpointError, DivergenceError
from utils.replay.rate_limiter import RateLimiter

pytestmark = pytest.mark.xdist_group("small learners")  # in one worker, which compiles each program once


class CheckpointKeeper:
    """Keeps nothing but when it was asked to, and reloads as often as it is told."""

    def __init__(self, learner=None, reload=lambda: False):
        self.learner, self.reload, self.saved = learner, reload, []

    def save(self):
        self.saved.append(self.learner.learner_step)


def critic_of(learner):
    return learner.snapshot()[1]


DDPG = {"value_head": "scalar"}
TD3 = DDPG | {"num_critics": 2, "policy_delay": 2, "target_noise": 0.2}


@pytest.mark.parametrize(
    "changes",
    [
        {"reward_scale": 0.5, "v_min": -5.0, "v_max": 3.0},
        {"use_batch_norm": True, "target_update_period": 20},
        DDPG,
        TD3,
    ],
    ids=["d4pg", "batch norm", "ddpg", "td3"],
)
def test_a_bandit_is_solved(changes):
    # An actor quicker than its critic would run into the flat end of tanh before the critic knows better, and a critic of few
    # units, which bend where they happen to, would not know the peak. Falling rates end the noise of batch normalisation.
    rates = {"actor_learning_rate": 4e-4, "learning_rate_schedule": "linear", "num_steps_train": 2000}
    learner, _ = make(small(updates_per_call=50, dense2_size=256, **rates, **changes), bandit())
    while learner.learner_step < 2000:
        learner.step()
    assert learner.policy.act(np.ones((1, 1)))[0, 0] == pytest.approx(0.3, abs=0.12)
    assert critic_of(learner).value(np.ones((1, 1)), np.array([[0.3]]))[0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("last_discount", [0.0, 0.5])
@pytest.mark.parametrize("changes", [{}, DDPG, TD3], ids=["d4pg", "ddpg", "td3"])
def test_values_of_a_chain_with_and_without_termination(changes, last_discount):
    # 0 -> 1 -> 2 pays 0.25, 0, 1. The end of 2 is either terminal (discount 0) or bootstraps from state 2 itself.
    # terminal:  V2 = 1, V1 = 0.5 * 1, V0 = 0.25 + 0.5 * 0.5 = 0.5; without: V2 = 1 / (1 - 0.5) = 2, V1 = 1, V0 = 0.75
    expected = {0.0: [0.5, 0.5, 1.0], 0.5: [0.75, 1.0, 2.0]}[last_discount]
    states, n = np.array([[-1.0], [0.0], [1.0]]), 300
    place = np.arange(n) % 3
    action = np.random.default_rng(0).uniform(-1, 1, (n, 1))
    batch = batch_of(
        states[place],
        action,
        np.array([0.25, 0.0, 1.0])[place],
        np.array([0.5, 0.5, last_discount])[place],
        states[[1, 2, 2]][place],
    )
    learner, _ = make(small(updates_per_call=50, dense2_size=256, v_min=-1.0, v_max=3.0, **changes), batch)
    while learner.learner_step < 500:
        learner.step()
    values = critic_of(learner).value(states, learner.policy.act(states))
    np.testing.assert_allclose(values, expected, atol=0.1)


def test_an_actor_follows_its_critic_in_each_state():
    # Two states, of which one wants the action -0.3 and the other 0.3.
    n = 1000
    rng = np.random.default_rng(0)
    side = rng.choice([-1.0, 1.0], (n, 1))
    action = rng.uniform(-1, 1, (n, 1))
    batch = batch_of(side, action, 1.0 - 2.0 * (action - 0.3 * side)[:, 0] ** 2, np.zeros(n), side)
    learner, _ = make(small(updates_per_call=50, dense2_size=256, actor_learning_rate=1e-3), batch)
    while learner.learner_step < 2000:
        learner.step()
    np.testing.assert_allclose(learner.policy.act(np.array([[-1.0], [1.0]])), [[-0.3], [0.3]], atol=0.15)


def test_targets_start_equal_and_follow_softly_by_tau():
    learner, _ = make(small(updates_per_call=1), bandit(), is_eager=True)
    kernel = learner.update.critics[0].get_layer("dense1").kernel
    target = learner.update.target_critics[0].get_layer("dense1").kernel
    before = np.array(target)
    np.testing.assert_array_equal(before, kernel)
    learner.step()
    np.testing.assert_allclose(target, 0.95 * before + 0.05 * np.array(kernel), rtol=1e-5)


def test_hard_copies_fall_on_the_exact_step_within_a_call():
    # Period 3, calls of 2 updates: nothing is copied in the first call, and the second copies after its first update.
    learner, _ = make(small(target_update_period=3, updates_per_call=2), bandit(), is_eager=True)
    target = learner.update.target_actor.get_layer("dense1").kernel
    start = np.array(target)
    learner.step()
    np.testing.assert_array_equal(target, start)
    learner.step()
    copied = np.array(target)
    assert not np.array_equal(copied, start)
    assert not np.array_equal(copied, np.array(learner.update.actor.get_layer("dense1").kernel))  # the fourth update came after


def test_moving_statistics_are_copied_to_the_targets():
    learner, _ = make(small(use_batch_norm=True), bandit(), is_eager=True)
    learner.step()
    for network, target in (
        (learner.update.actor, learner.update.target_actor),
        (learner.update.critics[0], learner.update.target_critics[0]),
    ):
        moving = np.array(network.get_layer("norm1").moving_mean)
        assert moving.any()
        np.testing.assert_array_equal(moving, target.get_layer("norm1").moving_mean)


def test_calls_end_at_checkpoints_and_at_the_last_step():
    learner, _ = make(small(updates_per_call=4, save_ckpt_step=6, num_steps_train=15), bandit())
    assert [learner.updates_due(step) for step in (0, 4, 6, 10, 12, 14, 15)] == [4, 2, 4, 2, 3, 1, 0]
    seen = []
    while learner.updates_due(learner.learner_step):
        learner.step()
        seen.append(learner.learner_step)
    assert seen == [4, 6, 10, 12, 15]
    assert int(learner.update._step) == 15  # the compiled loop counted the same


def test_run_saves_when_due_and_keeps_to_the_limiter():
    learner, _ = make(small(updates_per_call=4, save_ckpt_step=6, num_steps_train=15), bandit())
    limiter, keeper = RateLimiter(0.0, 1, 0.0), CheckpointKeeper(learner)
    assert limiter.may_insert(1000, threading.Event())
    limiter.inserted(1000)
    learner.run(limiter, threading.Event(), keeper)
    assert keeper.saved == [6, 12]
    assert learner.learner_step == 15
    assert limiter.samples == 15 * 64


def test_run_learns_bit_for_bit_what_steps_in_turn_do():
    # Whatever it does beside the call: batches are drawn after the priorities of the call before the last are in.
    params = small(updates_per_call=4, save_ckpt_step=6, num_steps_train=31)
    ahead, _ = make(params, bandit())
    limiter, versions = RateLimiter(0.0, 0, 0.0), []
    keeper = CheckpointKeeper(ahead)
    keeper.save = lambda: versions.append((ahead.learner_step, ahead.policy.version))
    ahead.run(limiter, threading.Event(), keeper)
    assert versions == [(step, step) for step in (6, 12, 18, 24, 30)]
    assert ahead.policy.version == 31
    first, averages = ahead.snapshot()[2], ahead.averages.take()
    in_turn, replay = make(params, bandit())
    drawn = [in_turn._draw(0)]
    while in_turn.updates_due(in_turn.learner_step):
        drawn.append(in_turn._draw(in_turn.learner_step + in_turn.updates_due(in_turn.learner_step)))
        in_turn.step(drawn.pop(0))
    second = in_turn.snapshot()[2]
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert in_turn.averages.take() == averages


def test_run_reloads_after_ten_skipped_updates_and_raises_after_ten_more():
    learner, _ = make(small(), spoilt(slice(None)))
    reloads = []
    keeper = CheckpointKeeper(learner, lambda: reloads.append(learner.learner_step) or True)
    with pytest.raises(DivergenceError, match="learner step 24"):
        learner.run(RateLimiter(0.0, 0, 0.0), threading.Event(), keeper)
    assert reloads == [12]


def test_run_ends_soon_after_stop_while_it_waits_for_data():
    learner, _ = make(small(), bandit())
    stop = threading.Event()
    thread = threading.Thread(target=learner.run, args=(RateLimiter(1.0, 10**6, 10.0), stop, CheckpointKeeper()))
    thread.start()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_beta_rises_linearly_from_start_to_end():
    learner, _ = make(small(priority_beta_start=0.4, priority_beta_end=1.0, num_steps_train=100), bandit())
    assert [learner.beta(step) for step in (0, 50, 100, 200)] == pytest.approx([0.4, 0.7, 1.0, 1.0])


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.01, 0.01]),
        ("cosine", [1.0, (1 + 0.5**0.5) / 2, 0.5, 0.01, 0.01]),
    ],
)
def test_learning_rates_follow_their_schedule_down_to_a_hundredth(schedule, factors):
    learner, _ = make(small(learning_rate_schedule=schedule, num_steps_train=400), bandit())
    assert [learner.rate_factor(step) for step in (0, 100, 200, 400, 500)] == pytest.approx(factors)


def rates_of(learner):
    optimisers = [learner.update._actor_optimiser, *learner.update._critic_optimisers]
    return [float(optimiser.learning_rate) for optimiser in optimisers]


def test_a_schedule_changes_both_rates_without_compiling_again_and_continues_after_a_restore():
    params = small(
        num_steps_train=16,
        learning_rate_schedule="linear",
        critic_learning_rate=2e-3,
        actor_learning_rate=1e-3,
    )
    learner, replay = make(params, bandit())
    learner.step()
    assert rates_of(learner) == pytest.approx([1e-3, 2e-3])
    learner.step()
    assert rates_of(learner) == pytest.approx([0.75e-3, 1.5e-3])
    kept, sample = learner.snapshot()[2], replay.sample(4, 64, 0.5)
    assert not any("learning_rate" in name for name in kept)
    learner.step(sample)
    assert rates_of(learner) == pytest.approx([0.5e-3, 1e-3])
    assert learner.update._compiled.experimental_get_tracing_count() == 1
    first = learner.snapshot()[2]
    other, _ = make(params, bandit(), seed=9)
    other.restore(kept, 8)
    other.step(sample)
    assert rates_of(other) == pytest.approx([0.5e-3, 1e-3])
    second = other.snapshot()[2]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_adams_first_step_is_that_of_the_scheduled_rate():
    params = small(updates_per_call=1, num_steps_train=10, learning_rate_schedule="linear", critic_learning_rate=1e-3)
    learner, _ = make(params, bandit(), is_eager=True)
    start = learner.update.arrays()
    learner.restore(start, 5)  # half way
    learner.step()
    moved = np.abs(learner.update.arrays()["critic/output/bias"] - start["critic/output/bias"])
    assert moved.max() == pytest.approx(0.5e-3, rel=0.01)


def test_a_skipped_update_does_not_stop_the_schedule():
    params = small(num_steps_train=16, learning_rate_schedule="linear", actor_learning_rate=1e-3, critic_learning_rate=2e-3)
    learner, replay = make(params, bandit())
    good = replay.sample(4, 64, 1.0)
    learner.step(good._replace(obs=np.full_like(good.obs, np.nan)))
    learner.step(good)
    assert learner.skipped_updates == 4
    assert rates_of(learner) == pytest.approx([0.75e-3, 1.5e-3])


def test_priorities_become_the_losses_of_the_transitions_drawn():
    # Four transitions whose rewards differ: the losses after one update, computed here in NumPy, are the priorities.
    n = 4
    batch = batch_of(np.ones((n, 1)), np.zeros((n, 1)), [-2.0, -1.0, 1.0, 2.0], np.zeros(n), np.ones((n, 1)))
    learner, replay = make(small(updates_per_call=1, priority_alpha=1.0, num_atoms=5), batch, is_eager=True)
    before = learner.snapshot()[1]
    learner.step()
    log_probs = np.log(before.distribution(batch.obs, batch.action))
    atom = [0, 1, 3, 4]  # where each reward lies on the support -2, -1, 0, 1, 2
    expected = [-log_probs[i, atom[i]] + 1e-5 for i in range(n)]
    np.testing.assert_allclose(replay._sums.leaves[:n], expected, rtol=1e-4)


def test_importance_weights_count_for_the_critic_and_not_for_the_actor():
    learner, replay = make(small(updates_per_call=1), bandit(), is_eager=True)
    start = learner.snapshot()[2]
    sample = replay.sample(1, 64, 0.4)

    def after(weights):
        learner.restore(start, 0)
        learner.step(sample._replace(weights=np.full((1, 64), weights, np.float32)))
        return learner.snapshot()[2]

    heavy, light = after(1.0), after(0.0)
    name = "critic_optimiser/adam/dense1_kernel_momentum"
    assert np.abs(heavy[name]).max() > 0
    np.testing.assert_array_equal(light[name], 0.0)
    assert np.abs(light["actor_optimiser/adam/dense1_kernel_momentum"]).max() > 0


def test_a_saturated_actor_comes_back_by_the_penalty_alone():
    # Far out in its tanh the critic's gradient is zero in float32; the first layers' biases must move all the same.
    for penalty, moves in ((0.0, False), (1e-3, True)):
        learner, _ = make(small(updates_per_call=1, saturation_penalty=penalty), bandit(), is_eager=True)
        learner.update.actor.get_layer("output").bias.assign([100.0])
        learner.step()
        momentum = learner.snapshot()[2]["actor_optimiser/adam/output_bias_momentum"]
        assert bool(momentum[0]) is moves
        if moves:  # Adam's first momentum is 0.1 times the gradient, 2 * penalty * input
            assert momentum[0] == pytest.approx(0.1 * 2 * penalty * 100.0, rel=0.01)


def test_l2_pulls_the_critics_kernels_and_nothing_else():
    learner, replay = make(small(updates_per_call=1, critic_l2_lambda=0.5), bandit(), is_eager=True)
    sample = replay.sample(1, 64, 0.4)
    kernel = np.array(learner.update.critics[0].get_layer("dense1").kernel)
    learner.step(sample._replace(weights=np.zeros((1, 64), np.float32)))
    arrays = learner.snapshot()[2]
    # Adam's first momentum is 0.1 times the gradient, and that of l2 * kernel**2 / 2 is l2 * kernel.
    np.testing.assert_allclose(arrays["critic_optimiser/adam/dense1_kernel_momentum"], 0.1 * 0.5 * kernel, rtol=1e-4)
    np.testing.assert_array_equal(arrays["critic_optimiser/adam/dense1_bias_momentum"], 0.0)


def test_adam_starts_with_steps_of_the_learning_rate():
    learner, _ = make(small(updates_per_call=1, critic_learning_rate=1e-3, actor_learning_rate=1e-4), bandit(), is_eager=True)
    start = learner.snapshot()[2]
    learner.step()
    now = learner.snapshot()[2]
    for network, rate in (("critic", 1e-3), ("actor", 1e-4)):
        moved = np.abs(now[f"{network}/output/bias"] - start[f"{network}/output/bias"])
        assert moved.max() == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("changes", [{"use_batch_norm": True}, {"layer_norm": True}, DDPG, TD3], ids=str)
def test_a_learner_goes_on_from_its_snapshot_as_if_nothing_had_happened(changes):
    params = small(**changes)
    learner, replay = make(params, bandit(), is_eager=True)
    learner.step()
    kept = learner.snapshot()[2]
    sample = replay.sample(4, 64, 0.5)
    learner.step(sample)
    first = learner.snapshot()[2]
    other, _ = make(params, bandit(), seed=9, is_eager=True)
    other.restore(kept, 4)
    assert other.learner_step == 4
    other.step(sample)
    second = other.snapshot()[2]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_restore_names_everything_that_does_not_fit():
    learner, _ = make(small(), bandit())
    arrays = learner.snapshot()[2]
    arrays["actor/dense1/kernel"] = np.zeros((2, 32), np.float32)
    arrays["critic/dense1/bias"] = np.full(32, np.nan, np.float32)
    del arrays["target_actor/output/bias"]
    with pytest.raises(CheckpointError) as caught:
        learner.restore(arrays, 3)
    for name in (
        "actor/dense1/kernel has the shape (2, 32)",
        "critic/dense1/bias is not finite",
        "target_actor/output/bias is",
    ):
        assert name in str(caught.value)


def spoilt(rows):
    """The bandit with observations that no environment may give."""
    batch = bandit()
    batch.obs[rows] = np.nan
    return batch


def weights_of(learner):
    arrays = learner.snapshot()[2]
    return {name: array for name, array in arrays.items() if name.startswith(("actor/", "critic/"))}


@pytest.mark.parametrize("norm", [False, True])
def test_an_update_that_is_not_finite_changes_no_weight_and_is_counted(norm):
    learner, replay = make(small(use_batch_norm=norm), spoilt(slice(None)), is_eager=norm)
    before = weights_of(learner)
    learner.step()
    after = weights_of(learner)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert (learner.learner_step, learner.skipped_updates) == (4, 4)
    assert learner.averages.take() == {}
    assert replay.invalid_priorities == 4 * 64


@pytest.mark.parametrize("changes", [{}, {"use_batch_norm": True}, {"target_update_period": 1}])
def test_an_update_in_which_only_the_actor_is_not_finite_changes_no_array(changes):
    learner, replay = make(small(updates_per_call=1, saturation_penalty=1e-3, **changes), bandit(), is_eager=True)
    learner.step()  # moments that are not zero
    learner.update.actor.get_layer("output").bias.assign([1e30])  # its square is infinite in float32
    before = learner.update.arrays()
    learner.step()
    after = learner.update.arrays()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == []
    assert (learner.learner_step, learner.skipped_updates) == (2, 1)
    assert np.isfinite(replay._sums.leaves).all()


def test_a_few_spoilt_transitions_do_not_keep_it_from_learning():
    learner, replay = make(small(updates_per_call=50, dense2_size=256, actor_learning_rate=4e-4), spoilt([0, 500]))
    for _ in range(40):
        learner.step()
    assert 0 < learner.skipped_updates < 200  # of 2 000: they are drawn as seldom as can be
    assert learner.policy.act(np.ones((1, 1)))[0, 0] == pytest.approx(0.3, abs=0.15)


def test_after_ten_skipped_updates_in_a_row_the_numbers_are_bad():
    learner, _ = make(small(), spoilt(slice(None)))
    learner.step()
    learner.step()
    with pytest.raises(DivergenceError, match="no longer finite at learner step 12"):
        learner.advance(CheckpointKeeper())


def test_finite_update_resets_the_count_of_skipped_updates():
    learner, replay = make(small(), bandit())
    good, bad = replay.sample(4, 64, 1.0), None
    bad = good._replace(obs=np.full_like(good.obs, np.nan))
    for sample in (bad, bad, good, bad, bad):
        learner.step(sample)
    assert learner.skipped_updates == 16


def test_the_last_checkpoint_is_reloaded_once_and_then_it_is_over():
    learner, _ = make(small(), spoilt(slice(None)))
    reloads = []
    keeper = CheckpointKeeper(learner, lambda: reloads.append(learner.learner_step) or True)
    for _ in range(5):
        learner.advance(keeper)
    with pytest.raises(DivergenceError, match="learner step 24"):
        learner.advance(keeper)
    assert reloads == [12]


def test_without_a_checkpoint_there_is_nothing_to_reload():
    learner, _ = make(small(), spoilt(slice(None)))
    learner.step()
    learner.step()
    with pytest.raises(DivergenceError):
        learner.advance(CheckpointKeeper(learner))


def test_weights_that_are_not_finite_are_never_saved():
    learner, _ = make(small(), bandit())
    learner.update.actor.get_layer("dense1").kernel.assign(np.full((1, 32), np.nan))
    with pytest.raises(DivergenceError, match="not saved"):
        learner.snapshot()


def test_published_policy_is_complete_and_immutable():
    learner, _ = make(small(), bandit())
    assert learner.policy is None
    learner.step()
    first = learner.policy
    arrays = {name: array.copy() for name, array in first.arrays().items()}
    learner.step()
    assert learner.policy is not first
    assert (first.version, learner.policy.version) == (4, 8)
    assert all(np.array_equal(arrays[name], array) for name, array in first.arrays().items())
    assert isinstance(first, Policy)


def test_metrics_of_an_update_by_hand():
    # The support is -2, -1, 0, 1, 2 in scaled rewards. Rewards are divided by 2: two transitions land on an atom, with entropy
    # 0, and two half way between two atoms, with entropy log 2.
    n = 4
    batch = batch_of(np.ones((n, 1)), np.zeros((n, 1)), [-2.0, 2.0, -1.0, 3.0], np.zeros(n), np.ones((n, 1)))
    params = small(updates_per_call=1, num_atoms=5, reward_scale=2.0, saturation_penalty=0.01, batch_size=n)
    learner, replay = make(params, batch, is_eager=True)
    learner.update.actor.get_layer("output").bias.assign([3.0])  # tanh(3) = 0.995
    actor, critic = learner.snapshot()[:2]
    sample = replay.sample(1, n, 0.4)
    rows = sample.ids[0]
    learner.step(sample._replace(weights=np.full((1, n), 0.25, np.float32)))
    target = np.array([[0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 0, 0.5, 0.5]])[rows]
    cross_entropy = -(target * np.log(critic.distribution(batch.obs, batch.action))).sum(axis=1).mean()
    entropy = np.log(2) * (rows >= 2).mean()
    mean_q = critic_of(learner).value(batch.obs, actor.act(batch.obs)).mean()  # the critic just updated, raw rewards
    tanh_input = np.arctanh(actor.act(batch.obs)[0, 0].astype(np.float64))
    means = learner.averages.take()
    assert means == pytest.approx(
        {
            "critic_loss": cross_entropy,
            "kl_divergence": cross_entropy - entropy,
            "target_entropy": entropy,
            "mean_importance_weight": 0.25,
            "actor_loss": 0.01 * tanh_input**2 - mean_q / 2.0,
            "saturated_actions": 1.0,
            "mean_q": mean_q,
            "td_error": np.abs(batch.reward - critic.value(batch.obs, batch.action))[rows].mean(),
            "target_mass_below": 0.0,
            "target_mass_above": 0.0,
        },
        rel=1e-3,
        abs=1e-6,
    )


def test_every_metric_has_a_place_in_tensorboard():
    assert {*METRICS, *CategoricalHead.METRICS} <= GROUPS.keys()


def test_averages_lose_no_update_when_another_thread_takes_them():
    averages, taken = MetricMeans(), []
    taker = threading.Thread(target=lambda: taken.append(averages.take()))

    class TakenMeanwhile(float):
        def __radd__(self, other):
            taker.start()
            taker.join(0.2)  # without a lock it would end here
            return other + float(self)

    averages.add({"loss": 2.0}, 1)
    averages.add({"loss": TakenMeanwhile(6.0)}, 1)
    taker.join(60)
    assert taken == [{"loss": 4.0}]
    assert averages.take() == {}


def test_averages_are_means_over_updates_since_they_were_taken():
    learner, _ = make(small(v_min=-3.0), bandit())
    assert learner.averages.take() == {}
    learner.step()
    means = learner.averages.take()
    assert means["critic_loss"] > 0
    assert -3 < means["mean_q"] < 2
    assert (means["target_mass_below"], means["target_mass_above"]) == (0.0, 0.0)
    assert learner.averages.take() == {}
