"""Ranges of observed discounted returns."""

import pytest

from utils.replay.returns import WINDOW, Bounds, ObservedReturns, ReturnRange, ReturnTracker


def tracker(longest=100, horizon=10.0):
    return ReturnTracker(discount_rate=0.5, longest=longest, horizon=horizon)


def ranges(*returns):
    return [ReturnRange(low, high, low, high) for low, high in returns]


def test_terminated_episode_has_the_returns_of_its_rewards():
    steps = tracker()
    assert steps.push(1.0, False, False) is None
    assert steps.push(-2.0, False, False) is None
    # From the last step 4; from the one before -2 + 0.5 * 4 = 0; from the first 1 + 0.5 * 0 = 1.
    assert steps.push(4.0, True, False) == ReturnRange(0.0, 4.0, -2.0, 4.0)


def test_truncated_episode_continues_with_its_mean_reward():
    steps = tracker(horizon=2.0)
    steps.push(1.0, False, False)
    # The mean reward 2 for 2 more steps: 4. From the last step 3 + 0.5 * 4 = 5, from the first 1 + 0.5 * 5 = 3.5.
    assert steps.push(3.0, False, True) == ReturnRange(3.5, 5.0, 1.0, 3.0)


def test_long_episode_comes_in_pieces_that_continue_with_the_mean_of_the_episode_so_far():
    steps = tracker(longest=2, horizon=2.0)
    assert steps.push(1.0, False, False) is None
    assert steps.push(1.0, False, False) == ReturnRange(2.0, 2.0, 1.0, 1.0)
    assert steps.push(4.0, False, False) is None
    # The mean of four rewards is 2: 2 + 0.5 * 4 = 4 and 4 + 0.5 * 4 = 6.
    assert steps.push(2.0, False, False) == ReturnRange(4.0, 6.0, 2.0, 4.0)
    assert steps.push(0.0, True, False) == ReturnRange(0.0, 0.0, 0.0, 0.0)


def test_bounds_are_those_of_the_last_window():
    observed = ObservedReturns()
    assert observed.bounds() is None
    observed.add(ranges((-100.0, 1.5), (-100.0, 1.0)))
    observed.add(ranges(*[(-1.0, 2.0)] * WINDOW))
    assert observed.bounds() == Bounds(-1.0, 2.0)
    assert observed.extremes() == Bounds(-100.0, 2.0)


def test_a_return_that_was_reached_twice_is_kept_and_is_no_outlier_later():
    observed = ObservedReturns()
    observed.add(ranges((-3.0, 99.0), *[(-3.0, 0.0)] * WINDOW))
    assert observed.bounds() == Bounds(-3.0, 0.0)  # once
    observed.add(ranges((-3.0, 98.0), *[(-3.0, 0.0)] * WINDOW))
    assert observed.bounds() == Bounds(-3.0, 98.0)
    observed.add(ranges((-3.0, 98.0), *[(-3.0, 0.0)] * (WINDOW - 1)))
    assert observed.new_outliers() == []


def test_a_single_outlier_is_left_out_and_reported_once():
    observed = ObservedReturns()
    observed.add(ranges((-1.0, 0.0), (-2.0, 1.0), (-1e5, 0.5)))
    assert observed.bounds() == Bounds(-2.0, 1.0)
    assert observed.new_outliers() == [-1e5]
    assert observed.new_outliers() == []


def test_a_second_far_return_counts():
    observed = ObservedReturns()
    observed.add(ranges((-1.0, 0.0), (-2.0, 1.0), (-1.0, 100.0), (-1.0, 90.0)))
    assert observed.bounds() == Bounds(-2.0, 100.0)
    assert observed.new_outliers() == []


@pytest.mark.parametrize(("crashes", "low"), [(5, -10.0), (6, -90.0)])
def test_the_least_returns_of_a_tenth_of_the_ranges_do_not_count(crashes, low):
    observed = ObservedReturns()
    observed.add(ranges(*[(-90.0, 0.0)] * crashes, *[(-10.0, 0.0)] * (WINDOW - crashes)))
    assert observed.bounds() == Bounds(low, 0.0)


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [((-1.0, -0.5), (-10.0, 0.0)), ((0.5, 2.0), (0.0, 20.0)), ((-1.0, 2.0), (-10.0, 20.0))],
)
def test_limits_are_the_extreme_rewards_for_an_endless_episode(rewards, expected):
    observed = ObservedReturns()
    observed.add([ReturnRange(0.0, 0.0, *rewards)])
    assert observed.limits(horizon=10.0) == Bounds(*expected)


def test_state_restores_the_ranges():
    observed, other = ObservedReturns(), ObservedReturns()
    observed.add(ranges((-1.0, 0.25), (-2.0, 1.0)))
    other.restore(observed.state())
    assert other.bounds() == observed.bounds() == Bounds(-2.0, 1.0)
