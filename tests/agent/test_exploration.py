"""Exploration noise: its size, its decay, and that it comes from the generator it was given."""

import numpy as np
import pytest

from agent.exploration import GaussianNoise


def noise(scale=0.3, decay=0.9999, seed=0):
    return GaussianNoise(scale, decay, np.random.default_rng(seed))


@pytest.mark.parametrize(("episodes", "deviation"), [(0, 0.4), (1, 0.2), (3, 0.05)])
def test_the_deviation_shrinks_by_the_decay_for_each_finished_episode(episodes, deviation):
    halving = noise(scale=0.4, decay=0.5)
    halving.episodes = episodes
    assert halving.deviation == pytest.approx(deviation)


def test_a_decay_of_one_keeps_the_scale():
    constant = noise(scale=0.3, decay=1.0)
    constant.episodes = 10**6
    assert constant.deviation == 0.3


def test_samples_are_normal_float32_with_the_deviation_of_the_moment():
    fading = noise(scale=0.4, decay=0.5)
    fading.episodes = 1
    samples = fading.sample((50_000, 2))
    assert samples.shape == (50_000, 2)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=0.005)
    np.testing.assert_allclose(samples.std(axis=0), 0.2, rtol=0.02)
    assert np.mean(np.abs(samples) < 0.2) == pytest.approx(0.6827, abs=0.01)  # within one deviation
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.02  # the dimensions are independent


def test_no_scale_is_no_noise():
    assert not noise(scale=0.0).sample((3, 4)).any()


def test_after_any_number_of_episodes_the_noise_is_finite():
    worn = noise(scale=10.0, decay=1e-3)
    worn.episodes = 10**7
    assert worn.deviation == 0.0
    assert np.isfinite(worn.sample((5,))).all()


def test_the_generator_alone_decides_the_noise():
    np.testing.assert_array_equal(noise(seed=5).sample((4, 2)), noise(seed=5).sample((4, 2)))
    assert (noise(seed=5).sample((4, 2)) != noise(seed=6).sample((4, 2))).any()
    successive = noise()
    assert (successive.sample((4, 2)) != successive.sample((4, 2))).any()
