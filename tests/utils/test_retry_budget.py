"""The budget of restarts: spent one by one, earned back by sound work, with pauses that grow."""

from utils.retry_budget import EARNED_EVERY, LONGEST_PAUSE, RetryBudget


def test_each_pause_is_twice_the_one_before_and_then_the_budget_is_spent():
    restarts = RetryBudget(4)
    assert [restarts.next_pause() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, None, None]


def test_no_pause_is_longer_than_the_longest():
    restarts = RetryBudget(50)
    assert max(restarts.next_pause() for _ in range(50)) == LONGEST_PAUSE


def test_a_large_budget_can_be_used_up():
    budget = RetryBudget(2000)
    assert [budget.next_pause() for _ in range(2001)][-2:] == [LONGEST_PAUSE, None]


def test_a_budget_of_zero_allows_no_restart():
    assert RetryBudget(0).next_pause() is None


def test_successful_steps_restore_restarts_and_shorten_pauses():
    restarts = RetryBudget(2)
    assert [restarts.next_pause(), restarts.next_pause(), restarts.next_pause()] == [0.1, 0.2, None]
    for _ in range(EARNED_EVERY // 16):
        restarts.record_success(16)  # 992 in all
    assert restarts.next_pause() is None
    restarts.record_success(8)
    assert restarts.next_pause() == 0.2
    restarts.record_success(2 * EARNED_EVERY)
    assert restarts.next_pause() == 0.1


def test_restarts_never_exceed_the_budget():
    restarts = RetryBudget(1)
    restarts.record_success(50 * EARNED_EVERY)
    assert [restarts.next_pause(), restarts.next_pause()] == [0.1, None]


def test_one_failure_in_more_than_a_thousand_steps_never_uses_up_the_budget():
    restarts = RetryBudget(3)
    for _ in range(1000):
        restarts.record_success(EARNED_EVERY + 1)
        assert restarts.next_pause() is not None
