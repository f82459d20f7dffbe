"""Prioritised replay against numbers by hand, the formulas, a plain list, and many threads."""

import sys
import threading

import factories
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.replay.prioritised import ENTRY_DECAY, HIGHEST_PRIORITY
from utils.replay.transitions import TransitionBatch


def make_replay(capacity=8, alpha=1.0, epsilon=1e-5, seed=0):
    return factories.make_replay(capacity, 2, 1, alpha, epsilon, seed)


def block_of(numbers):
    """Transitions that carry their number in every column, each in another way."""
    numbers = np.array(numbers, np.float32)
    obs = np.stack([numbers, numbers + 0.25], axis=1)
    return TransitionBatch(obs, numbers[:, None] + 0.5, -numbers, numbers / 2, obs + 1)


def numbers_of(sample):
    """The numbers of the transitions in a sample, once every column was seen to agree on them."""
    numbers = sample.obs[..., 0]
    np.testing.assert_array_equal(sample.obs[..., 1], numbers + 0.25)
    np.testing.assert_array_equal(sample.action[..., 0], numbers + 0.5)
    np.testing.assert_array_equal(sample.reward, -numbers)
    np.testing.assert_array_equal(sample.discount, numbers / 2)
    np.testing.assert_array_equal(sample.next_obs, sample.obs + 1)
    return numbers


def filled(losses, **given):
    """A replay of as many transitions as losses, with these priorities."""
    replay = make_replay(max(8, len(losses)), **given)
    replay.add(block_of(range(len(losses))))
    replay.update_priorities(np.arange(len(losses)), np.array(losses))
    return replay


def leaves(replay):
    """priority**alpha of each slot in use."""
    assert replay.problems() == []
    return replay._sums.leaves[: len(replay)]


# ---- what is stored where


def test_a_sample_has_the_shapes_and_types_it_promises():
    replay = make_replay()
    replay.add(block_of(range(5)))
    sample = replay.sample(3, 4, 0.4)
    assert {name: column.shape for name, column in sample._asdict().items()} == {
        "ids": (3, 4),
        "obs": (3, 4, 2),
        "action": (3, 4, 1),
        "reward": (3, 4),
        "discount": (3, 4),
        "next_obs": (3, 4, 2),
        "weights": (3, 4),
    }
    assert sample.ids.dtype == np.int64
    assert {column.dtype for column in sample[1:]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("block_length", [1, 3, 7, 8, 9, 30])
def test_an_id_means_the_same_transition_long_after_the_ring_has_wrapped(block_length):
    # Blocks shorter than the ring, as long, and several times as long.
    replay = make_replay(8)
    for first in range(0, 120, block_length):
        replay.add(block_of(range(first, first + block_length)))
        added = first + block_length
        assert replay.added == added
        assert len(replay) == min(added, 8)
        sample = replay.sample(4, 16, 0.5)
        np.testing.assert_array_equal(numbers_of(sample), sample.ids)
        assert set(sample.ids.ravel().tolist()) == set(range(max(0, added - 8), added))  # 16 segments of 8 leaves: all
        assert replay.problems() == []


def test_only_filled_slots_are_drawn():
    replay = make_replay(1000)
    replay.add(block_of([0, 1, 2]))
    assert set(replay.sample(10, 30, 0.5).ids.ravel().tolist()) == {0, 1, 2}


def test_a_ring_of_one_holds_the_newest():
    replay = make_replay(1)
    replay.add(block_of([0, 1, 2]))
    replay.add(block_of([3]))
    sample = replay.sample(1, 4, 1.0)
    assert sample.ids.tolist() == [[3, 3, 3, 3]]
    assert sample.weights.tolist() == [[1, 1, 1, 1]]


def test_a_sample_is_a_copy():
    replay = make_replay(4)
    replay.add(block_of(range(4)))
    sample = replay.sample(1, 8, 0.5)
    replay.add(block_of(range(4, 8)))
    np.testing.assert_array_equal(numbers_of(sample), sample.ids)


def test_an_empty_replay_says_so():
    with pytest.raises(ValueError, match="the replay is empty"):
        make_replay().sample(1, 1, 0.5)
    assert len(make_replay()) == 0
    assert make_replay().mean_priority() == 0.0


# ---- what is drawn, and how it is weighted


def test_losses_become_priorities_by_epsilon_and_alpha():
    replay = filled([0.0, 3.0, 8.0], alpha=0.5, epsilon=1.0)
    np.testing.assert_allclose(leaves(replay), [1, 2, 3])  # (0 + 1)**0.5, (3 + 1)**0.5, (8 + 1)**0.5
    assert replay.mean_priority() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        (0.0, [1, 1, 1]),
        (0.5, [1, 2**-0.5, 3**-0.5]),
        (1.0, [1, 1 / 2, 1 / 3]),  # (3 * 1/6)**-1 = 2, (3 * 2/6)**-1 = 1, (3 * 3/6)**-1 = 2/3, divided by the greatest
    ],
)
def test_weights_by_hand(beta, expected):
    sample = filled([0.0, 3.0, 8.0], alpha=0.5, epsilon=1.0).sample(2, 12, beta)
    np.testing.assert_allclose(sample.weights, np.array(expected)[sample.ids], rtol=1e-6)


def test_weights_are_relative_to_their_batch_and_not_to_all_that_is_stored():
    # One item of 10 000 has a tiny priority and is not drawn: all that are drawn are equal.
    losses = np.full(10_000, 1.0)
    losses[1234] = 1e-3
    sample = filled(losses, epsilon=1e-9).sample(1, 8, 1.0)
    assert 1234 not in sample.ids
    assert (sample.weights == 1).all()


def test_each_batch_divides_by_its_own_greatest_weight():
    # Of two draws in a batch the second is always 2, of priority 14 in 17; the first is any of them.
    sample = filled([0.0, 1.0, 13.0], epsilon=1.0).sample(200, 2, 1.0)
    assert {tuple(ids) for ids in sample.ids.tolist()} == {(0, 2), (1, 2), (2, 2)}
    expected = {0: [1, 1 / 14], 1: [1, 2 / 14], 2: [1, 1]}
    for ids, weights in zip(sample.ids, sample.weights, strict=True):
        np.testing.assert_allclose(weights, expected[int(ids[0])], rtol=1e-6)


def test_each_batch_may_have_a_beta_of_its_own():
    sample = filled([0.0, 3.0, 8.0], alpha=0.5, epsilon=1.0).sample(2, 12, np.array([[0.0], [1.0]]))
    assert (sample.weights[0] == 1).all()
    np.testing.assert_allclose(sample.weights[1], 1 / (sample.ids[1] + 1), rtol=1e-6)


def test_each_draw_comes_from_its_own_segment_of_the_root():
    mass = np.array([1.0, 5.0, 2.0, 0.5, 7.0, 0.5])  # the root is 16: each of 32 segments is 0.5 wide
    sample = filled(mass - 0.25, epsilon=0.25).sample(50, 32, 0.5)
    expected = np.repeat(np.arange(6), (2 * mass).astype(int))
    for ids in sample.ids:
        np.testing.assert_array_equal(ids, expected)


def test_frequencies_follow_priority_to_the_alpha():
    losses, alpha = np.array([0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0]), 0.6
    replay = filled(losses, alpha=alpha, epsilon=0.01)
    drawn = np.bincount(replay.sample(10_000, 7, 0.5).ids.ravel(), minlength=8) / 70_000
    probabilities = (losses + 0.01) ** alpha / ((losses + 0.01) ** alpha).sum()
    # Independent draws would have this deviation; stratified ones have less.
    deviations = np.sqrt(probabilities * (1 - probabilities) / 70_000)
    assert (np.abs(drawn - probabilities) < 4 * deviations).all()


@pytest.mark.parametrize(("alpha", "losses"), [(0.0, [0.0, 1.0, 100.0, 1e4]), (0.6, [0.0, 0.0, 0.0, 0.0])])
def test_alpha_zero_and_losses_of_zero_are_uniform(alpha, losses):
    sample = filled(losses, alpha=alpha).sample(25, 8, 0.7)
    assert (np.sort(sample.ids, axis=1) == np.repeat(np.arange(4), 2)).all()
    assert (sample.weights == 1).all()


def test_the_newest_is_drawn_as_often_as_its_priority_says():
    # The original's sum left the newest out, so that it was never drawn.
    replay = filled([1.0] * 8, epsilon=1e-9)
    assert np.bincount(replay.sample(100, 8, 0.5).ids.ravel()).tolist() == [100] * 8


# ---- how priorities change


def test_before_the_first_loss_all_priorities_are_equal_and_then_those_without_a_loss_get_the_greatest():
    replay = make_replay(8, epsilon=1.0)
    replay.add(block_of([0, 1, 2]))
    np.testing.assert_array_equal(leaves(replay), [1, 1, 1])
    replay.update_priorities(np.array([0]), np.array([np.nan]))  # no loss
    replay.update_priorities(np.array([0, 1]), np.array([5.0, 0.5]))
    np.testing.assert_array_equal(leaves(replay), [6, 1.5, 6])
    replay.update_priorities(np.array([0]), np.array([9.0]))
    np.testing.assert_array_equal(leaves(replay), [10, 1.5, 6])  # this happens once


def test_new_transitions_enter_at_the_decaying_maximum_of_recent_priorities():
    replay = make_replay(8, epsilon=1.0)
    replay.add(block_of([0, 1]))
    replay.update_priorities(np.array([0, 1]), np.array([9.0, 0.5]))
    replay.add(block_of([2]))
    assert leaves(replay)[2] == 10
    for entered in (3, 4):  # the maximum decays from 10 while the losses are smaller than it
        replay.update_priorities(np.array([0, 2]), np.array([0.5, 0.25]))
        replay.add(block_of([entered]))
    np.testing.assert_allclose(leaves(replay)[3:], [10 * ENTRY_DECAY, 10 * ENTRY_DECAY**2])
    for _ in range(100):
        replay.update_priorities(np.array([0, 2]), np.array([0.5, 0.25]))
    replay.add(block_of([5]))
    assert leaves(replay)[5] == 1.5  # it never falls below the last losses
    replay.update_priorities(np.array([0]), np.array([99.0]))
    replay.add(block_of([6]))
    assert leaves(replay)[6] == 100  # and rises at once


def test_losses_that_are_invalid_do_not_decay_the_priority_of_new_transitions():
    replay = filled([9.0], epsilon=1.0)
    for _ in range(10):
        replay.update_priorities(np.array([0]), np.array([np.nan]))
    replay.add(block_of([1]))
    np.testing.assert_array_equal(leaves(replay), [1, 10])


def test_a_transition_overwritten_since_it_was_drawn_is_skipped():
    replay = make_replay(4, epsilon=1.0)
    replay.add(block_of(range(6)))  # 0 and 1 are gone; 4 and 5 have their slots
    replay.update_priorities(np.array([0, 1, 2, 5]), np.array([7.0, 7.0, 2.0, 0.5]))
    np.testing.assert_array_equal(leaves(replay), [3, 1.5, 3, 3])  # slots of 4, 5, 2, 3: what was skipped is no maximum
    assert replay.invalid_priorities == 0


def test_repeated_transition_keeps_its_last_loss():
    replay = make_replay(4, epsilon=1.0)
    replay.add(block_of(range(4)))
    ids, losses = np.array([[0, 1, 1], [2, 1, 0]]), np.array([[9.0, 9.0, 8.0], [3.0, 4.0, 5.0]])
    replay.update_priorities(ids, losses)
    np.testing.assert_array_equal(leaves(replay), [6, 5, 4, 10])


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf, -1e-9])
def test_a_loss_that_is_no_loss_gives_the_lowest_priority_and_is_counted(loss):
    replay = filled([1.0, 2.0], epsilon=1.0)
    replay.update_priorities(np.array([0, 1]), np.array([loss, 4.0]))
    np.testing.assert_array_equal(leaves(replay), [1, 5])  # as a loss of 0
    assert replay.invalid_priorities == 1
    replay.update_priorities(np.array([[1], [1]]), np.array([[6.0], [loss]]))
    np.testing.assert_array_equal(leaves(replay), [1, 1])
    assert replay.invalid_priorities == 2
    replay.add(block_of([2]))
    assert leaves(replay)[2] == 7


def test_a_huge_loss_is_limited_so_that_it_is_not_drawn_for_ever():
    replay = filled([1e300] + [1.0] * 99, alpha=0.6)
    assert leaves(replay)[0] == pytest.approx(HIGHEST_PRIORITY**0.6)
    assert len(set(replay.sample(1, 256, 0.5).ids.ravel().tolist())) > 50
    replay.add(block_of([100]))
    assert leaves(replay).max() == pytest.approx(HIGHEST_PRIORITY**0.6)


def test_updating_nothing_changes_nothing():
    replay = filled([1.0, 2.0], epsilon=1.0)
    replay.update_priorities(np.zeros((0, 4), np.int64), np.zeros((0, 4)))
    np.testing.assert_array_equal(leaves(replay), [2, 3])


def test_float32_losses_are_as_good_as_any():
    replay = filled([1.0, 2.0], epsilon=1.0)
    replay.update_priorities(np.array([[0, 1]]), np.array([[0.5, 3.4e38]], np.float32))
    np.testing.assert_array_equal(leaves(replay), [1.5, HIGHEST_PRIORITY])


class NaiveReplay:
    """The same as a list of everything that was ever added."""

    def __init__(self, capacity, alpha, epsilon):
        self.capacity, self.alpha, self.epsilon = capacity, alpha, epsilon
        self.priorities, self.greatest, self.has_priorities = [], 1.0, False

    def add(self, count):
        self.priorities += [self.greatest] * count

    def update(self, ids, losses):
        kept = [(i, loss) for i, loss in zip(ids, losses, strict=True) if i in self.stored()]
        valid = [min(loss + self.epsilon, HIGHEST_PRIORITY) for _, loss in kept if np.isfinite(loss) and loss >= 0]
        if valid and not self.has_priorities:
            self.priorities, self.greatest, self.has_priorities = [max(valid)] * len(self.priorities), 0.0, True
        for i, loss in kept:
            self.priorities[i] = min(loss + self.epsilon, HIGHEST_PRIORITY) if np.isfinite(loss) and loss >= 0 else self.epsilon
        if valid:
            self.greatest = max(*valid, ENTRY_DECAY * self.greatest)

    def stored(self):
        return range(max(0, len(self.priorities) - self.capacity), len(self.priorities))


losses = st.one_of(st.floats(0.0, 100.0), st.sampled_from([np.nan, np.inf, -1.0, 1e300, 0.0]))
actions = st.lists(
    st.one_of(st.integers(1, 15), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), losses), max_size=12)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10), st.sampled_from([0.0, 0.6, 1.0]), actions)
def test_any_sequence_of_calls_gives_what_a_list_gives(capacity, alpha, calls):
    replay, naive = make_replay(capacity, alpha), NaiveReplay(capacity, alpha, 1e-5)
    for call in [1, *calls]:
        added = len(naive.priorities)
        if isinstance(call, int):
            replay.add(block_of(range(added, added + call)))
            naive.add(call)
        else:
            ids = [int(share * added) for share, _ in call]  # any that ever was, overwritten ones and doubles among them
            replay.update_priorities(np.array(ids, np.int64), np.array([loss for _, loss in call]))
            naive.update(ids, [loss for _, loss in call])
        stored = naive.stored()
        assert len(replay) == len(stored)
        expected = np.array([naive.priorities[i] ** alpha for i in stored])
        np.testing.assert_allclose(leaves(replay)[np.array(stored) % capacity], expected, rtol=1e-12)
        sample = replay.sample(2, 5, 0.5)
        np.testing.assert_array_equal(numbers_of(sample), sample.ids)
        mass = expected[sample.ids - stored[0]]
        np.testing.assert_allclose(sample.weights, (mass.min(axis=1, keepdims=True) / mass) ** 0.5, rtol=1e-5)


# ---- threads


@pytest.fixture
def hasty_threads():
    """Threads take turns as often as they can, so that what can go wrong between them does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_many_writers_and_a_learner_leave_exact_trees_and_no_torn_row():
    writers, blocks, block_length, capacity = 6, 300, 16, 300
    replay = make_replay(capacity, alpha=0.6)
    replay.add(block_of([0.0]))
    go, errors = threading.Barrier(writers + 4), []
    writing = threading.Event()

    def guarded(work):
        def run():
            try:
                go.wait(30)
                work()
            except BaseException as error:
                errors.append(error)

        return run

    def write(writer):
        for first in range(0, blocks * block_length, block_length):
            numbers = 1 + writer * blocks * block_length + first + np.arange(block_length)  # below 2**24: exact in float32
            replay.add(block_of(numbers))

    def learn():
        seen, calls = {}, 0
        rng = np.random.default_rng(1)
        while writing.is_set() or calls < 20:
            sample = replay.sample(2, 32, 0.5)
            for i, number in zip(sample.ids.ravel().tolist(), numbers_of(sample).ravel().tolist(), strict=True):
                assert seen.setdefault(i, number) == number  # an id is one transition always
            assert np.isfinite(sample.weights).all()
            assert sample.weights.min() > 0
            assert sample.weights.max() <= 1
            replay.update_priorities(sample.ids, rng.exponential(size=sample.ids.shape))
            calls += 1

    def reprioritise():
        rng = np.random.default_rng(2)
        while writing.is_set():
            newest = replay.added
            replay.update_priorities(rng.integers(max(0, newest - 100), newest, 64), rng.exponential(size=64))

    def check():
        looks = 0
        while writing.is_set() or looks < 20:
            assert replay.problems() == []
            looks += 1

    writing.set()
    threads = [threading.Thread(target=guarded(lambda writer=writer: write(writer))) for writer in range(writers)]
    others = [threading.Thread(target=guarded(work)) for work in (learn, reprioritise, reprioritise, check)]
    for thread in threads + others:
        thread.start()
    for thread in threads:
        thread.join(60)
    writing.clear()
    for thread in others:
        thread.join(60)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads + others)
    assert replay.added == 1 + writers * blocks * block_length
    assert len(replay) == capacity
    assert replay.problems() == []
    numbers = numbers_of(replay.sample(1, 20 * capacity, 0.5)).ravel()
    assert len(set(numbers.tolist())) > capacity / 2  # many different ones: no thread wrote over another's rows


# ---- snapshots


def rows_of(replay):
    """The counters and the rows of a snapshot."""
    counters, count, chunks = replay.snapshot()
    rows = np.concatenate([np.empty(0, replay.row), *chunks])
    assert len(rows) == count == len(replay)
    return counters, rows


def learnt(capacity=50, added=80, alpha=0.6):
    """A replay that has wrapped, with priorities of its own."""
    replay = make_replay(capacity, alpha=alpha)
    replay.add(block_of(range(added)))
    ids = np.arange(max(0, added - capacity), added, 2)
    replay.update_priorities(ids, np.random.default_rng(3).exponential(size=len(ids)))
    return replay


@pytest.mark.parametrize("added", [0, 1, 20, 50, 80])
def test_a_restored_replay_goes_on_exactly_as_the_one_that_was_saved(added):
    replay, other = learnt(added=added), make_replay(50, alpha=0.6, seed=99)
    other.add(block_of(range(7)))  # what was there goes
    other.restore(*rows_of(replay))
    assert (other.added, len(other)) == (replay.added, len(replay))
    assert other.problems() == []
    assert np.array_equal(leaves(other), leaves(replay))
    for one in (replay, other):
        one.add(block_of(range(500, 503)))
    for _ in range(3):
        first, second = replay.sample(2, 16, 0.5), other.sample(2, 16, 0.5)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        numbers_of(second)


def test_a_snapshot_from_before_the_first_loss_continues_like_the_replay_it_was_taken_from():
    replay, other = make_replay(8, epsilon=1.0), make_replay(8, epsilon=1.0)
    replay.add(block_of([0, 1]))
    other.restore(*rows_of(replay))
    for one in (replay, other):
        one.update_priorities(np.array([0]), np.array([5.0]))
        np.testing.assert_array_equal(leaves(one), [6, 6])


def test_a_snapshot_of_an_older_version_has_priorities():
    replay, other = filled([5.0, 0.5], epsilon=1.0), make_replay(8, epsilon=1.0)
    counters, rows = rows_of(replay)
    del counters["has_priorities"]
    other.restore(counters, rows)
    other.update_priorities(np.array([0]), np.array([2.0]))
    np.testing.assert_array_equal(leaves(other), [3, 1.5])
    other.add(block_of([2]))
    assert leaves(other)[2] == pytest.approx(6 * ENTRY_DECAY)  # its greatest priority is the first maximum


def test_many_chunks_are_put_together_in_order(monkeypatch):
    monkeypatch.setattr("utils.replay.prioritised.CHUNK", 7)
    replay = learnt()
    counters, count, chunks = replay.snapshot()
    assert [len(chunk) for chunk in chunks] == [7] * 7 + [1]
    other = make_replay(50, alpha=0.6)
    other.restore(*rows_of(replay))
    assert np.array_equal(leaves(other), leaves(replay))


@pytest.mark.parametrize(("capacity", "first"), [(20, 60), (64, 30)])
def test_in_a_ring_of_another_size_the_newest_stay_with_their_priorities(capacity, first):
    replay, other = learnt(50, 80), make_replay(capacity, alpha=0.6)
    mass = dict(zip((np.arange(50) + 50 - 50 * (np.arange(50) >= 30)).tolist(), leaves(replay).tolist(), strict=True))
    other.restore(*rows_of(replay))
    stored = other._obs[: len(other), 0]
    assert stored.tolist() == list(range(first, 80))
    np.testing.assert_allclose(leaves(other), [mass[number] for number in stored])
    other.add(block_of([500]))
    assert 500 in numbers_of(other.sample(4, 64, 0.5))
    assert other.problems() == []


@pytest.mark.parametrize(("then", "now", "power"), [(1.0, 0.5, 0.5), (0.5, 1.0, 2.0), (0.6, 0.0, 0.0)])
def test_with_another_alpha_the_priorities_stay_what_they_were(then, now, power):
    replay, other = learnt(alpha=then), make_replay(50, alpha=now)
    other.restore(*rows_of(replay))
    np.testing.assert_allclose(leaves(other), leaves(replay) ** power)
    other.add(block_of([500]))
    assert leaves(other)[other.added % 50 - 1] == pytest.approx(replay._entry_priority**now)


def test_from_an_alpha_of_zero_all_priorities_are_one():
    replay, other = learnt(alpha=0.0), make_replay(50, alpha=0.6)
    other.restore(*rows_of(replay))
    assert leaves(other).tolist() == [1.0] * 50


def spoilt(name, value):
    def spoil(rows):
        rows[name][3] = value
        return rows

    return spoil


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows[:-1],
        lambda rows: np.concatenate([rows, rows[:1]]),
        lambda rows: rows[:, None],
        lambda rows: rows["obs"],
        lambda rows: rows.view("u1"),
        *(spoilt("mass", value) for value in (0.0, -1.0, np.nan, np.inf)),
        *(spoilt(name, value) for name in ("obs", "action", "reward", "discount", "next_obs") for value in (np.nan, -np.inf)),
    ],
)
def test_rows_that_cannot_be_what_was_saved_are_refused_and_change_nothing(damage):
    counters, rows = rows_of(learnt())
    other = make_replay(50, alpha=0.6)
    other.add(block_of(range(9)))
    before = other.snapshot()[0]
    with pytest.raises(ValueError, match="the rows"):
        other.restore(counters, damage(rows))
    assert other.snapshot()[0] == before
    assert sorted(set(numbers_of(other.sample(2, 32, 0.5)).ravel().tolist())) == list(range(9))
    assert other.problems() == []


@pytest.mark.usefixtures("hasty_threads")
def test_a_snapshot_taken_while_four_threads_add_has_no_torn_row(monkeypatch):
    monkeypatch.setattr("utils.replay.prioritised.CHUNK", 64)
    replay, writing = make_replay(1000, alpha=0.6), threading.Event()
    replay.add(block_of(range(1000)))
    writing.set()

    def write(writer):
        number = 1000 * (writer + 1)
        while writing.is_set():
            replay.add(block_of(number + np.arange(16)))
            last = replay.added  # once: the others add meanwhile
            replay.update_priorities(np.arange(last - 8, last), np.full(8, 2.0))
            number += 16

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    try:
        snapshots = [rows_of(replay) for _ in range(30)]
    finally:
        writing.clear()
        for thread in threads:
            thread.join(30)
    for counters, rows in snapshots:
        numbers = rows["obs"][:, 0]
        np.testing.assert_array_equal(rows["reward"], -numbers)
        np.testing.assert_array_equal(rows["next_obs"][:, 1], numbers + 1.25)
        np.testing.assert_array_equal(rows["action"][:, 0], numbers + 0.5)
        other = make_replay(1000, alpha=0.6)
        other.restore(counters, rows)
        assert other.problems() == []
    assert snapshots[-1][0]["added"] > 1000


# ---- the check itself


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda replay: replay._sums.set(np.array([7]), np.array([3.0])), "an empty slot has mass"),
        (lambda replay: replay._sums.set(np.array([1]), np.array([0.0])), "a priority is not a positive number"),
        (lambda replay: replay._sums._nodes.__setitem__(1, 0.5), "node 1 holds 0.5, its children give 3.0"),
    ],
)
def test_problems_sees_what_breaks_an_invariant(damage, said):
    replay = make_replay(8)
    replay.add(block_of([0, 1, 2]))
    assert replay.problems() == []
    damage(replay)
    assert said in replay.problems()
