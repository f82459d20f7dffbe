"""Exploration noise: its scales, its decay, its correlation, and that it comes from the generator it was given."""

import numpy as np
import pytest

from agent.exploration import ExplorationNoise
from params import TrainParams


def noise(seed=0, agent=0, **changes):
    gaussian = dict(noise="gaussian", noise_scale=0.3, noise_scale_per="same")
    return ExplorationNoise(TrainParams(**gaussian | changes), agent, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("decay_per", "deviation"),
    [("episode", 0.4 / 2**3), ("step", 0.4 / 2**5), ("none", 0.4)],  # after 3 episodes and 5 environment steps
)
def test_the_deviation_decays_by_episodes_by_steps_or_not(decay_per, deviation):
    halving = noise(noise_scale=0.4, noise_decay=0.5, noise_decay_per=decay_per)
    halving.episodes, halving.env_steps = 3, 5
    assert halving.deviation == pytest.approx(deviation)
    assert np.abs(halving.sample(10_000)).std() == pytest.approx(deviation * (1 - 2 / np.pi) ** 0.5, rel=0.05)


def test_a_decay_of_one_keeps_the_scale():
    constant = noise(noise_scale=0.3, noise_decay=1.0)
    constant.episodes = 10**6
    assert constant.deviation == 0.3


def test_gaussian_samples_are_normal_float32_and_independent():
    fading = noise(noise_scale=0.4, noise_decay=0.5)
    fading.finish_episode(0)
    samples = np.array([fading.sample(2)[0] for _ in range(50_000)])
    assert fading.sample(2).shape == (1, 2)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=0.005)
    np.testing.assert_allclose(samples.std(axis=0), 0.2, rtol=0.02)
    assert np.mean(np.abs(samples) < 0.2) == pytest.approx(0.6827, abs=0.01)  # within one deviation
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.02  # of the dimensions
    assert abs(np.corrcoef(samples[1:, 0], samples[:-1, 0])[0, 1]) < 0.02  # over time


def test_gaussian_noise_is_the_generators_normal_numbers():
    samples = noise(seed=3, envs_per_agent=2)
    rng = np.random.default_rng(3)
    for _ in range(3):
        np.testing.assert_array_equal(samples.sample(4), rng.standard_normal((2, 4), dtype=np.float32) * np.float32(0.3))


def test_ornstein_uhlenbeck_noise_follows_its_recursion():
    ou, rng = noise(seed=3, noise="ou", ou_theta=0.25, noise_scale=0.2), np.random.default_rng(3)
    state = np.zeros((1, 2))
    for _ in range(5):
        state = 0.75 * state + 0.2 * rng.standard_normal((1, 2), dtype=np.float32)
        np.testing.assert_allclose(ou.sample(2), state, rtol=1e-5)


def test_ornstein_uhlenbeck_noise_has_its_stationary_deviation_and_correlation():
    ou = noise(noise="ou", ou_theta=0.15, noise_scale=0.2, envs_per_agent=100)
    samples = np.array([ou.sample(100).ravel() for _ in range(120)])  # 10 000 independent processes
    assert ou.deviation == pytest.approx(0.2 / (0.15 * 1.85) ** 0.5)
    for steps in (1, 5, 120):  # the variance after n actions is (1 - 0.85**2n) of the stationary one
        expected = ou.deviation * (1 - 0.85 ** (2 * steps)) ** 0.5
        assert samples[steps - 1].std() == pytest.approx(expected, rel=0.04)
    for lag in (1, 5):
        assert np.corrcoef(samples[-1], samples[-1 - lag])[0, 1] == pytest.approx(0.85**lag, abs=0.03)


def test_an_episode_resets_the_state_of_its_environment_only():
    ou = noise(noise="ou", ou_theta=0.01, noise_scale=0.1, envs_per_agent=2)
    for _ in range(200):
        before = ou.sample(1)
    ou._rng = np.random.default_rng(1)
    ou.finish_episode(1)
    normal = np.random.default_rng(1).standard_normal((2, 1), dtype=np.float32)
    expected = np.array([[0.99], [0.0]]) * before + 0.1 * 0.9999 * normal
    np.testing.assert_allclose(ou.sample(1), expected, rtol=1e-4, atol=1e-6)
    ou._rng = np.random.default_rng(2)
    ou.restart()
    normal = np.random.default_rng(2).standard_normal((2, 1), dtype=np.float32)
    np.testing.assert_allclose(ou.sample(1), 0.1 * 0.9999 * normal, rtol=1e-4)


@pytest.mark.parametrize(("agents", "scales"), [(3, [0.1, 0.2, 0.4]), (1, [0.4]), (2, [0.05, 0.05])])
def test_scales_rise_geometrically_over_the_agents(agents, scales):
    ladder = dict(noise_scale_per="agent", noise_scale_min=0.1, noise_scale=scales[-1], num_agents=agents)
    assert [noise(agent=i, **ladder).deviation for i in range(agents)] == pytest.approx(scales)


def test_a_scale_is_drawn_at_each_episode_of_each_environment():
    drawn = noise(noise_scale_per="episode", noise_scale_min=0.1, noise_scale=0.3, envs_per_agent=2, noise_decay=1.0)
    drawn.sample(1)
    first, seen = drawn._scales.copy(), []
    drawn.sample(1)
    np.testing.assert_array_equal(drawn._scales, first)  # within an episode it stays
    assert drawn.deviation == pytest.approx(first.mean())
    drawn.finish_episode(0)
    drawn.sample(1)
    assert drawn._scales[0, 0] != first[0, 0]
    assert drawn._scales[1, 0] == first[1, 0]
    for _ in range(2000):
        drawn.finish_episode(0)
        drawn.sample(1)
        seen.append(drawn._scales[0, 0])
    assert 0.1 <= min(seen) < 0.101
    assert 0.299 < max(seen) <= 0.3
    assert np.mean(seen) == pytest.approx(0.2, abs=0.005)


def test_no_scale_is_no_noise():
    assert not noise(noise_scale=0.0).sample(4).any()


def test_after_any_number_of_episodes_the_noise_is_finite():
    worn = noise(noise_scale=10.0, noise_decay=1e-3)
    worn.episodes = 10**7
    assert worn.deviation == 0.0
    assert np.isfinite(worn.sample(5)).all()


def test_the_generator_alone_decides_the_noise():
    np.testing.assert_array_equal(noise(seed=5).sample(2), noise(seed=5).sample(2))
    assert (noise(seed=5).sample(2) != noise(seed=6).sample(2)).any()
    successive = noise()
    assert (successive.sample(2) != successive.sample(2)).any()
