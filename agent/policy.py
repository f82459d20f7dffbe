"""Actions and values without TensorFlow: immutable NumPy copies of the networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np

from agent.scaling import Scaling
from utils.errors import CheckpointError
from utils.storage.arrays import Arrays
from utils.storage.checkpoints import Checkpoint

_EPSILON = 1e-3  # of Keras' batch and layer normalisation


class NumpyNetwork(ABC):
    """A network's weights by the name layer/variable, and the scaling of its inputs. Immutable.

    Batch normalisation is folded into the layer before it (in float64). The scaling is not folded, since that would
    lose float32 precision.
    """

    FILE: ClassVar[str]  # where a checkpoint keeps it

    def __init__(self, weights: Arrays, scaling: Scaling, version: int = 0):
        self.scaling = scaling
        self.version = version  # the learner step it was taken at
        self._weights = weights
        self._norm = _input_norm(weights)
        names = [name for name in (f"dense{i}" for i in range(1, len(weights) + 1)) if f"{name}/kernel" in weights]
        norms = [(f"norm{i}", _layer_norm(weights, i)) for i in range(1, len(names) + 1)]
        self._hidden = [
            _Layer(*_folded(weights, name, norm), *factors) for name, (norm, factors) in zip(names, norms, strict=True)
        ]
        self._output = _folded(weights, "output", None)

    def _normalise(self, obs: np.ndarray) -> np.ndarray:
        scaled = self.scaling.normalise(obs)
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
        """The network of a checkpoint. Raises CheckpointError when arrays are missing or do not fit together."""
        arrays = checkpoint.arrays(cls.FILE)
        try:
            network = cls.from_arrays(arrays, checkpoint.step)
            network._try()
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise CheckpointError(f"{checkpoint.path / cls.FILE} does not hold a valid network: {error!r}.") from None
        return network

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The network of a checkpoint folder. Raises CheckpointError."""
        return cls.of(Checkpoint(path))

    @abstractmethod
    def _try(self) -> None:
        """Raise when the arrays do not work together."""


class Policy(NumpyNetwork):
    """An actor: raw observations to actions in the environment's units."""

    FILE = "policy.npz"

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions [n, A] for observations [n, S], or [A] for one [S]; no noise."""
        h = self._normalise(np.asarray(obs, np.float32))
        for layer in self._hidden:
            h = layer(h)
        kernel, bias = self._output
        return self.scaling.to_bounds(np.tanh(h @ kernel + bias))

    def _try(self) -> None:
        if not np.isfinite(self.act(self.scaling.obs_mean)).all():
            raise ValueError("its actions are not finite numbers")


class Critic(NumpyNetwork):
    """A critic: raw observations and actions to the discounted return.

    A categorical one has its distribution over `atoms` [K], returns in raw reward units. A scalar one has none: its `atoms` and
    `distribution` are None.
    """

    FILE = "critic.npz"

    def __init__(self, weights: Arrays, scaling: Scaling, version: int = 0):
        super().__init__(weights, scaling, version)
        self.atoms = weights["atoms"] * np.float32(scaling.reward_scale) if "atoms" in weights else None

    def outputs(self, obs: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Logits [n, K], or the scaled value [n, 1], for raw observations [n, S] and actions [n, A]."""
        h, joins_at = self._normalise(obs), min(1, len(self._hidden) - 1)
        for i, layer in enumerate(self._hidden):
            h = layer(np.concatenate([h, self.scaling.to_unit(action)], axis=-1) if i == joins_at else h)
        kernel, bias = self._output
        return h @ kernel + bias

    def distribution(self, obs: np.ndarray, action: np.ndarray) -> np.ndarray | None:
        """Probabilities [n, K] of the discounted returns `atoms`; None of a scalar critic."""
        if self.atoms is None:
            return None
        logits = self.outputs(obs, action)
        mass = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return mass / mass.sum(axis=-1, keepdims=True)

    def value(self, obs: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Expected discounted return [n], in raw reward units."""
        probs = self.distribution(obs, action)
        if probs is None:
            return self.outputs(obs, action)[..., 0] * np.float32(self.scaling.reward_scale)
        # No `@`: on finite numbers a matrix-vector product of BLAS was seen to report an invalid value to NumPy.
        return (probs * self.atoms).sum(axis=-1)

    def _try(self) -> None:
        if not np.isfinite(self.value(self.scaling.obs_mean, self.scaling.action_low)):
            raise ValueError("its values are not finite numbers")


class UniformPolicy:
    """Uniformly random actions within the bounds, for the first transitions of a run."""

    version = 0

    def __init__(self, scaling: Scaling, rng: np.random.Generator):
        self._scaling, self._rng = scaling, rng

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions [n, A] for observations [n, S]."""
        unit = self._rng.uniform(-1.0, 1.0, (len(obs), len(self._scaling.action_low))).astype(np.float32)
        return self._scaling.to_bounds(unit)


class _Layer(NamedTuple):
    """A hidden layer: dense, layer normalisation where there are factors, ReLU."""

    kernel: np.ndarray
    bias: np.ndarray
    gamma: np.ndarray | None = None
    beta: np.ndarray | None = None

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        h = inputs @ self.kernel + self.bias
        if self.gamma is not None:
            centred = h - h.mean(axis=-1, keepdims=True)
            variance = np.square(centred).mean(axis=-1, keepdims=True)
            h = centred / np.sqrt(variance + np.float32(_EPSILON)) * self.gamma + self.beta
        return np.maximum(h, 0.0)


def _layer_norm(weights: Arrays, number: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Factors and offsets of the layer normalisation after a hidden layer, where there is one."""
    return weights.get(f"layer_norm{number}/gamma"), weights.get(f"layer_norm{number}/beta")


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
