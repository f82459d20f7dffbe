"""Environments for agents in other processes, registered on import. Each observes one number in [-1, 1]."""

import os
import signal
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.spaces import Box

UNIT = Box(-1.0, 1.0, (1,), np.float32)


class Once(gymnasium.Env):
    """Has a fault in its third step, once: `marker` names a file that is made then. Episodes have 8 steps."""

    observation_space = action_space = UNIT

    def __init__(self, fault="none", marker="", seconds=0.0, render_mode=None):
        self._fault, self._marker, self._seconds, self._t = fault, Path(marker), seconds, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._t = 0
        return self._obs(), {}

    def step(self, action):
        self._t += 1
        time.sleep(self._seconds)
        if self._t == 3 and self._fault != "none" and not self._marker.exists():
            self._marker.touch()
            {"die": die, "hang": hang, "fail": fail}[self._fault]()
        return self._obs(), float(action[0]), False, self._t == 8, {}

    def close(self):
        if self._fault == "none" and self._marker.name:
            self._marker.touch()

    def _obs(self):
        return self.np_random.uniform(-1.0, 1.0, 1).astype(np.float32)


class Imports(Once):
    """Rewards 1 for each step in a process that has imported TensorFlow, and 0 elsewhere."""

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float("tensorflow" in sys.modules), *rest


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    time.sleep(600)


def fail():
    raise RuntimeError("a gear is broken")


if "Once-v0" not in gymnasium.registry:
    gymnasium.register("Once-v0", Once, disable_env_checker=True)
    gymnasium.register("Imports-v0", Imports, disable_env_checker=True)
