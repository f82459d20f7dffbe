"""Environments of the packages in requirements-extras.txt: skipped where a package is missing."""

import numpy as np
import pytest

from utils.envs.spec import EnvSpec


def episode(env, seed):
    """The observations and rewards of 20 random steps."""
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    values = [obs]
    for _ in range(20):
        obs, reward, terminated, truncated, _ = env.step(rng.uniform(env.action_low, env.action_high))
        assert not terminated
        assert not truncated
        values += [obs, np.float32([reward])]
    return np.concatenate(values)


@pytest.mark.parametrize(
    ("packages", "env_id", "obs_size", "action_size"),
    [
        (("shimmy", "dm_control"), "shimmy:dm_control/cartpole-swingup-v0", 5, 1),
        (("shimmy", "dm_control"), "shimmy:dm_control/cheetah-run-v0", 17, 6),
        (("gymnasium_robotics",), "gymnasium_robotics:FetchReachDense-v4", 16, 4),
        (("gymnasium_robotics",), "gymnasium_robotics:PointMaze_UMazeDense-v3", 8, 2),
    ],
)
@pytest.mark.filterwarnings("ignore")  # dm_control and Gymnasium-Robotics warn when imported
def test_seeded_episodes_of_an_optional_package_are_equal(packages, env_id, obs_size, action_size, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")  # dm_control initialises EGL when imported; EGL aborts with TensorFlow
    for package in packages:
        pytest.importorskip(package)
    env, other = EnvSpec(env_id).make(), EnvSpec(env_id).make()
    assert (env.obs_size, env.action_size) == (obs_size, action_size)
    first = episode(env, seed=3)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(episode(other, seed=3), first)  # another instance
    assert not np.array_equal(episode(env, seed=4), first)
    np.testing.assert_array_equal(episode(env, seed=3), first)  # the same instance again
    env.close()
    other.close()
