"""The budget of restarts: spent one by one, earned back by sound work, with pauses that grow."""

from utils.restarts import EARNED_EVERY, LONGEST_PAUSE, Restarts


def test_each_pause_is_twice_the_one_before_and_then_the_budget_is_spent():
    restarts = Restarts(4)
    assert [restarts.spend() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, None, None]


def test_no_pause_is_longer_than_the_longest():
    restarts = Restarts(50)
    assert max(restarts.spend() for _ in range(50)) == LONGEST_PAUSE


def test_a_budget_of_nothing_bears_nothing():
    assert Restarts(0).spend() is None


def test_sound_steps_give_restarts_back_and_shorten_the_pauses_again():
    restarts = Restarts(2)
    assert [restarts.spend(), restarts.spend(), restarts.spend()] == [0.1, 0.2, None]
    for _ in range(EARNED_EVERY // 16):
        restarts.earn(16)  # 992 in all
    assert restarts.spend() is None
    restarts.earn(8)
    assert restarts.spend() == 0.2
    restarts.earn(2 * EARNED_EVERY)
    assert restarts.spend() == 0.1


def test_nobody_earns_more_than_the_budget():
    restarts = Restarts(1)
    restarts.earn(50 * EARNED_EVERY)
    assert [restarts.spend(), restarts.spend()] == [0.1, None]


def test_what_fails_less_than_once_in_a_thousand_steps_goes_on_for_ever():
    restarts = Restarts(3)
    for _ in range(1000):
        restarts.earn(EARNED_EVERY + 1)
        assert restarts.spend() is not None
