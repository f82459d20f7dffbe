"""Which spaces can be used, and the bounds of actions."""

import faulty_envs  # noqa: F401  (registers the environments)
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Tuple
from gymnasium.wrappers import ClipAction, RescaleAction

from utils.envs.environment import Environment
from utils.envs.spaces import action_bounds, action_space, check_observations
from utils.envs.spec import EnvSpec
from utils.errors import ParameterError

HALF = Box(np.array([-1.0, 0.0]), np.array([1.0, np.inf]), dtype=np.float64)


def test_a_bound_takes_the_place_of_missing_bounds_only():
    low, high = action_bounds("E", HALF, 5.0)
    assert (low.tolist(), high.tolist(), low.dtype) == ([-1, 0], [1, 5], np.float64)
    low, high = action_bounds("E", Box(-np.inf, np.inf, (2,), np.float32), 0.5)
    assert (low.tolist(), high.tolist(), high.dtype) == ([-0.5, -0.5], [0.5, 0.5], np.float32)


def test_missing_bounds_are_refused_with_the_flag_to_add():
    with pytest.raises(ParameterError, match="unbounded action space .* add --action-bound"):
        action_bounds("E", HALF, None)


def test_a_bound_where_none_is_missing_is_refused():
    with pytest.raises(ParameterError, match="leave out --action-bound"):
        action_bounds("E", Box(-1, 1, (1,)), 2.0)


def test_a_bound_below_the_lower_bound_is_refused():
    with pytest.raises(ParameterError, match="every upper bound must exceed"):
        action_bounds("E", Box(2.0, np.inf, (1,)), 1.0)


def test_the_continuous_version_of_an_environment_is_named():
    with pytest.raises(ParameterError, match="are supported, as of LunarLanderContinuous-v3"):
        action_bounds("LunarLander-v3", Discrete(4), None)
    with pytest.raises(ParameterError, match="discrete ones need another algorithm, such as DQN"):
        action_bounds("CartPole-v1", Discrete(2), None)
    with pytest.raises(ParameterError, match="a --wrapper can flatten these into one Box"):
        action_bounds("E", Tuple([HALF, HALF]), None)


def test_an_image_is_refused_for_being_one():
    with pytest.raises(ParameterError, match="images need a convolutional network"):
        check_observations("E", Box(0, 255, (96, 96, 3), np.uint8))
    check_observations("E", Box(0, 1, (4, 8, 8), np.float32))


def test_bounds_are_read_below_a_wrapper_that_clips_and_so_unbounds_the_actions():
    clipped = ClipAction(EnvSpec("Asymmetric-v0").make().unwrapped)
    assert not np.isfinite(clipped.action_space.high).any()
    assert action_space(clipped).high.tolist() == [0.5, 10, 3]
    assert Environment(clipped, "E").action_high.tolist() == [0.5, 10, 3]
    rescaled = RescaleAction(EnvSpec("Asymmetric-v0").make().unwrapped, np.float32(-2), np.float32(2))
    assert action_space(ClipAction(rescaled)).high.tolist() == [2, 2, 2]
