"""Exploration noise for actions in [-1, 1]."""

import numpy as np

from params import TrainParams


class ExplorationNoise:
    """Gaussian or Ornstein-Uhlenbeck noise: a state for each environment of one agent, 0 at the start of an episode.

    Each action moves a state x to (1 - theta) * x + scale * N(0, 1), an Euler step of length 1 of the Ornstein-Uhlenbeck
    process. Its stationary standard deviation is scale / sqrt(theta * (2 - theta)), 1.9 * scale for theta = 0.15, and its
    correlation falls to 1/e in about 1 / theta actions. Gaussian noise, independent from action to action, is theta = 1.
    """

    def __init__(self, params: TrainParams, agent: int, rng: np.random.Generator):
        self._params, self._rng = params, rng
        self._theta = params.ou_theta if params.noise == "ou" else 1.0
        self._scales = np.full((params.envs_per_agent, 1), _agent_scale(params, agent))  # before the decay
        self._is_new = np.ones(params.envs_per_agent, bool)  # no action of the episode was taken yet
        self._state = np.zeros((params.envs_per_agent, 1), np.float32)
        self.episodes = 0
        self.env_steps = 0

    @property
    def deviation(self) -> float:
        """Stationary standard deviation now, as a mean over the environments."""
        return float(self._scales.mean()) * self._decay / (self._theta * (2.0 - self._theta)) ** 0.5

    @property
    def _decay(self) -> float:
        counts = {"episode": self.episodes, "step": self.env_steps, "none": 0}
        return self._params.noise_decay ** counts[self._params.noise_decay_per]

    def sample(self, action_size: int) -> np.ndarray:
        """Noise for the next action of each environment, float32 [envs_per_agent, action_size]."""
        if self._is_new.any():
            if self._params.noise_scale_per == "episode":
                self._scales[self._is_new, 0] = self._rng.uniform(*_range(self._params), self._is_new.sum())
            self._state = np.where(self._is_new[:, None], np.float32(0.0), self._state)
            self._is_new[:] = False
        normal = self._rng.standard_normal((len(self._scales), action_size), dtype=np.float32)
        scales = (self._scales * self._decay).astype(np.float32)
        self._state = np.float32(1.0 - self._theta) * self._state + normal * scales
        return self._state

    def finish_episode(self, env: int) -> None:
        """Count an episode of the environment and start its next one."""
        self.episodes += 1
        self._is_new[env] = True

    def restart(self) -> None:
        """Start a new episode of every environment."""
        self._is_new[:] = True


def _agent_scale(params: TrainParams, agent: int) -> float:
    """The scale of an agent; with noise_scale_per agent they rise geometrically over the agents."""
    if params.noise_scale_per != "agent" or params.num_agents == 1:
        return params.noise_scale
    place = agent / (params.num_agents - 1)
    low, high = _range(params)
    return float(low ** (1.0 - place) * high**place)


def _range(params: TrainParams) -> tuple[float, float]:
    """The least and the greatest scale, where they differ by agent or episode."""
    return min(params.noise_scale_min, params.noise_scale), params.noise_scale
