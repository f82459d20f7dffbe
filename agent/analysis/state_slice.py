"""Planes for value maps: two dimensions of an observation or state, and the names of all dimensions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Names of observations and actions by environment, without the version, with the unit if there is one.
_LEG = ("hip angle (rad)", "hip speed", "knee angle (rad)", "knee speed", "leg contact")
_WALKER = (
    ("hull angle (rad)", "hull angular speed", "horizontal speed", "vertical speed")
    + tuple(f"{leg} {part}" for leg in ("first", "second") for part in _LEG)
    + tuple(f"lidar {i}" for i in range(1, 11))
)
_JOINTS = ("first hip torque", "first knee torque", "second hip torque", "second knee torque")
_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Pendulum": (("cosine of the angle", "sine of the angle", "angular speed (rad/s)"), ("torque (N m)",)),
    "LunarLanderContinuous": (
        ("horizontal position", "height", "horizontal speed", "vertical speed", "angle (rad)", "angular speed")
        + ("left leg contact", "right leg contact"),
        ("main engine", "side engine"),
    ),
    "BipedalWalker": (_WALKER, _JOINTS),
    "BipedalWalkerHardcore": (_WALKER, _JOINTS),
    "MountainCarContinuous": (("position", "speed"), ("force",)),
}


@dataclass(frozen=True)
class Axis:
    """One dimension of a plane: its name, with the unit if there is one, and the drawn range."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class StateSlice:
    """Two axes; `observe` maps coordinates [n], [n] to observations [n, S], `locate` maps observations back."""

    x: Axis
    y: Axis
    observe: Callable[[np.ndarray, np.ndarray], np.ndarray]
    locate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    held: str = ""  # the fixed values of the other dimensions, in words

    def grid(self, resolution: int) -> np.ndarray:
        """Observations [resolution * resolution, S], row by row from the lowest y, each row from the lowest x."""
        x, y = np.meshgrid(*(np.linspace(axis.low, axis.high, resolution) for axis in (self.x, self.y)))
        return self.observe(x.ravel(), y.ravel()).astype(np.float32)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The `extent` for matplotlib's imshow."""
        return self.x.low, self.x.high, self.y.low, self.y.high


def state_slice(env_id: str) -> StateSlice | None:
    """The plane of an environment with two state variables that determine the observation; None for others."""
    return _PENDULUM if _kind(env_id) == "Pendulum" else None


def observation_slice(names: list[str], x: int, y: int, held: np.ndarray, low: np.ndarray, high: np.ndarray) -> StateSlice:
    """Dimensions `x` and `y` of the observation, between `low` and `high` [S], the others as in `held` [S]."""

    def observe(along_x: np.ndarray, along_y: np.ndarray) -> np.ndarray:
        obs = np.tile(held, (len(along_x), 1))
        obs[:, x], obs[:, y] = along_x, along_y
        return obs

    others = [f"{names[i]} {held[i]:.2g}" for i in range(len(held)) if i not in (x, y)]
    words = ", ".join(others[:6]) + (f" and {len(others) - 6} more" if len(others) > 6 else "")
    across, up = (Axis(names[i], float(low[i]), float(high[i])) for i in (x, y))
    return StateSlice(across, up, observe, lambda obs: (obs[:, x], obs[:, y]), f"held at {words}" if words else "")


def by_variation(obs: np.ndarray, scale: np.ndarray) -> list[int]:
    """The dimensions of observations [n, S], by decreasing standard deviation in units of `scale` [S].

    Dimensions with at most two values, such as a leg's contact, come last: a map over them shows two states only.
    """
    spread = obs.std(axis=0) / scale
    flags = [len(np.unique(column)) <= 2 for column in obs.T]
    return sorted(range(len(spread)), key=lambda i: (flags[i], -spread[i]))


def two_dims(x: int | None, y: int | None, order: Sequence[int]) -> tuple[int, int]:
    """The dimensions along x and y; None is replaced by the first free one of `order`, the lower number along x."""
    free = [i for i in order if i not in (x, y)]
    if x is None and y is None:
        x, y = sorted(free[:2])
    return free[0] if x is None else x, free[0] if y is None else y


def observation_names(env_id: str, size: int) -> list[str]:
    """A name for each dimension of the observation."""
    return _names(env_id, 0, size, "observation")


def action_names(env_id: str, size: int) -> list[str]:
    """A name for each dimension of the action."""
    return _names(env_id, 1, size, "action")


def _names(env_id: str, which: int, size: int, otherwise: str) -> list[str]:
    names = _NAMES.get(_kind(env_id), ((), ()))[which]
    return list(names) if len(names) == size else [f"{otherwise} {i}" for i in range(size)]


def _kind(env_id: str) -> str:
    return re.sub(r"-v\d+$", "", env_id)


def _pendulum_obs(angle: np.ndarray, speed: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle), speed], axis=1)


def _pendulum_state(obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arctan2(obs[:, 1], obs[:, 0]), obs[:, 2]


_PENDULUM = StateSlice(
    Axis("angle from upright (rad)", -np.pi, np.pi), Axis("angular speed (rad/s)", -8.0, 8.0), _pendulum_obs, _pendulum_state
)
