"""Random play: what is measured of tiny environments, and within which time."""

import time

import faulty_envs  # noqa: F401  (registers them)
import numpy as np
import pytest

from agent.random_play import REPEATED, Rollout, discounted_returns, end_of, first_difference, lost_digits, measure
from params import TrainParams
from utils.errors import DependencyError, EnvironmentFailure, ParameterError


def measured(name, seconds=5.0, patience=5.0, **given):
    return measure(TrainParams(env=f"{name}-v0", **given), seconds, patience)


def rollout(*rewards, **given):
    zeros = [np.zeros(1, np.float32)] * (len(rewards) + 1)
    return Rollout(zeros, zeros[1:], list(rewards), env_steps=len(rewards), episode_return=sum(rewards), **given)


def test_each_rollout_is_an_episode_from_a_seed_of_its_own():
    found = measured("Healthy")
    assert (found.failure, found.call, found.own_limit) == (None, None, None)
    assert {(one.terminated, one.env_steps, len(one.obs)) for one in found.rollouts} == {(True, 8, 9)}
    starts = {float(one.obs[0][0]) for one in found.rollouts}
    assert len(starts) == len(found.rollouts) == 50


def test_action_repeat_counts_environment_steps():
    (one, *_) = measured("Healthy", action_repeat=4).rollouts
    assert (len(one.actions), one.env_steps) == (2, 8)


def test_a_return_is_that_of_the_environment_and_rewards_are_those_of_the_training():
    one, clipped = (measured("Deaf", **given).rollouts[0] for given in ({}, {"reward_clip": (-0.5, 0.5)}))
    assert (one.rewards, one.episode_return) == ([1.0] * 8, 8.0)
    assert (clipped.rewards, clipped.episode_return) == ([0.5] * 8, 8.0)


def test_a_seeded_environment_repeats_itself_and_one_with_a_memory_does_not():
    seeded, other = measured("Healthy"), measured("OneArray")
    assert first_difference(seeded.rollouts[0], seeded.repeated) is None
    assert first_difference(other.rollouts[0], other.repeated) == 0


def test_an_endless_environment_is_truncated_and_repeated_in_part():
    found = measured("Endless", max_ep_length=200)
    assert found.rollouts[0].truncated
    assert len(found.repeated.actions) == REPEATED
    assert first_difference(found.rollouts[0], found.repeated) is None


@pytest.mark.parametrize(("name", "limit"), [("TimeLimited", 6), ("Healthy", None)])
def test_the_time_limit_is_that_of_the_registration(name, limit):
    assert measured(f"faulty_envs:{name}").own_limit == limit


@pytest.mark.parametrize(
    ("name", "steps", "says"),
    [
        ("CrashInStep", 2, "failed in step 3 of an episode"),
        ("NanReward", 2, "returned the reward nan in step 3"),
        ("NanObservation", 2, "returned the observation"),
        ("CrashInReset", 8, "failed in a reset"),
        ("CrashInClose", 400, None),
    ],
)
def test_a_failure_is_noted_beside_the_steps_before_it(name, steps, says):
    found = measured(name)
    assert sum(one.env_steps for one in found.rollouts) == steps
    assert says is None if found.failure is None else says in str(found.failure)


@pytest.mark.parametrize(
    ("name", "error"),
    [("CrashInMake", EnvironmentFailure), ("NeedsPackage", DependencyError), ("DiscreteAction", ParameterError)],
)
def test_an_environment_that_cannot_be_made_raises(name, error):
    with pytest.raises(error):
        measured(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("HangInStep", "has not returned from a step for 0.2 seconds"),
        ("HangInReset", "has not returned from a reset"),
        ("HangInClose", "the simulator exploded"),  # in a step, before it
    ],
)
def test_a_call_that_hangs_is_left_behind(name, says):
    began = time.monotonic()
    assert says in str(measured(name, 0.2, 0.2).failure)
    assert time.monotonic() - began < 2.0


def test_a_slow_environment_is_not_played_for_longer():
    began = time.monotonic()
    found = measured("Slow", seconds=0.4)
    assert time.monotonic() - began < 1.5
    assert found.failure is None
    assert [one.has_ended for one in found.rollouts] == [False, False]
    assert 1 <= len(found.repeated.actions) <= len(found.rollouts[0].actions) <= 11  # of 20 ms, in half of the time


def test_rollouts_differ_where_observation_reward_or_end_does():
    one = rollout(1.0, 2.0, 3.0)
    assert first_difference(one, rollout(1.0, 2.0)) is None
    assert first_difference(one, rollout(1.0, 2.5, 3.0)) == 2
    assert first_difference(one, rollout(1.0, 2.0, terminated=True)) == 2
    assert first_difference(rollout(1.0, terminated=True), rollout(1.0, terminated=True)) is None


def test_returns_are_discounted_and_continue_with_the_mean_reward_after_a_truncation():
    params = TrainParams(discount_rate=0.5)  # an endless episode is 2 rewards long
    assert discounted_returns(rollout(1.0, 2.0, terminated=True), params) == [2.0, 2.0]
    assert discounted_returns(rollout(1.0, 2.0, truncated=True), params) == [1.0 + 0.5 * 3.5, 2.0 + 0.5 * 3.0]


def test_the_end_of_an_episode_is_named():
    params = TrainParams(max_ep_length=2)
    assert end_of(rollout(1.0, terminated=True), 1, params) == "terminated"
    assert end_of(rollout(1.0, truncated=True), 1, params) == "truncated by its time limit"
    assert end_of(rollout(1.0, 1.0, truncated=True), 5, params) == "truncated by --max-ep-length"
    assert end_of(rollout(1.0, truncated=True), None, params) == "truncated by the environment"


def test_constant_huge_and_offset_dimensions_are_found():
    spread = np.array([-1.0, 0.0, 1.0])
    obs = np.stack([spread, 0 * spread + 5.0, 2e6 * spread, 1e5 + spread, 1e3 + spread, 0 * spread + 1e9], axis=1)
    constant, large = lost_digits(obs.astype(np.float32))
    assert constant.tolist() == [False, True, False, False, False, True]
    assert large.tolist() == [False, False, True, True, False, True]
