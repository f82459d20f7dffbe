"""An environment that computes in Python for as long as asked: slow_env:Slow-v0."""

import time

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Slow(gymnasium.Env):
    """Observes three numbers of noise, and holds the interpreter for `ms` milliseconds of CPU time in each step."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, ms: float = 2.0, render_mode: str | None = None):
        self._seconds, self.render_mode = ms / 1000.0, render_mode

    def reset(self, *, seed=None, options=None):  # type: ignore[no-untyped-def]
        """Start an episode."""
        super().reset(seed=seed)
        return self._obs(), {}

    def step(self, action):  # type: ignore[no-untyped-def]
        """Compute, and reward small actions."""
        until = time.thread_time() + self._seconds
        while time.thread_time() < until:
            pass
        return self._obs(), -float(np.abs(action).sum()), False, False, {}

    def _obs(self) -> np.ndarray:
        return self.np_random.standard_normal(3).astype(np.float32)


if "Slow-v0" not in gymnasium.registry:
    gymnasium.register("Slow-v0", "slow_env:Slow", max_episode_steps=200, disable_env_checker=True)
