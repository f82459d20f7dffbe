"""What changes an environment for the training alone, and that returns and counts stay those of the environment."""

import faulty_envs  # noqa: F401  (registers the environments)
import numpy as np
import pytest

from utils.envs.spec import EnvSpec
from utils.errors import EnvironmentFailure, ParameterError
from utils.replay.transitions import rollout

ZERO = np.zeros(1, np.float32)
SPEC = EnvSpec("Deaf-v0", {"length": 4}, action_repeat=2)  # rewards 1 in each step


def step_of(**training):
    env = SPEC.make(**training)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(ZERO)
    return reward, info


def test_without_anything_for_the_training_the_reward_is_the_raw_one():
    reward, info = step_of()
    assert (reward, info["env_steps"], "raw_reward" in info) == (2.0, 2, False)


def test_wrappers_of_the_training_change_the_reward_and_not_the_raw_one():
    reward, info = step_of(train_wrappers=("faulty_envs:DoubledReward", "faulty_envs:OneMore"))
    assert (reward, info["raw_reward"]) == (2 * (2 * 1.0 + 1), 2.0)


def test_each_reward_is_clipped_before_those_of_a_repeated_action_are_summed():
    assert step_of(reward_clip=(-1.0, 0.25))[0] == 0.5
    assert step_of(train_wrappers=("faulty_envs:DoubledReward",), reward_clip=(0.0, 1.5))[0] == 3.0


def test_steps_that_a_wrapper_of_the_training_takes_are_counted():
    reward, info = step_of(train_wrappers=("faulty_envs:Twice",))
    assert (reward, info["env_steps"], info["raw_reward"]) == (4.0, 4, 4.0)


def test_rollout_hands_on_the_raw_reward():
    env = SPEC.make(reward_clip=(-1.0, 0.25))
    _, step = next(rollout([env], lambda obs: np.zeros((1, 1), np.float32), lambda: 0))
    assert (step.reward, step.raw_reward, step.env_steps) == (0.5, 2.0, 2)


def test_a_wrapper_of_the_training_must_leave_the_spaces():
    with pytest.raises(ParameterError, match="changes the observation_space .* --wrapper is for such"):
        SPEC.make(train_wrappers=("gymnasium.wrappers:TimeAwareObservation",))


@pytest.mark.parametrize(
    ("wrapper", "kind", "said"),
    [
        ("faulty_envs:no_environment", ParameterError, "the wrapper faulty_envs:no_environment returned str"),
        ("gymnasium.wrappers:TransformReward", ParameterError, "the wrapper gymnasium.wrappers:TransformReward cannot be used"),
        ("faulty_envs:failing_wrapper", EnvironmentFailure, "the wrapper faulty_envs:failing_wrapper failed: RuntimeError"),
    ],
)
@pytest.mark.parametrize("is_for_training", [False, True])
def test_a_wrapper_that_fails_is_named(is_for_training, wrapper, kind, said):
    spec = EnvSpec("Healthy-v0", wrappers=() if is_for_training else (wrapper,))
    with pytest.raises(kind, match=said):
        spec.make(train_wrappers=(wrapper,) if is_for_training else ())


def test_a_faulty_environment_fails_within_wrappers_of_the_training_as_it_does_without():
    env = EnvSpec("NanReward-v0").make(train_wrappers=("faulty_envs:DoubledReward",), reward_clip=(-1.0, 1.0))
    env.reset(seed=0)
    env.step(ZERO)
    env.step(ZERO)
    with pytest.raises(EnvironmentFailure, match="NanReward-v0 returned the reward nan in step 3 of an episode"):
        env.step(ZERO)
