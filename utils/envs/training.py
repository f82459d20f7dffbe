"""Changes to an environment for training alone. Scores and logged returns stay those of the environment itself."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.wrappers import ClipReward

from utils.errors import EnvironmentFailure, ParameterError

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


def wrapped(env: gymnasium.Env, wrappers: Sequence[tuple[str, Wrapper]]) -> gymnasium.Env:
    """The environment in wrappers, each with its name, the innermost first.

    Raises ParameterError for one that takes other arguments or returns no environment, else EnvironmentFailure.
    """
    for name, wrapper in wrappers:
        try:
            env = wrapper(env)
        except (gymnasium.error.Error, ValueError, TypeError) as error:
            raise ParameterError(f"the wrapper {name} cannot be used: {type(error).__name__}: {error}") from error
        except Exception as error:
            raise EnvironmentFailure(f"the wrapper {name} failed: {type(error).__name__}: {error}") from error
        if not isinstance(env, gymnasium.Env):
            raise ParameterError(f"the wrapper {name} returned {type(env).__name__}, not an environment.")
    return env


def metered(
    env: gymnasium.Env, wrappers: Sequence[tuple[str, Wrapper]], reward_clip: tuple[float, float] | None
) -> tuple[gymnasium.Env, Meter | None]:
    """The environment in the wrappers of the training, the innermost first, with its rewards clipped, and its meter.

    Without any of them it stays as it is and has no meter. Raises ParameterError for a wrapper that changes a space: a
    policy that was trained in it could not be tested without it.
    """
    if not wrappers and reward_clip is None:
        return env, None
    meter = Meter(env)
    outer = wrapped(meter, wrappers)
    for name in ("observation_space", "action_space"):
        if (changed := getattr(outer, name)) != (own := getattr(env, name)):
            raise ParameterError(
                f"a wrapper of the training changes the {name} from {own} to {changed}; --wrapper is for such, in training "
                "and testing alike."
            )
    return outer if reward_clip is None else ClipReward(outer, *reward_clip), meter
