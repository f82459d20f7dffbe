"""Exploration noise for actions in [-1, 1]."""

import numpy as np


class GaussianNoise:
    """Independent normal noise that shrinks with each episode its agent has finished."""

    def __init__(self, scale: float, decay: float, rng: np.random.Generator):
        self._scale, self._decay, self._rng = scale, decay, rng
        self.episodes = 0

    @property
    def deviation(self) -> float:
        """Standard deviation now: scale * decay**episodes."""
        return self._scale * self._decay**self.episodes

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        """Noise, float32 of the given shape."""
        return self._rng.standard_normal(shape, dtype=np.float32) * np.float32(self.deviation)
