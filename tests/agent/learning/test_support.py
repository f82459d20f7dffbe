"""The support: given, or chosen and moved."""

import dataclasses
import json

import numpy as np
import pytest

from agent.config import horizon
from agent.learning.averages import MEMORY, Statistics
from agent.learning.support import (
    AGREEMENT,
    JUDGED,
    PATIENCE,
    SETTLED,
    AutomaticSupport,
    FixedSupport,
    Move,
    make_support,
)
from params import TrainParams
from utils.errors import ParameterError
from utils.replay.returns import Bounds, ReturnRange

AUTOMATIC = TrainParams(env="Env-v0", discount_rate=0.9, num_atoms=11)  # the horizon is 10
GIVEN = TrainParams(env="Env-v0", v_min=-1.0, v_max=1.0, reward_scale=10.0, discount_rate=0.9, num_atoms=11)


def returns(low, high, count=1, rewards=(-100.0, 100.0)):
    return [ReturnRange(low, high, *rewards)] * count


def statistics(below=0.0, above=0.0, td_error=1.0, mass=None):
    return Statistics(below, above, td_error, np.full(11, 1 / 11) if mass is None else np.array(mass))


def begun(low=-10.0, high=10.0, **rewards):
    """A support that has begun with these returns, and the sentences it says."""
    said = []
    support = AutomaticSupport(AUTOMATIC, said.append)
    support.observed.add(returns(low, high, **rewards))
    support.begin()
    return support, said


def judged(support, updates, **means):
    """What comes of so many updates, 8 in a call: the first move, or None."""
    for _ in range(0, updates, 8):
        move = support.judge(statistics(**means), 8)
        if move is not None:
            return move
    return None


def settled(support):
    """Let the target critics follow again after a move."""
    assert judged(support, AGREEMENT + 8, td_error=0.0) == Move(has_agreed=True)


def test_the_parameters_say_which_support_it_is():
    assert isinstance(make_support(GIVEN), FixedSupport)
    assert isinstance(make_support(AUTOMATIC), AutomaticSupport)
    chosen = TrainParams(env="Env-v0", v_min=-1.0, v_max=1.0, automatic_support=True)
    assert isinstance(make_support(chosen), AutomaticSupport)


@pytest.mark.parametrize(("rate", "longest", "expected"), [(0.99, 10_000, 100.0), (1.0, 200, 200.0), (0.999, 200, 200.0)])
def test_the_horizon_is_the_discounted_length_of_an_endless_episode(rate, longest, expected):
    params = TrainParams(env="Env-v0", discount_rate=rate, max_ep_length=longest)
    assert horizon(params) == pytest.approx(expected)


def test_it_begins_with_the_first_returns_and_a_quarter_of_headroom():
    support, said = begun(-10.0, 10.0)
    assert support.bounds == support.target_bounds == Bounds(-15.0, 15.0)
    assert said == ["The support is -15 to 15, chosen from the returns of the first steps."]
    assert support.begin() is None  # once


def test_headroom_ends_where_the_rewards_do():
    support, _ = begun(-8.0, -4.0, rewards=(-0.85, 0.0))
    assert support.bounds == pytest.approx(Bounds(-8.5, -3.0))


@pytest.mark.parametrize(
    ("low", "high", "mean"),
    [
        (-10.0, 10.0, 0.0),
        (-100.0, 20.0, 0.0),  # the middle is below
        (-90.0, -10.0, 0.0 - 2.0),  # a tenth of the width of -110 to 10 remains above
        (10.0, 110.0, 60.0),  # the middle
    ],
)
def test_new_critics_begin_with_0_or_the_middle_where_that_is_higher(low, high, mean):
    support = AutomaticSupport(AUTOMATIC)
    support.observed.add(returns(low, high))
    assert support.begin() == Move(first_mean=pytest.approx(mean))


def test_a_scalar_critic_has_no_first_distribution():
    support = AutomaticSupport(dataclasses.replace(AUTOMATIC, value_head="scalar"))
    support.observed.add(returns(-100.0, 20.0))
    assert support.begin() == Move()


@pytest.mark.parametrize("ranges", [[], returns(0.0, 0.0, rewards=(0.0, 0.0))], ids=["none", "zeros"])
def test_without_rewards_it_begins_with_one_on_either_side(ranges):
    support = AutomaticSupport(AUTOMATIC)
    support.observed.add(ranges)
    support.begin()
    assert support.bounds == Bounds(-1.0, 1.0)


def test_a_constant_reward_gives_a_support_that_has_a_width():
    support, _ = begun(100.0, 100.0, rewards=(10.0, 10.0))
    assert support.bounds == pytest.approx(Bounds(75.0, 100.0))


def test_returns_beyond_a_bound_move_it_at_once_and_the_target_stays():
    support, said = begun(-10.0, 10.0)
    support.observed.add(returns(-10.0, 30.0))
    assert judged(support, 8) == Move(moved_from=Bounds(-15.0, 15.0))
    assert support.bounds == Bounds(-20.0, 40.0)  # from -10 to 30 with 10 on either side
    assert support.target_bounds == Bounds(-15.0, 15.0)
    assert said[1] == "The support moves from -15 to 15 to -20 to 40: returns from -10 to 30 were observed."


def test_a_single_outlier_moves_nothing_and_is_said():
    support, said = begun(-10.0, 10.0)
    support.observed.add(returns(-10.0, 10.0, count=5))
    support.observed.add(returns(-1e5, 10.0, rewards=(-1e5, 1.0)))
    assert judged(support, SETTLED + 800) is None
    assert support.bounds == Bounds(-15.0, 15.0)
    assert said[1:] == ["A return of -1e+05 is far from all others, so the support does not follow it."]


def test_the_targets_follow_when_the_critics_agree_with_them():
    support, _ = begun(-10.0, 10.0)
    judged(support, 80, td_error=0.5)
    support.observed.add(returns(-10.0, 30.0))
    assert judged(support, 8, td_error=0.5) is not None
    # The atoms are 6 apart, so an error of 6.1 is no agreement.
    assert judged(support, AGREEMENT + 800, td_error=6.1) is None
    assert support.target_bounds == Bounds(-15.0, 15.0)
    assert judged(support, 1600, td_error=0.1) == Move(has_agreed=True)
    assert support.target_bounds == support.bounds == Bounds(-20.0, 40.0)


def test_the_targets_follow_after_long_in_any_case():
    support, _ = begun(-10.0, 10.0)
    support.observed.add(returns(-10.0, 30.0))
    judged(support, 8)
    assert judged(support, PATIENCE - 8, td_error=100.0) is None
    assert judged(support, 8, td_error=100.0) == Move(has_agreed=True)


def test_target_mass_beyond_a_side_for_long_makes_it_grow_by_half_of_the_width():
    support, _ = begun(-10.0, 10.0)
    assert judged(support, int(MEMORY) - 8, above=0.02) is None
    assert judged(support, 16, above=0.02) == Move(moved_from=Bounds(-15.0, 15.0))
    assert support.bounds == Bounds(-15.0, 30.0)


def test_target_mass_alone_goes_no_further_than_the_observed_width_beyond_the_returns():
    support, _ = begun(-10.0, 10.0)
    for _ in range(5):
        if judged(support, int(MEMORY) + 16, above=0.5) is not None:
            settled(support)
    assert support.bounds == Bounds(-15.0, 30.0)  # 10 + 20


def test_target_mass_goes_no_further_than_the_rewards_allow():
    support, _ = begun(-10.0, 10.0, rewards=(-2.0, 1.7))
    assert judged(support, int(MEMORY) + 16, above=0.5) is not None
    assert support.bounds == pytest.approx(Bounds(-15.0, 17.0))


def test_a_support_that_is_mostly_unused_shrinks_once_it_has_settled():
    support, said = begun(-100.0, 100.0)
    support.observed.add(returns(-6.0, -2.0, count=50))
    mass = np.zeros(11)
    mass[5] = 1.0  # on the atom 0
    assert judged(support, SETTLED - 16, mass=mass) is None
    assert judged(support, 16, mass=mass) == Move(moved_from=Bounds(-150.0, 150.0))
    assert support.bounds == Bounds(-7.5, 1.5)  # from -6 to 0, with 1.5 on either side
    assert said[1].endswith("-7.5 to 1.5: 99% of the target mass lies between 0 and 0.")


def test_it_does_not_shrink_away_from_a_return_that_was_reached_twice():
    support, _ = begun(-4.0, -2.0)
    support.observed.add([*returns(-4.0, 99.0), *returns(-4.0, 98.0), *returns(-4.0, 0.0, count=200)])
    assert judged(support, 8) is not None
    settled(support)
    mass = np.zeros(11)
    mass[0] = 1.0
    assert judged(support, 2 * SETTLED, mass=mass) is None
    assert support.bounds.high > 98.0


def test_it_does_not_shrink_while_target_mass_needs_it():
    support, _ = begun(-100.0, 100.0)
    support.observed.add(returns(-6.0, -2.0, count=50))
    mass = np.zeros(11)
    mass[[1, 5]] = 0.02, 0.98
    assert judged(support, 3 * SETTLED, mass=mass) is None


def test_a_state_continues_in_the_middle_of_a_move():
    support, _ = begun(-10.0, 10.0)
    judged(support, 80, td_error=0.3)
    support.observed.add(returns(-10.0, 30.0))
    judged(support, 48, td_error=7.7)
    other = AutomaticSupport(AUTOMATIC)
    other.restore(json.loads(json.dumps(support.state())))
    assert other.begin() is None
    for error in np.linspace(7.0, 0.0, 200):
        assert support.judge(statistics(td_error=error), 8) == other.judge(statistics(td_error=error), 8)
        assert support.state() == other.state()
    assert other.target_bounds == Bounds(-20.0, 40.0)


def test_a_given_support_stays_where_it_is():
    support = make_support(GIVEN)
    assert support.bounds == support.target_bounds == Bounds(-10.0, 10.0)  # raw
    support.observed.add(returns(-50.0, 50.0))
    assert support.begin() is None
    assert judged(support, 4 * JUDGED, above=0.8) is None


def test_a_given_support_with_nearly_all_mass_outside_ends_the_training_with_bounds_that_fit():
    support = make_support(GIVEN)
    support.observed.add(returns(2000.0, 4000.0, rewards=(0.0, 500.0)))
    assert judged(support, JUDGED - 8, above=0.97) is None
    with pytest.raises(ParameterError, match=r"97% of the target mass.*--v-min 150 --v-max 450"):
        judged(support, 16, above=0.97)
