"""The template of an environment keeps Gymnasium's rules, and its reward says what is wanted."""

import numpy as np
from gymnasium.utils.env_checker import check_env

from examples.my_env import STEPS, STRONGEST, Rocket
from utils.envs.spec import EnvSpec

ID = "examples.my_env:Rocket-v0"


def hover(height, speed):
    return np.clip([9.81 + 4.0 * (10.0 - height) - 4.0 * speed], 0.0, STRONGEST)


def returns(act):
    """The return and the length of an episode."""
    env = EnvSpec(ID).make()
    obs, _ = env.reset(seed=0)
    total, length, ended = 0.0, 0, False
    while not ended:
        obs, reward, terminated, truncated, _ = env.step(np.asarray(act(*obs), np.float32))
        total, length, ended = total + reward, length + 1, terminated or truncated
    return total, length


def test_it_keeps_the_rules_of_gymnasium(recwarn):
    check_env(Rocket(render_mode="rgb_array"), skip_render_check=True)


def test_hovering_is_better_than_flying_on_and_that_than_a_crash():
    hovering, crashing = returns(hover), returns(lambda *_: [0.0])
    assert hovering[1] == STEPS
    assert hovering[0] > -40
    assert crashing[1] < STEPS
    assert crashing[0] < -1.1 * STEPS < returns(lambda height, speed: hover(height + 8.0, speed))[0]


def test_it_draws_the_rocket():
    env = EnvSpec(ID).make(render_mode="rgb_array")
    env.reset(seed=0)
    assert (env.render() == (0, 0, 120)).all(axis=2).sum() == 100
