"""A template for your own environment. Copy it, and put your simulator in the place of the rocket.

python train.py --env examples.my_env:Rocket-v0 --check-env        what the toolkit makes of it
python train.py --env examples.my_env:Rocket-v0
python play.py --env examples.my_env:Rocket-v0

A rocket is to hover at a height of 10 m. It observes its height and its speed, and chooses the thrust of its engine.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

TARGET, CEILING = 10.0, 20.0  # m
GRAVITY, STRONGEST = 9.81, 25.0  # m/s^2
STEP = 0.05  # s
STEPS = 200  # of an episode


class Rocket(gymnasium.Env):
    """Observes float64 [2]: height in m and speed in m/s. Acts with [1]: thrust in m/s^2, from 0 to STRONGEST."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / STEP)}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode
        # Raw units: the toolkit scales observations and rewards itself. Bounds need not be symmetric.
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Box(0.0, STRONGEST, (1,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode. Everything random comes from self.np_random, so that a seed repeats it."""
        super().reset(seed=seed)
        self._state = self.np_random.uniform([5.0, -2.0], [15.0, 2.0])
        return self._state, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by STEP seconds."""
        height, speed = self._state
        speed += STEP * (action[0] - GRAVITY)
        height += STEP * speed
        self._state = np.array([height, speed])
        # The reward is what you want, step by step: here the distance, and a little for the fuel.
        reward = -abs(height - TARGET) / TARGET - 0.01 * action[0] / STRONGEST
        # Terminated means that there is no future. Where rewards are negative, that alone would be worth having, so a crash
        # costs more than the whole rest of an episode could.
        crashed = not 0.0 < height < CEILING
        if crashed:
            reward -= 1.1 * STEPS
        # A time limit is no end of the task: it is given to `register` below, and never sets `terminated`.
        return self._state, float(reward), crashed, False, {}

    def render(self) -> np.ndarray:
        """A picture, uint8 [height, width, 3]: the target as a line, the rocket as a block. Needed by play.py alone."""
        picture = np.full((200, 100, 3), 255, np.uint8)
        picture[round(200 * (1 - TARGET / CEILING))] = (200, 0, 0)
        bottom = round(200 * (1 - float(np.clip(self._state[0] / CEILING, 0.05, 1.0))))
        picture[bottom : bottom + 10, 45:55] = (0, 0, 120)
        return picture


gymnasium.register("Rocket-v0", entry_point=f"{__name__}:Rocket", max_episode_steps=STEPS)
