"""Spaces that can be used: observations that are numbers, actions that are a bounded array of real numbers."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.wrappers import ClipAction

from utils.errors import ParameterError

FLOAT32_MAX = float(np.finfo(np.float32).max)


def is_flat(space: gymnasium.Space) -> bool:
    """Whether observations of this space are vectors of numbers already."""
    return isinstance(space, Box) and len(space.shape) == 1 and space.shape[0] > 0 and space.dtype.kind in "biuf"


def check_observations(env_id: str, space: gymnasium.Space) -> None:
    """Raise ParameterError for an observation space that Gymnasium cannot flatten into numbers, and for images."""
    if is_flat(space) or _can_be_flattened(space) and gymnasium.spaces.flatdim(space):
        return
    why = "; images need a convolutional network, which is not here" if _is_image(space) else ""
    raise ParameterError(
        f"{env_id} has the observation space {space}; only numbers (a Box that is neither empty nor an image, Discrete, "
        f"MultiDiscrete, MultiBinary, and Dict or Tuple of these) are supported{why}: a --wrapper can turn others into numbers."
    )


def action_space(env: gymnasium.Env) -> gymnasium.Space:
    """The action space of an environment; below ClipAction, which makes it unbounded, that of what it wraps."""
    space = env.action_space
    while isinstance(env, gymnasium.Wrapper) and env.action_space == space:
        if isinstance(env, ClipAction):
            space = env.env.action_space
        env = env.env
    return space


def action_bounds(env_id: str, space: gymnasium.Space, bound: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper bounds of an action space, flattened, in its own dtype [A].

    `bound` takes the place of missing bounds: -bound, bound. Raises ParameterError for a space that is not supported.
    """
    if not isinstance(space, Box) or not np.prod(space.shape) or space.dtype.kind != "f":
        raise ParameterError(
            f"{env_id} has the action space {space}; only continuous actions (a Box of real numbers, not empty) are supported"
            f"{_instead(env_id, space)}."
        )
    low, high = space.low.ravel(), space.high.ravel()
    unbounded_below, unbounded_above = -low > FLOAT32_MAX / 2, high > FLOAT32_MAX / 2
    if bound is None and (unbounded_below | unbounded_above).any():
        raise ParameterError(
            f"{env_id} has the unbounded action space {space}; add --action-bound with the greatest size of an action that "
            "makes sense, such as 1."
        )
    if bound is not None:
        if not (unbounded_below | unbounded_above).any():
            raise ParameterError(f"{env_id} has bounds for its actions, {low} to {high}, so leave out --action-bound.")
        low = np.where(unbounded_below, -bound, low).astype(space.dtype)
        high = np.where(unbounded_above, bound, high).astype(space.dtype)
    if not (low.astype(np.float32) < high.astype(np.float32)).all():
        raise ParameterError(f"{env_id} has the action space {space}; every upper bound must exceed its lower bound.")
    return low, high


def _can_be_flattened(space: gymnasium.Space) -> bool:
    if isinstance(space, Dict | Tuple):
        parts = space.spaces.values() if isinstance(space, Dict) else space.spaces
        return all(map(_can_be_flattened, parts))
    if isinstance(space, Box):
        return space.dtype.kind in "biuf" and not _is_image(space)
    return isinstance(space, Discrete | MultiDiscrete | MultiBinary)


def _is_image(space: gymnasium.Space) -> bool:
    return isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)


def _instead(env_id: str, space: gymnasium.Space) -> str:
    """The alternative to an action space: the continuous version that Gymnasium knows, a wrapper, or DQN."""
    name, _, version = env_id.rpartition("-v")
    sibling = f"{name}Continuous-v{version}"
    if sibling in gymnasium.registry:
        return f", as of {sibling}"
    if isinstance(space, Dict | Tuple):
        return "; a --wrapper can flatten these into one Box"
    return "; discrete ones need another algorithm, such as DQN"
