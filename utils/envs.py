"""Environments behind one checked door: what comes out is float32, finite and of one shape; nothing is scaled."""

import os
import warnings
from typing import Any

import numpy as np

from utils.errors import DependencyError, EnvironmentFailure, ParameterError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and os.uname().sysname == "Linux":
    # Drawing into memory works without a screen, once these are set; MuJoCo and Pygame read them when imported.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("MUJOCO_GL", "egl")

import gymnasium  # noqa: E402  (after the lines above, which it reads)

FLOAT32_MAX = float(np.finfo(np.float32).max)


def has_screen() -> bool:
    """Whether a window can be opened here."""
    return os.uname().sysname == "Darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Environment:
    """One Gymnasium environment with a flat observation and a bounded action.

    Attributes: `obs_size` S, `action_size` A, `action_low` and `action_high` float32 [A], `env` (the Gymnasium one).
    """

    def __init__(self, env: gymnasium.Env, env_id: str, max_ep_length: int = 10_000):
        self.env = env
        self.id = env_id
        observation, action = env.observation_space, env.action_space
        if not isinstance(observation, gymnasium.spaces.Box) or len(observation.shape) != 1:
            raise ParameterError(
                f"{self.id} has the observation space {observation}; only flat vectors (a Box of one dimension) are supported."
            )
        if not isinstance(action, gymnasium.spaces.Box) or len(action.shape) != 1 or action.dtype.kind != "f":
            raise ParameterError(
                f"{self.id} has the action space {action}; only continuous vectors (a Box of one dimension) are supported."
            )
        low, high = action.low.astype(np.float64), action.high.astype(np.float64)
        if not (np.abs([low, high, high - low]) <= FLOAT32_MAX).all():
            raise ParameterError(
                f"{self.id} has the unbounded action space {action}; every action needs a lower and an upper bound."
            )
        self.obs_size, self.action_size = observation.shape[0], action.shape[0]
        self.action_low, self.action_high = low.astype(np.float32), high.astype(np.float32)
        if not (self.action_low < self.action_high).all():
            raise ParameterError(f"{self.id} has the action space {action}; every upper bound must exceed its lower bound.")
        self._action_space = action
        self._max_ep_length = max_ep_length
        self._length = 0

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start an episode. Returns its first observation, float32 [S]."""
        self._length = 0
        obs, _ = self.env.reset(seed=seed)
        return self._checked(obs)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """Take one environment step with `action` [A], clipped to the bounds.

        Returns (next observation, reward, terminated, truncated); truncated also at `max_ep_length`. Raises
        EnvironmentFailure for an action, reward or observation that is no finite number in float32 or of another shape.
        """
        action = np.asarray(action)
        if action.shape != self.action_low.shape or np.isnan(action).any():
            raise EnvironmentFailure(
                f"{self.id} was given the action {action} of shape {action.shape}, not {self.action_low.shape}"
            )
        space = self._action_space  # of its own precision: float32(0.3) is greater than 0.3
        clipped = np.minimum(np.maximum(action, space.low), space.high).astype(space.dtype)
        obs, reward, terminated, truncated, _ = self.env.step(clipped)
        self._length += 1
        reward = float(reward)
        if not abs(reward) <= FLOAT32_MAX:
            raise EnvironmentFailure(f"{self.id} gave the reward {reward} in step {self._length} of an episode")
        return self._checked(obs), reward, bool(terminated), bool(truncated) or self._length >= self._max_ep_length

    def render(self) -> Any:
        """A picture of the current state, uint8 [H, W, 3], in the render mode "rgb_array"."""
        return self.env.render()

    def close(self) -> None:
        """Free what the environment holds."""
        self.env.close()

    def _checked(self, obs: Any) -> np.ndarray:
        with np.errstate(over="ignore"):  # what float32 cannot hold is found below
            checked = np.array(obs, dtype=np.float32)  # a copy: some environments hand out the array they go on writing to
        if checked.shape != (self.obs_size,):
            raise EnvironmentFailure(
                f"{self.id} gave an observation of shape {checked.shape}, its space says {(self.obs_size,)}"
            )
        if not np.isfinite(checked).all():
            raise EnvironmentFailure(f"{self.id} gave the observation {checked} in step {self._length} of an episode")
        return checked


def make_env(env_id: str, max_ep_length: int = 10_000, render_mode: str | None = None) -> Environment:
    """Make an environment and check its spaces.

    Raises ParameterError for an id that Gymnasium does not know or a space that is not supported, and
    DependencyError for a package or a display that the environment needs.
    """
    given = {} if render_mode is None else {"render_mode": render_mode}  # not every constructor takes it
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="pygame")
            env = gymnasium.make(env_id, **given)  # type: ignore[arg-type]
    except gymnasium.error.DependencyNotInstalled as error:
        raise DependencyError(f"{env_id} needs a package that is not installed: {_sentence(error)}") from error
    except ModuleNotFoundError as error:
        module = env_id.rpartition(":")[0]
        kind = ParameterError if error.name and module.startswith(error.name) or module and not error.name else DependencyError
        raise kind(f"{env_id} needs a module that is not there: {_sentence(error)}.") from error
    except ImportError as error:
        raise DependencyError(f"{env_id} needs something that is not installed: {_sentence(error)}.") from error
    except (gymnasium.error.Error, ValueError, TypeError) as error:
        raise ParameterError(f"{env_id!r} is not an environment that Gymnasium can make: {_sentence(error)}") from error
    except Exception as error:  # whatever its constructor raised
        raise EnvironmentFailure(f"{env_id} could not be made: {type(error).__name__}: {_sentence(error)}") from error
    return Environment(env, env_id, max_ep_length)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
