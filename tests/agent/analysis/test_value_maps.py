"""Value maps, against the critic asked one state at a time."""

import time

import numpy as np
import pytest
from factories import save_checkpoint as save

from agent.analysis.state_slice import state_slice
from agent.analysis.value_maps import ACTIONS, LAYERS, action_grid, draw_maps, value_maps
from agent.policy import Critic, Policy
from params import HERE
from utils.envs.spec import EnvSpec

PLANE = state_slice("Pendulum-v1")


@pytest.fixture
def networks(tmp_path):
    path = save(tmp_path / "Pendulum-v1.ckpt-1", EnvSpec("Pendulum-v1").make())
    return Policy.load(path), Critic.load(path)


def test_each_map_equals_policy_and_critic_in_that_state(networks):
    policy, critic = networks
    maps = value_maps(policy, critic, PLANE, "torque (N m)", resolution=7)
    tried = action_grid(critic)
    for row, column in ((0, 0), (2, 5), (6, 3)):
        obs = PLANE.observe(np.linspace(-np.pi, np.pi, 7)[[column]], np.linspace(-8, 8, 7)[[row]]).astype(np.float32)
        action = policy.act(obs)
        q = np.array([critic.value(obs, one[None])[0] for one in (*tried, action[0])])
        (probs,) = critic.distribution(obs, action)
        step = np.float32(0.04)
        expected = {
            "policy_value": q[-1],
            "best_value": q.max(),
            "value_spread": q.max() - q.min(),
            "return_deviation": np.sqrt(probs @ critic.atoms**2 - (probs @ critic.atoms) ** 2),
            "policy": action[0, 0],
            "best_action": (*tried[:, 0], action[0, 0])[q.argmax()],
            "gradient": (critic.value(obs, action + step)[0] - critic.value(obs, action - step)[0]) / (2 * step),
        }
        found = {name: layer[row, column] for name, layer in maps.layers.items()}
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_batch_boundary_does_not_show_in_the_map(networks, monkeypatch):
    whole = value_maps(*networks, PLANE, "torque", resolution=9)
    monkeypatch.setattr("agent.analysis.value_maps.AT_ONCE", 50)
    parts = value_maps(*networks, PLANE, "torque", resolution=9)
    for name in LAYERS:
        np.testing.assert_allclose(whole.layers[name], parts.layers[name], atol=1e-4)


class Bounds:
    """A critic, as far as its action's bounds go."""

    def __init__(self, size):
        self.scaling = self
        self.action_low, self.action_high = -np.ones(size), 3 * np.ones(size)

    def to_bounds(self, unit):
        return 1.0 + 2.0 * unit


@pytest.mark.parametrize(("size", "count"), [(1, 21), (2, 121), (3, 125), (4, 81), (6, 64), (17, ACTIONS)])
def test_the_actions_tried_reach_the_bounds_and_stay_few(size, count):
    actions = action_grid(Bounds(size))
    assert actions.shape == (count, size)
    assert actions.min() >= -1.0
    assert actions.max() <= 3.0
    if size < 17:
        assert (actions == -1.0).all(axis=1).any()
        assert (actions == 3.0).all(axis=1).any()


def test_the_figure_names_every_map_its_units_and_its_dimensions(networks):
    figure = draw_maps(value_maps(*networks, PLANE, "torque (N m)", resolution=5), "Pendulum-v1, learner step 1")
    assert {axes.get_title() for axes in figure.axes} >= {title for title, *_ in LAYERS.values()}
    words = " ".join(axes.get_ylabel() + " " + axes.get_xlabel() for axes in figure.axes)
    assert all(word in words for word in ("angle from upright (rad)", "angular speed (rad/s)", "return / torque (N m)"))


def test_a_constant_map_has_one_colour(networks):
    maps = value_maps(*networks, PLANE, "torque", resolution=5)
    maps.layers["policy_value"][:] = -3.0
    maps.layers["gradient"][:] = 0.0
    assert maps.limits("policy_value") == (-3.5, -2.5)
    assert maps.limits("gradient") == (-0.5, 0.5)


def test_the_maps_of_a_checkpoint_of_full_size_take_less_than_three_seconds_and_little_memory():
    path = HERE / "ckpts/shipped/Pendulum-v1/Pendulum-v1.ckpt-190000"
    policy, critic = Policy.load(path), Critic.load(path)
    begun = time.process_time()  # of this process: the machine may be busy
    value_maps(policy, critic, PLANE, "torque (N m)")
    assert time.process_time() - begun < 3.0
