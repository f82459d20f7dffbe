"""A point mass whose rewards are hard for a fixed support: tiny, huge, late, growing, or with one huge penalty.

`--env reward_envs:PointMass-v0 --env-kwargs '{"rewards": "growing"}'` with tests/ on the PYTHONPATH.
"""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

EPISODE = 200  # steps
FIRST_REWARD = 2_500  # steps of one environment without "late" rewards: 10 000 of four agents
GROWTH = 6_000  # steps of one environment after which "growing" rewards grow, and one of them pays PENALTY
PENALTY = -1e5


class PointMass(gymnasium.Env):
    """Pushes a mass on a line to its middle. Observes position and speed. Episodes are truncated after EPISODE steps.

    `rewards` says what one step pays: "plain" from -1.1 to 0, "thousandths" and "thousands" as much times 0.001 and 1 000,
    "growing" a hundred times as much after GROWTH steps, "late" nothing before FIRST_REWARD steps, "penalty" once PENALTY, in
    the first environment that has made GROWTH steps (set `has_paid` to False for another one).
    """

    has_paid = False

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Box(-1.0, 1.0, (1,), np.float32)
    metadata = {"render_modes": []}

    def __init__(self, rewards="plain", render_mode=None):
        self.render_mode = render_mode
        self._rewards, self._steps = rewards, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._t, self._state = 0, self.np_random.uniform(-1.0, 1.0, 2)
        return self._state.astype(np.float32), {}

    def step(self, action):
        self._t, self._steps = self._t + 1, self._steps + 1
        position, speed = self._state
        speed = np.clip(speed + 0.1 * float(action[0]), -1.0, 1.0)
        position = np.clip(position + 0.1 * speed, -1.0, 1.0)
        self._state = np.array([position, speed])
        reward = self._factor() * -(position**2 + 0.1 * speed**2)
        if self._rewards == "penalty" and self._steps >= GROWTH and not PointMass.has_paid:
            PointMass.has_paid = True
            reward += PENALTY
        return self._state.astype(np.float32), float(reward), False, self._t >= EPISODE, {}

    def _factor(self):
        if self._rewards == "growing":
            return 1.0 if self._steps <= GROWTH else 100.0
        if self._rewards == "late":
            return 0.0 if self._steps <= FIRST_REWARD else 1.0
        return {"thousandths": 1e-3, "thousands": 1e3}.get(self._rewards, 1.0)


class PointMassInParts(PointMass):
    """The point mass with an observation in parts: a Dict of its position, and of its speed with a sign as a number."""

    observation_space = Dict(position=Box(-1.0, 1.0, (1,), np.float64), moves=Dict(speed=Box(-1, 1, ()), right=Discrete(2)))

    def reset(self, *, seed=None, options=None):
        _, info = super().reset(seed=seed)
        return self._parts(), info

    def step(self, action):
        _, *rest = super().step(action)
        return self._parts(), *rest

    def _parts(self):
        position, speed = self._state
        return {"position": np.array([position]), "moves": {"speed": np.float32(abs(speed)), "right": int(speed > 0)}}


for name in ("PointMass", "PointMassInParts"):
    if f"{name}-v0" not in gymnasium.registry:
        gymnasium.register(f"{name}-v0", entry_point=f"reward_envs:{name}")
