"""The check of an environment: its sentences, from numbers written by hand and from tiny environments."""

import faulty_envs  # noqa: F401  (registers them)
import numpy as np
import pytest

from agent.analysis.env_check import SAMPLE_SECONDS, advice, episodes, observations, print_check, repeats, speed, support
from agent.config import resolve
from agent.random_play import RandomPlay, Rollout
from params import HERE, TrainParams
from utils.console import Console
from utils.errors import EnvironmentFailure, ParameterError


def rollout(*rewards, start=0.0, **given):
    obs = [np.full(1, start + i, np.float32) for i in range(len(rewards) + 1)]
    return Rollout(
        obs,
        [np.zeros(1, np.float32)] * len(rewards),
        list(rewards),
        env_steps=len(rewards),
        episode_return=sum(rewards),
        **given,
    )


def printed(capsys, name, **given):
    """The lines of a check of an environment that can be trained on."""
    assert print_check(resolve(TrainParams, {"env": name, **given}), Console()) == 0
    return capsys.readouterr().out.splitlines()


def test_a_healthy_environment_can_be_trained_on(capsys):
    lines = printed(capsys, "Healthy-v0")
    assert lines[:5] == [
        "Observation space: Box(-1.0, 1.0, (1,), float32).",
        "Observations are float32; the networks get them flattened to 1 float32 number.",
        "Action space: Box(-1.0, 1.0, (1,), float32).",
        "An action is 1 number from -1 to 1, given to the environment as float32.",
        "Its registration has no time limit; --max-ep-length is 10,000.",
    ]
    assert {
        "Random actions: 400 environment steps, 50 complete episodes.",
        "Length of an episode: 8 +/- 0 environment steps (mean +/- standard error), at most 8.",
        "Ends of episodes: 50 terminated.",
        "Deterministic: the same seed and 8 actions gave the same steps.",
        "Different seeds give different starts.",
        "Observations will be scaled by their running mean and standard deviation, and clipped.",
    } <= set(lines)
    assert lines[-1] == "Healthy-v0 can be trained on."
    assert not any("Try" in line for line in lines)


def test_a_dict_is_flattened_and_its_types_are_named(capsys):
    lines = printed(capsys, "DictObservation-v0")
    assert "Observations are float32 and int64; the networks get them flattened to 5 float32 numbers." in lines
    assert "Constant dimensions of the observation: 0, 1, 2, 3, 4 (of 0 to 4)." in lines


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"obs_scale": (0.01,)}, "Observations will be scaled by obs_scale (flag): the networks get -9"),
        ({"obs_scale": (0.01,)}, "These inputs are large. Try a larger --obs-scale."),
        ({"normalise_observations": False}, "Observations will not be scaled: the networks get -0.9"),
        ({"action_repeat": 2}, ", with --action-repeat."),
    ],
)
def test_parameters_change_what_will_be_done(capsys, given, says):
    assert any(says in line for line in printed(capsys, "Healthy-v0", **given))


def test_a_failure_is_raised_after_what_is_known(capsys):
    with pytest.raises(EnvironmentFailure, match="failed in step 3 of an episode"):
        print_check(resolve(TrainParams, {"env": "CrashInStep-v0"}), Console())
    lines = capsys.readouterr().out.splitlines()
    assert "Random actions: 2 environment steps, 0 complete episodes." in lines
    assert "No episode has ended. It will be truncated after 10,000 environment steps." in lines
    assert lines[-1].startswith("Training replaces an environment that fails or is silent for 60 seconds")


def test_observations_for_which_a_replay_has_no_room_are_refused():
    with pytest.raises(ParameterError, match="replay-mem-size"):
        print_check(resolve(TrainParams, {"env": "Healthy-v0", "replay_mem_size": 10**10}), Console())


def test_episodes_have_means_and_standard_errors():
    complete = [rollout(1.0, 1.0, truncated=True), rollout(1.0, 2.0, 0.0, 1.0, truncated=True)]
    assert list(episodes([*complete, rollout(5.0)], 4, TrainParams())) == [
        "Random actions: 7 environment steps, 2 complete episodes.",
        "Length of an episode: 3 +/- 1 environment steps (mean +/- standard error), at most 4.",
        "Return of an episode: 3 +/- 1.",
        "Ends of episodes: 1 truncated by the environment, 1 truncated by its time limit.",
        "No episode terminated. If a goal ends your episodes, random actions have not reached it.",
        "Rewards: 0 to 5.",
    ]


def test_an_offset_that_costs_digits_is_named():
    obs = np.array([[0.0, 2.0**24], [1.0, 2.0**24 + 2]], np.float32)
    assert list(observations(obs)) == [
        "Observations: 0 to 1.678e+07.",
        "Dimensions that may lose digits in float32: 1 (of 0 to 1). Subtract an offset or scale them in a --wrapper.",
        "They reach 1.678e+07, where two float32 numbers are 2 apart.",
    ]


def test_unseeded_randomness_is_reported():
    found = RandomPlay(rollouts=[rollout(1.0, 2.0), rollout(1.0)], repeated=rollout(1.0, 3.0))
    assert list(repeats(found)) == [
        "Not deterministic: the same seed and 2 actions differ from action 2 on, so test scores will differ too.",
        "Different seeds give the same start.",
    ]


@pytest.mark.parametrize(
    ("milliseconds", "ratio", "says"),
    [
        (2.0, 128.0, "uses about 400 a second on two cores (--samples-per-insert 128); the environment is fast enough."),
        (10.0, 128.0, "the environment is the bottleneck, and --samples-per-insert 512 would balance the two."),
        (2.0, 32.0, "uses about 1,600 a second"),
    ],
)
def test_the_bottleneck_follows_from_the_ratio(milliseconds, ratio, says):
    played = [rollout(1.0, 1.0, step_seconds=milliseconds / 1000, reset_seconds=milliseconds / 1000)]  # for two steps
    measured, learner = speed(played, TrainParams(samples_per_insert=ratio))
    step = f"{milliseconds / 2:g} ms, a reset {milliseconds:g} ms: {1000 / milliseconds:.0f}"
    assert measured == f"A step takes {step} environment steps a second in one thread."
    assert says in learner


def test_the_learners_time_is_that_of_the_readme():
    readme = (HERE / "README.md").read_text()
    assert f"one learner step: 256 transitions, 51 atoms, 400 and 300 units | {1000 * 256 * SAMPLE_SECONDS:.0f} ms |" in readme
    assert f"step takes longer than {1000 * 128 * SAMPLE_SECONDS} ms is the bottleneck" in readme


def test_no_verdict_on_speed_without_a_ratio():
    assert len(list(speed([rollout(1.0, step_seconds=1.0)], TrainParams(samples_per_insert=0.0)))) == 1


def supported(*rollouts, **given):
    return list(support(rollouts, resolve(TrainParams, {"env": "Healthy-v0", "discount_rate": 0.5, **given})))


def test_an_automatic_support_begins_with_the_returns():
    # Returns 2 and 4, a quarter of the width on either side; no reward allows more than 4 / (1 - 0.5).
    assert supported(rollout(0.0, 4.0, terminated=True)) == [
        "Discounted returns (--discount-rate 0.5): 2 to 4.",
        "The critic's support will be automatic. From these returns alone it would begin as 1.5 to 4.5.",
        "Rewards would be divided by 0.15.",
    ]


@pytest.mark.parametrize(
    ("v_max", "says"),
    [
        (3.0, ["50.0% of these returns lie outside the support."]),
        (5.0, ["0.0% of these returns lie outside the support."]),
        (500.0, ["They span less than the distance of two atoms. Try --automatic-support."]),
    ],
)
def test_a_given_support_is_compared_with_the_returns(v_max, says):
    lines = supported(rollout(0.0, 4.0, terminated=True), v_min=0.0, v_max=v_max / 10, reward_scale=10.0)
    assert lines[1].startswith("The critic's support is given: v_min 0 (flag) and v_max")
    assert set(says) <= set(lines)
    assert ("If those of a trained policy do too, try --automatic-support, or --v-min 0 --v-max 0.45." in lines) == (
        v_max == 3.0
    )


def test_advice_needs_a_measurement():
    assert list(advice([rollout(1.0, terminated=True)], None, TrainParams())) == []
    assert list(advice([rollout(0.0, terminated=True)], None, TrainParams()))[0].startswith("All rewards were 0.")
    endless = "Episodes do not end by themselves. Try --max-ep-length 1000."
    long = rollout(*[1.0] * 1001)
    assert list(advice([long], None, TrainParams())) == [endless]
    assert list(advice([rollout(1.0)], None, TrainParams())) == []  # too short to tell
    assert list(advice([long], 2000, TrainParams())) == []
    assert list(advice([long, rollout(1.0, truncated=True)], None, TrainParams())) == []
