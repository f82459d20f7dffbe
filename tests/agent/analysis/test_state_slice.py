"""Planes: what is drawn over what, and back."""

import numpy as np
import pytest

from agent.analysis.state_slice import action_names, by_variation, observation_names, observation_slice, state_slice, two_dims
from utils.envs.spec import EnvSpec


def test_pendulums_plane_is_angle_and_speed():
    plane = state_slice("Pendulum-v1")
    grid = plane.grid(3)
    assert grid.shape == (9, 3)
    np.testing.assert_allclose(grid[0], [-1, 0, -8], atol=1e-6)  # hanging, as fast as it gets
    np.testing.assert_allclose(grid[4], [1, 0, 0], atol=1e-6)  # upright and still
    np.testing.assert_allclose(grid[5], [-1, 0, 0], atol=1e-6)  # along x first
    angle, speed = plane.locate(np.array([[0.0, 1.0, 3.0]]))
    assert (angle[0], speed[0]) == (pytest.approx(np.pi / 2), 3.0)


def test_pendulums_plane_shows_what_the_environment_observes():
    env = EnvSpec("Pendulum-v1").make()
    obs, _ = env.reset(seed=5)
    plane = state_slice("Pendulum-v1")
    np.testing.assert_allclose(plane.observe(*plane.locate(obs[None]))[0], obs, atol=1e-6)


def test_other_environments_have_no_such_plane():
    assert state_slice("LunarLanderContinuous-v3") is None


def test_two_dimensions_vary_and_the_others_are_held():
    low, high = np.array([-1.0, -2.0, -3.0]), np.array([1.0, 2.0, 3.0])
    plane = observation_slice(["a", "b", "c"], 2, 0, np.array([7.0, 0.25, 9.0]), low, high)
    assert [(axis.name, axis.low, axis.high) for axis in (plane.x, plane.y)] == [("c", -3.0, 3.0), ("a", -1.0, 1.0)]
    np.testing.assert_array_equal(plane.grid(2), [[-1, 0.25, -3], [-1, 0.25, 3], [1, 0.25, -3], [1, 0.25, 3]])
    assert plane.held == "held at b 0.25"


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "LunarLanderContinuous-v3", "BipedalWalker-v3"])
def test_the_dimensions_of_known_environments_have_names(env_id):
    env = EnvSpec(env_id).make()
    names = observation_names(env_id, env.obs_size) + action_names(env_id, env.action_size)
    assert len(names) == env.obs_size + env.action_size
    assert not any(name.startswith(("observation", "action")) for name in names)


def test_the_dimensions_of_other_environments_have_numbers():
    assert observation_names("Toy-v0", 2) == ["observation 0", "observation 1"]
    assert action_names("Pendulum-v1", 2) == ["action 0", "action 1"]  # a wrapped one, of another size


def test_dimensions_are_ordered_by_their_variation_in_units_of_their_scale():
    # Standard deviations 1, 5 and 0.5 by hand; the last dimension is a flag.
    obs = np.array([[-1.0, -5.0, -0.5, 0], [1.0, 5.0, 0.5, 100], [0, 0, 0, 0], [0, 0, 0, 100]])
    assert by_variation(obs, np.ones(4)) == [1, 0, 2, 3]
    assert by_variation(obs, np.array([1.0, 10.0, 0.1, 1.0])) == [2, 0, 1, 3]  # 0.7, 0.35 and 3.5


def test_a_dimension_that_is_not_given_is_the_first_that_is_free():
    order = [4, 2, 0]
    assert two_dims(None, None, order) == (2, 4)  # the lower number along x
    assert two_dims(4, None, order) == (4, 2)
    assert two_dims(None, 4, order) == (2, 4)
    assert two_dims(None, 0, order) == (4, 0)
    assert two_dims(7, 1, order) == (7, 1)
