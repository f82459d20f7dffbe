"""What changes an environment for training alone: scores and logged returns stay those of the environment itself."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.wrappers import ClipReward

from utils.errors import ParameterError

Wrapper = Callable[[gymnasium.Env], gymnasium.Env]


class Meter(gymnasium.Wrapper):
    """Counts the steps that an environment takes and sums their rewards, below the wrappers of the training."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self._reward, self._steps = 0.0, 0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step of the environment, counted."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._reward += float(reward)
        self._steps += 1
        return obs, reward, terminated, truncated, info

    def read(self) -> tuple[float, int]:
        """The sum of the rewards and the number of steps since the last reading."""
        read = self._reward, self._steps
        self._reward, self._steps = 0.0, 0
        return read


def metered(
    env: gymnasium.Env, wrappers: Sequence[Wrapper], reward_clip: tuple[float, float] | None
) -> tuple[gymnasium.Env, Meter | None]:
    """The environment in the wrappers of the training, the innermost first, with its rewards clipped, and its meter.

    Without any of them it stays as it is and has no meter. Raises ParameterError for a wrapper that changes a space: a
    policy that was trained in it could not be tested without it.
    """
    if not wrappers and reward_clip is None:
        return env, None
    meter = Meter(env)
    wrapped: gymnasium.Env = meter
    for wrapper in wrappers:
        wrapped = wrapper(wrapped)
    for name in ("observation_space", "action_space"):
        if (changed := getattr(wrapped, name)) != (own := getattr(env, name)):
            raise ParameterError(
                f"a wrapper of the training changes the {name} from {own} to {changed}; --wrapper is for such, in training "
                "and testing alike."
            )
    return wrapped if reward_clip is None else ClipReward(wrapped, *reward_clip), meter
