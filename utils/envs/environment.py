"""The checking wrapper of every environment (utils/envs/spec.py makes them)."""

import contextlib
import os
import time
import warnings
from typing import Any

import numpy as np

from utils.errors import EnvironmentFailure

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and os.uname().sysname == "Linux":
    # For rendering without a screen. MuJoCo and Pygame read these variables when imported.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("MUJOCO_GL", "egl")

import gymnasium  # noqa: E402  (after the lines above, which it reads)
from gymnasium.spaces import Box  # noqa: E402
from gymnasium.wrappers import FlattenObservation  # noqa: E402

from utils.envs.spaces import action_bounds, action_space, check_observations, is_flat  # noqa: E402
from utils.envs.training import Meter  # noqa: E402

# Set once here: setting and resetting a filter around each call is not thread-safe and shows warnings again.
warnings.filterwarnings("ignore", category=UserWarning, module="pygame")

RAISED = (Exception, SystemExit)  # some environments call sys.exit, as when their window is closed
LARGEST_REWARD = 1e30  # the sum of thousands of them, over an N-step window, still fits in float32
LONGEST = 500  # characters of an environment's message, at most


def has_screen() -> bool:
    """Whether a window can be opened here."""
    return os.uname().sysname == "Darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def select_renderer(renders: bool) -> None:
    """Choose MuJoCo's renderer without a screen: EGL, or none in a process that will load TensorFlow.

    dm_control loads the renderer when it is imported, so call this before. EGL and TensorFlow in one process abort it.
    """
    if os.environ.get("MUJOCO_GL") in ("egl", "disable"):
        os.environ["MUJOCO_GL"] = "egl" if renders else "disable"


class Environment(gymnasium.Wrapper):
    """Checks actions, observations and rewards, and clips actions to the bounds.

    Observations come out as finite float32 arrays [S], rewards as finite floats; nothing is scaled. One action is taken
    for `action_repeat` environment steps: their rewards are summed, and `info["env_steps"]` is their number. Actions of
    another shape are flattened, and `action_bound` takes the place of missing bounds. With a `meter` below the wrappers of
    the training, `info["raw_reward"]` and the number of steps are its readings.

    Attributes: `id`, `obs_size` S, `action_size` A, `action_low` and `action_high` float32 [A], and `waiting_since`, the
    monotonic start time of the current call of the environment (None between calls).
    Raises ParameterError for a space that is not supported. An exception of the environment,
    or an invalid value, becomes an EnvironmentFailure that names the environment, the call and the step.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        env_id: str,
        action_repeat: int = 1,
        action_bound: float | None = None,
        meter: Meter | None = None,
    ):
        self.id = env_id
        self.waiting_since: float | None = None
        try:
            observation, action = env.observation_space, action_space(env)
        except RAISED as error:
            raise EnvironmentFailure(f"{env_id} has no observation_space or action_space: {named(error)}") from error
        check_observations(env_id, observation)
        self._low, self._high = action_bounds(env_id, action, action_bound)
        self.action_low, self.action_high = self._low.astype(np.float32), self._high.astype(np.float32)
        super().__init__(env if is_flat(observation) else FlattenObservation(env))
        self.obs_size, self.action_size = gymnasium.spaces.flatdim(observation), len(self.action_low)
        self.observation_space = Box(-np.inf, np.inf, (self.obs_size,), np.float32)
        self.action_space, self._shape = action, action.shape
        self._action_repeat, self._meter = action_repeat, meter
        self._length = 0  # environment steps of the episode in progress
        self._picture: tuple[int, ...] | None = None  # shape of the first picture

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode. Returns its first observation, float32 [S], and the environment's info."""
        self._length = 0
        self.waiting_since = time.monotonic()
        try:
            obs, info = self.env.reset(seed=seed, options=options)
            info = dict(info or {})
        except RAISED as error:
            raise EnvironmentFailure(f"{self.id} failed in a reset with the seed {seed}: {named(error)}") from error
        finally:
            self.waiting_since = None
        if self._meter is not None:
            self._meter.read()  # steps of a wrapper in the reset do not belong to the episode
        return self._checked(obs), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take `action` [A], clipped to the bounds, for `action_repeat` environment steps or until the episode ends.

        Returns (last observation, sum of the rewards, terminated, truncated, info). Raises EnvironmentFailure for an action
        that is nan or has another shape, and for a reward or an observation that is not finite or has another shape.
        """
        action = np.asarray(action)
        if action.shape != self.action_low.shape or np.isnan(action).any():
            raise EnvironmentFailure(
                f"{self.id} was given the action {action} of shape {action.shape}, not {self.action_low.shape}"
            )
        # float32(0.3) exceeds 0.3, so clip in the space's own precision; np.clip takes five times as long
        action = np.minimum(np.maximum(action, self._low), self._high).astype(self._low.dtype, copy=False)
        action = action.reshape(self._shape)
        score, env_steps, ended = 0.0, 0, False
        while env_steps < self._action_repeat and not ended:
            obs, reward, terminated, truncated, info = self._step(action)
            score += reward
            env_steps += 1
            ended = terminated or truncated
        info["env_steps"] = env_steps
        if self._meter is not None:
            raw_reward, info["env_steps"] = self._meter.read()
            info["raw_reward"] = self._finite(raw_reward)
        return obs, score, terminated, truncated, info

    def _step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._length += 1
        self.waiting_since = time.monotonic()
        try:
            obs, reward, terminated, truncated, info = self.env.step(action)
            reward, terminated, truncated, info = float(reward), bool(terminated), bool(truncated), dict(info or {})
        except RAISED as error:
            raise EnvironmentFailure(
                f"{self.id} failed in step {self._length} of an episode, action {action}: {named(error)}"
            ) from error
        finally:
            self.waiting_since = None
        return self._checked(obs), self._finite(reward), terminated, truncated, info

    @property
    def render_modes(self) -> list[str]:
        """The render modes: "human" opens a window, "rgb_array" returns a picture."""
        modes = self._said("render_modes")
        return [str(mode) for mode in modes] if isinstance(modes, list | tuple) else []

    @property
    def fps(self) -> float:
        """Pictures a second in real time, one for each action. The default is 30 environment steps a second."""
        fps = self._said("render_fps")
        if type(self.unwrapped).__module__.startswith("shimmy."):  # it reports milliseconds a step as frames a second
            fps = 1.0 / self.unwrapped.dt  # type: ignore[attr-defined]
        return max(1.0, (fps if isinstance(fps, int | float) and 1 <= fps <= 1000 else 30.0) / self._action_repeat)

    def render(self) -> np.ndarray:
        """A picture of the current state, uint8 [H, W, 3], in the render mode "rgb_array"; all have one size.

        Raises EnvironmentFailure for anything else.
        """
        where = f"after step {self._length} of an episode"
        try:
            drawn = self.env.render()
        except RAISED as error:
            raise EnvironmentFailure(f"{self.id} failed to draw a picture {where}: {named(error)}") from error
        picture = drawn if isinstance(drawn, np.ndarray) else np.empty(0)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            kind = f"{picture.dtype} {picture.shape}" if picture is drawn else type(drawn).__name__
            raise EnvironmentFailure(f"{self.id} drew {kind} {where}, not a picture (uint8, height x width x 3)")
        self._picture = self._picture or picture.shape
        if picture.shape != self._picture:
            raise EnvironmentFailure(f"{self.id} drew a picture of {picture.shape} {where}, the first one was {self._picture}")
        return picture

    def close(self) -> None:
        """Close the environment. An error is ignored, since the episodes are complete by then."""
        self.waiting_since = time.monotonic()
        with contextlib.suppress(*RAISED):
            self.env.close()
        self.waiting_since = None

    def _said(self, name: str) -> Any:
        return self.metadata.get(name) if isinstance(self.metadata, dict) else None

    def _finite(self, reward: float) -> float:
        if not abs(reward) <= LARGEST_REWARD:
            raise EnvironmentFailure(f"{self.id} returned the reward {reward} in step {self._length} of an episode")
        return reward

    def _checked(self, obs: Any) -> np.ndarray:
        try:
            with np.errstate(over="ignore"):  # a value too large for float32 becomes inf, which is found below
                checked = np.array(obs, dtype=np.float32)  # a copy: some environments return the array that they write to
        except RAISED as error:
            raise EnvironmentFailure(
                f"{self.id} returned an observation that is no array of numbers in step {self._length} of an episode: "
                f"{named(error)}"
            ) from error
        if checked.shape != (self.obs_size,):
            raise EnvironmentFailure(
                f"{self.id} returned an observation of shape {checked.shape} in step {self._length} of an episode, "
                f"its space says {(self.obs_size,)}"
            )
        if not np.isfinite(checked).all():
            raise EnvironmentFailure(f"{self.id} returned the observation {checked} in step {self._length} of an episode")
        return checked


def named(error: BaseException) -> str:
    """The type and message of an error, in one line."""
    return f"{type(error).__name__}: {sentence(error)}"


def sentence(error: BaseException) -> str:
    """The message of an error in one line, shortened to LONGEST characters."""
    try:
        words = " ".join(str(error).split())
    except Exception:  # the error's own __str__ may fail
        return "no message"
    return words if len(words) <= LONGEST else words[:LONGEST] + " ..."
