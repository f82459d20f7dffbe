"""Environments behind one checked door: what comes out is float32, finite and of one shape; nothing is scaled."""

import contextlib
import os
import sys
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

# Once, here: a filter that is set and taken back around each call makes Python forget which warnings it has shown, and is
# not safe beside other threads.
warnings.filterwarnings("ignore", category=UserWarning, module="pygame")

RAISED = (Exception, SystemExit)  # some call sys.exit, as when their window is closed
FLOAT32_MAX = float(np.finfo(np.float32).max)
LARGEST_REWARD = 1e30  # some thousands of them, summed over an N-step window, still fit in float32
LONGEST = 500  # characters of a stranger's message that are repeated


def has_screen() -> bool:
    """Whether a window can be opened here."""
    return os.uname().sysname == "Darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Environment:
    """One Gymnasium environment with a flat observation and a bounded action.

    Attributes: `obs_size` S, `action_size` A, `action_low` and `action_high` float32 [A], `env` (the Gymnasium one).
    Whatever the environment raises comes out as an EnvironmentFailure that names it, what it did and in which step.
    """

    def __init__(self, env: gymnasium.Env, env_id: str, max_ep_length: int = 10_000):
        self.env = env
        self.id = env_id
        try:
            observation, action = env.observation_space, env.action_space
        except RAISED as error:
            raise EnvironmentFailure(f"{self.id} did not say what it observes and acts: {_named(error)}") from error
        if (
            not isinstance(observation, gymnasium.spaces.Box)
            or not _is_flat(observation)
            or observation.dtype.kind not in "biuf"
        ):
            raise ParameterError(
                f"{self.id} has the observation space {observation}; only flat vectors (a Box of one dimension, not empty) are "
                "supported."
            )
        if not isinstance(action, gymnasium.spaces.Box) or not _is_flat(action) or action.dtype.kind != "f":
            raise ParameterError(
                f"{self.id} has the action space {action}; only continuous vectors (a Box of one dimension, not empty) are "
                "supported."
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
        self._picture: tuple[int, ...] | None = None  # shape of the first

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start an episode. Returns its first observation, float32 [S]."""
        self._length = 0
        try:
            obs, _ = self.env.reset(seed=seed)
        except RAISED as error:
            raise EnvironmentFailure(f"{self.id} failed in a reset with the seed {seed}: {_named(error)}") from error
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
        self._length += 1
        try:
            obs, reward, terminated, truncated, _ = self.env.step(clipped)
            reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
        except RAISED as error:
            raise EnvironmentFailure(
                f"{self.id} failed in step {self._length} of an episode, action {clipped}: {_named(error)}"
            ) from error
        if not abs(reward) <= LARGEST_REWARD:
            raise EnvironmentFailure(f"{self.id} gave the reward {reward} in step {self._length} of an episode")
        return self._checked(obs), reward, terminated, truncated or self._length >= self._max_ep_length

    @property
    def render_modes(self) -> list[str]:
        """What it offers to draw on: "human" is a window, "rgb_array" a picture."""
        modes = self._metadata("render_modes")
        return [str(mode) for mode in modes] if isinstance(modes, list | tuple) else []

    @property
    def fps(self) -> float:
        """Pictures a second at which it runs at true speed; 30 where it does not say."""
        fps = self._metadata("render_fps")
        return float(fps) if isinstance(fps, int | float) and 1 <= fps <= 1000 else 30.0

    def render(self) -> np.ndarray:
        """A picture of the current state, uint8 [H, W, 3], in the render mode "rgb_array"; all have one size.

        Raises EnvironmentFailure for anything else.
        """
        where = f"after step {self._length} of an episode"
        try:
            drawn = self.env.render()
        except RAISED as error:
            raise EnvironmentFailure(f"{self.id} failed to draw a picture {where}: {_named(error)}") from error
        picture = drawn if isinstance(drawn, np.ndarray) else np.empty(0)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            kind = f"{picture.dtype} {picture.shape}" if picture is drawn else type(drawn).__name__
            raise EnvironmentFailure(f"{self.id} drew {kind} {where}, not a picture (uint8, height x width x 3)")
        self._picture = self._picture or picture.shape
        if picture.shape != self._picture:
            raise EnvironmentFailure(f"{self.id} drew a picture of {picture.shape} {where}, the first one was {self._picture}")
        return picture

    def close(self) -> None:
        """Free what the environment holds. What it raises is dropped: all that was wanted of it is there by now."""
        with contextlib.suppress(*RAISED):
            self.env.close()

    def _metadata(self, name: str) -> Any:
        metadata = getattr(self.env, "metadata", None)
        return metadata.get(name) if isinstance(metadata, dict) else None

    def _checked(self, obs: Any) -> np.ndarray:
        try:
            with np.errstate(over="ignore"):  # what float32 cannot hold is found below
                checked = np.array(obs, dtype=np.float32)  # a copy: some hand out the array they go on writing to
        except RAISED as error:
            raise EnvironmentFailure(
                f"{self.id} gave no array of numbers as observation in step {self._length} of an episode: {_named(error)}"
            ) from error
        if checked.shape != (self.obs_size,):
            raise EnvironmentFailure(
                f"{self.id} gave an observation of shape {checked.shape} in step {self._length} of an episode, "
                f"its space says {(self.obs_size,)}"
            )
        if not np.isfinite(checked).all():
            raise EnvironmentFailure(f"{self.id} gave the observation {checked} in step {self._length} of an episode")
        return checked


def make_env(env_id: str, max_ep_length: int = 10_000, render_mode: str | None = None) -> Environment:
    """Make an environment and check its spaces.

    Raises ParameterError for an id that Gymnasium does not know or a space that is not supported, and
    DependencyError for a package or a display that the environment needs. With a render mode, raises RuntimeError in a
    process that has loaded TensorFlow: MuJoCo's renderer ends such a process with a segmentation fault.
    """
    if render_mode is not None:
        _check_may_render(env_id)
    given = {} if render_mode is None else {"render_mode": render_mode}  # not every constructor takes it
    try:
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
    except RAISED as error:  # in its constructor
        raise EnvironmentFailure(f"{env_id} could not be made: {_named(error)}") from error
    return Environment(env, env_id, max_ep_length)


def wrong_with(env_id: str) -> str | None:
    """What keeps an environment from being used here, in words; None when nothing does.

    Raises DependencyError and EnvironmentFailure as make_env does.
    """
    try:
        make_env(env_id).close()
    except ParameterError as error:
        return str(error).removesuffix(".")
    return None


def _check_may_render(env_id: str) -> None:
    if "tensorflow" in sys.modules:
        raise RuntimeError(f"{env_id} cannot be rendered in a process that has loaded TensorFlow; run play.py instead.")


def _is_flat(space: gymnasium.spaces.Box) -> bool:
    return len(space.shape) == 1 and space.shape[0] > 0


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {_sentence(error)}"


def _sentence(error: BaseException) -> str:
    try:
        words = " ".join(str(error).split())
    except Exception:  # what a stranger's exception says of itself may fail too
        return "no message"
    return words if len(words) <= LONGEST else words[:LONGEST] + " ..."
