"""Scaling by hand, its limits, and what older checkpoints hold of it."""

from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from factories import make_uneven_scaling as scaling

from agent.scaling import Scaling
from params import TrainParams
from utils.envs.spec import EnvSpec
from utils.errors import ParameterError

LOW, HIGH = scaling().action_low, scaling().action_high


def test_unit_actions_reach_the_bounds_exactly_and_return():
    both = np.array([[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0]], np.float32)
    raw = scaling().to_bounds(both)
    np.testing.assert_array_equal(raw[:2], [[LOW[0], HIGH[1]], [HIGH[0], LOW[1]]])
    np.testing.assert_allclose(raw[2], (LOW + HIGH) / 2, atol=1e-7)
    np.testing.assert_allclose(scaling().to_unit(raw), both, atol=1e-6)


def test_observations_are_centred_divided_and_clipped():
    np.testing.assert_allclose(scaling().normalise(np.array([[3.0, 6.0, 0.45]])), [[1.0, 1.0, -0.5]], atol=1e-6)
    np.testing.assert_allclose(scaling(clip=0.7).normalise(np.array([[3.0, 6.0, 0.45]])), [[0.7, 0.7, -0.5]], atol=1e-6)


def test_scaling_takes_a_number_for_each_dimension():
    env = EnvSpec("Pendulum-v1").make()
    fitted = Scaling.from_env(env, TrainParams(obs_scale=(1.0, 2.0, 8.0), reward_scale=100.0))
    np.testing.assert_array_equal(fitted.obs_scale, [1, 2, 8])
    np.testing.assert_array_equal(fitted.obs_mean, [0, 0, 0])
    np.testing.assert_array_equal(fitted.action_high, [2])
    with pytest.raises(ParameterError, match="obs_scale has 2 numbers"):
        Scaling.from_env(env, TrainParams(obs_scale=(1.0, 2.0)))


def test_a_scaling_cannot_be_changed():
    mean = np.zeros(3, np.float32)
    made = Scaling(mean, np.ones(3, np.float32), np.inf, 1.0, LOW, HIGH)
    mean += 1.0  # the caller's array
    np.testing.assert_array_equal(made.obs_mean, 0.0)
    with pytest.raises(ValueError, match="read-only"):
        made.obs_mean += 1.0
    with pytest.raises(FrozenInstanceError):
        made.reward_scale = 2.0


@dataclass(frozen=True)
class LaterScaling(Scaling):
    """A version with one field more."""

    obs_count: float = 0.0


def test_arrays_of_an_older_version_load_with_the_defaults_of_later_fields():
    arrays = scaling(clip=5.0).arrays()
    loaded = LaterScaling.from_arrays(arrays)
    assert loaded.obs_count == 0.0
    assert loaded.obs_clip == 5.0
    np.testing.assert_array_equal(loaded.action_high, HIGH)
    assert LaterScaling.from_arrays(arrays | {"scaling/obs_count": np.float32(7.0)}).obs_count == 7.0
    with pytest.raises(KeyError, match="reward_scale"):
        LaterScaling.from_arrays({name: array for name, array in arrays.items() if name != "scaling/reward_scale"})


def test_names_in_a_checkpoint_stay():
    names = ("obs_mean", "obs_scale", "obs_clip", "reward_scale", "action_low", "action_high")
    assert list(scaling().arrays()) == [f"scaling/{name}" for name in names]
