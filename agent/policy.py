"""Acting and judging without TensorFlow: immutable NumPy copies of the networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from params import TrainParams
from utils.arrays import Arrays
from utils.checkpoints import Checkpoint
from utils.envs import Environment
from utils.errors import CheckpointError, ParameterError

_EPSILON = 1e-3  # of Keras' batch normalisation


@dataclass(frozen=True)
class Scaling:
    """How raw observations, rewards and actions become what the networks see.

    obs_mean, obs_scale float32 [S]; obs_clip and reward_scale scalars; action_low, action_high float32 [A].
    """

    obs_mean: np.ndarray
    obs_scale: np.ndarray
    obs_clip: float
    reward_scale: float
    action_low: np.ndarray
    action_high: np.ndarray

    def observe(self, obs: np.ndarray) -> np.ndarray:
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
    def fitting(cls, env: Environment, params: TrainParams) -> Self:
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
        return {f"scaling/{name}": np.asarray(value, np.float32) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Scaling:
        """The inverse of `arrays`."""
        mean, scale, clip, reward_scale, low, high = (arrays[f"scaling/{name}"] for name in cls.__dataclass_fields__)
        return cls(mean, scale, float(clip), float(reward_scale), low, high)


class _Frozen(ABC):
    """A network's weights by the name layer/variable, and the scaling of what it sees; nothing changes after it is made.

    Batch normalisation is folded into the layer before it (in float64). The scaling is not folded, since that would
    lose float32 precision.
    """

    FILE: ClassVar[str]  # where a checkpoint keeps it

    def __init__(self, weights: Arrays, scaling: Scaling, version: int = 0):
        self.scaling = scaling
        self.version = version  # the learner step it was taken at
        self._weights = weights
        self._norm = _input_norm(weights)
        self._layers = [_folded(weights, layer, norm) for layer, norm in _LAYERS]

    def _observe(self, obs: np.ndarray) -> np.ndarray:
        scaled = self.scaling.observe(obs)
        return scaled * self._norm[0] + self._norm[1] if self._norm else scaled

    def weights(self) -> Arrays:
        """The network's arrays by the name layer/variable."""
        return self._weights

    def arrays(self) -> Arrays:
        """Everything `from_arrays` needs, for a checkpoint."""
        return self._weights | self.scaling.arrays()

    @classmethod
    def from_arrays(cls, arrays: Arrays, version: int = 0) -> Self:
        """The inverse of `arrays`."""
        weights = {name: array for name, array in arrays.items() if not name.startswith("scaling/")}
        return cls(weights, Scaling.from_arrays(arrays), version)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        """The one in a checkpoint. Raises CheckpointError when its arrays are not what such a network needs."""
        arrays = checkpoint.arrays(cls.FILE)
        try:
            frozen = cls.from_arrays(arrays, checkpoint.step)
            frozen._try()
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise CheckpointError(f"{checkpoint.path / cls.FILE} does not hold a whole network: {error!r}.") from None
        return frozen

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The one in a checkpoint folder. Raises CheckpointError."""
        return cls.of(Checkpoint(path))

    @abstractmethod
    def _try(self) -> None:
        """Raise when the arrays do not work together."""


class Policy(_Frozen):
    """What an actor does: raw observations to actions in the environment's units."""

    FILE = "policy.npz"

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions [n, A] for observations [n, S], or [A] for one [S]; no noise."""
        obs = np.asarray(obs, np.float32)
        (kernel1, bias1), (kernel2, bias2), (kernel3, bias3) = self._layers
        h = np.maximum(self._observe(obs) @ kernel1 + bias1, 0.0)
        h = np.maximum(h @ kernel2 + bias2, 0.0)
        return self.scaling.to_bounds(np.tanh(h @ kernel3 + bias3))

    def _try(self) -> None:
        if not np.isfinite(self.act(self.scaling.obs_mean)).all():
            raise ValueError("its actions are not finite numbers")


class Critic(_Frozen):
    """What a critic believes: the return distribution of raw observations and actions.

    `atoms` [K] are discounted returns in raw reward units.
    """

    FILE = "critic.npz"

    def __init__(self, weights: Arrays, scaling: Scaling, version: int = 0):
        super().__init__(weights, scaling, version)
        self.atoms = weights["atoms"] * np.float32(scaling.reward_scale)

    def logits(self, obs: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Logits [n, K] for raw observations [n, S] and actions [n, A]."""
        (kernel1, bias1), (kernel2, bias2), (kernel3, bias3) = self._layers
        h = np.maximum(self._observe(obs) @ kernel1 + bias1, 0.0)
        h = np.maximum(np.concatenate([h, self.scaling.to_unit(action)], axis=-1) @ kernel2 + bias2, 0.0)
        return h @ kernel3 + bias3

    def distribution(self, obs: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Probabilities [n, K] of the discounted returns `atoms`."""
        logits = self.logits(obs, action)
        mass = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return mass / mass.sum(axis=-1, keepdims=True)

    def value(self, obs: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Expected discounted return [n], in raw reward units."""
        # No `@`: on finite numbers a matrix-vector product of BLAS was seen to report an invalid value to NumPy.
        return (self.distribution(obs, action) * self.atoms).sum(axis=-1)

    def _try(self) -> None:
        if not np.isfinite(self.value(self.scaling.obs_mean, self.scaling.action_low)):
            raise ValueError("its values are not finite numbers")


class UniformPolicy:
    """Uniformly random actions within the bounds: what an agent does before there is anything to follow."""

    version = 0

    def __init__(self, scaling: Scaling, rng: np.random.Generator):
        self._scaling, self._rng = scaling, rng

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions [n, A] for observations [n, S]."""
        unit = self._rng.uniform(-1.0, 1.0, (len(obs), len(self._scaling.action_low))).astype(np.float32)
        return self._scaling.to_bounds(unit)


_LAYERS = (("dense1", "norm1"), ("dense2", "norm2"), ("output", None))


def _folded(weights: Arrays, layer: str, norm: str | None) -> tuple[np.ndarray, np.ndarray]:
    """A dense layer's kernel and bias, with the batch normalisation that follows it folded in where there is one."""
    kernel, bias = weights[f"{layer}/kernel"], weights[f"{layer}/bias"]
    if f"{norm}/gamma" not in weights:
        return kernel, bias
    factor, shift = _affine(weights, norm)
    return (kernel * factor).astype(np.float32), (bias * factor + shift).astype(np.float32)


def _input_norm(weights: Arrays) -> tuple[np.ndarray, np.ndarray] | None:
    """The batch normalisation of the input as (factor, shift), where there is one."""
    if "norm0/gamma" not in weights:
        return None
    factor, shift = _affine(weights, "norm0")
    return factor.astype(np.float32), shift.astype(np.float32)


def _affine(weights: Arrays, norm: str | None) -> tuple[np.ndarray, np.ndarray]:
    gamma, beta, mean, variance = (
        weights[f"{norm}/{name}"].astype(np.float64) for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    factor = gamma / np.sqrt(variance + _EPSILON)
    return factor, beta - mean * factor
