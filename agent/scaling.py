"""Scaling of observations, rewards and actions to what the networks see, and whether the support is wide enough."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from params import TrainParams
from utils.envs.environment import Environment
from utils.errors import ParameterError
from utils.storage.arrays import Arrays

WARNED_MASS = 0.03  # share of the target mass outside the support from which it is too narrow
SETTLED = 0.1  # share of a run after which this is judged
_PREFIX = "scaling/"  # of the arrays' names in a checkpoint


@dataclass(frozen=True)
class Scaling:
    """Numbers that scale observations, rewards and actions. Immutable: a change makes a new object.

    obs_mean, obs_scale float32 [S]; obs_clip and reward_scale scalars; action_low, action_high float32 [A]. A field that
    is added later needs a default, so that older checkpoints load.
    """

    obs_mean: np.ndarray
    obs_scale: np.ndarray
    obs_clip: float
    reward_scale: float
    action_low: np.ndarray
    action_high: np.ndarray

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is float:
                object.__setattr__(self, field.name, float(value))
            else:
                array = np.array(value, np.float32)
                array.setflags(write=False)
                object.__setattr__(self, field.name, array)

    def normalise(self, obs: np.ndarray) -> np.ndarray:
        """Raw observations [n, S] as the networks see them."""
        scaled = (np.asarray(obs, np.float32) - self.obs_mean) / self.obs_scale
        return scaled if self.obs_clip == np.inf else np.clip(scaled, -self.obs_clip, self.obs_clip)

    def to_bounds(self, unit: np.ndarray) -> np.ndarray:
        """Actions [n, A] in [-1, 1] in the environment's units; -1 and 1 give the bounds exactly."""
        half = np.float32(0.5)
        return (half - half * unit) * self.action_low + (half + half * unit) * self.action_high

    def to_unit(self, action: np.ndarray) -> np.ndarray:
        """Actions [n, A] in the environment's units, in [-1, 1]."""
        return 2.0 * (np.asarray(action, np.float32) - self.action_low) / (self.action_high - self.action_low) - 1.0

    @classmethod
    def from_env(cls, env: Environment, params: TrainParams) -> Self:
        """The scaling of an environment by the parameters. Raises ParameterError where they do not fit its sizes."""

        def column(name: str, default: float) -> np.ndarray:
            values = getattr(params, name)
            if values is not None and len(values) != env.obs_size:
                raise ParameterError(
                    f"{name} has {len(values)} numbers, but an observation of {env.id} has {env.obs_size}: give one for each."
                )
            return np.full(env.obs_size, default, np.float32) if values is None else np.array(values, np.float32)

        clip = np.inf if params.obs_clip is None else params.obs_clip
        return cls(
            column("obs_mean", 0.0), column("obs_scale", 1.0), clip, params.reward_scale, env.action_low, env.action_high
        )

    def arrays(self) -> Arrays:
        """As named arrays, for a checkpoint."""
        return {f"{_PREFIX}{name}": np.asarray(value, np.float32) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `arrays`. Raises KeyError when a field without a default is missing."""
        names = [
            field.name
            for field in dataclasses.fields(cls)
            if f"{_PREFIX}{field.name}" in arrays or field.default is dataclasses.MISSING
        ]
        return cls(**{name: arrays[f"{_PREFIX}{name}"] for name in names})  # type: ignore[arg-type]


def support_warnings(below: float, above: float, v_min: float, v_max: float) -> Iterator[tuple[str, str]]:
    """The parameter to change and a sentence, for each side with more than WARNED_MASS of the target mass outside."""
    for side, share, name, bound, verb in (
        ("above", above, "v_max", v_max, "raise"),
        ("below", below, "v_min", v_min, "lower"),
    ):
        if share > WARNED_MASS:
            yield name, f"{share:.0%} of the target mass lies {side} the support: {verb} {name} (now {bound:g})."
