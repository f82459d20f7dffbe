"""Actor and critics: Keras models from sizes (Barth-Maron et al., 2018; sizes of msinto93/D4PG)."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

LOGIT_SLOPE, LOWEST_LOGIT = 3.0, 9.0  # how far logits fall beyond an old support: for each atom's distance, and at most
STEEPEST = 50.0  # greatest rise of the logits of a new critic, over half a support


class Hidden(NamedTuple):
    """The hidden layers of a network: their units, and "batch" or "layer" normalisation before each ReLU, or "none".

    Batch normalisation is applied to the observations too.
    """

    units: tuple[int, ...]
    norm: str = "none"


def make_actor(
    obs_size: int, action_size: int, hidden: Hidden, final_layer_init: float, rng: np.random.Generator
) -> keras.Model:
    """The policy: scaled observations [B, S] to actions [B, A] in [-1, 1]."""
    obs = keras.Input((obs_size,), name="obs")
    h, fan_in = _input(obs, hidden), obs_size
    for number, units in enumerate(hidden.units, start=1):
        h, fan_in = _activated(_dense(units, fan_in**-0.5, f"dense{number}", rng)(h), number, hidden), units
    h = _dense(action_size, final_layer_init, "output", rng)(h)
    return keras.Model(obs, keras.layers.Activation("tanh", name="tanh")(h), name="actor")


def make_critic(
    obs_size: int, action_size: int, hidden: Hidden, num_outputs: int, final_layer_init: float, rng: np.random.Generator
) -> keras.Model:
    """The value: scaled observations [B, S] and actions [B, A] in [-1, 1] to outputs [B, num_outputs].

    The action joins after the first hidden layer, or before it where it is the only one.
    """
    obs, action = keras.Input((obs_size,), name="obs"), keras.Input((action_size,), name="action")
    h, fan_in, joins_at = _input(obs, hidden), obs_size, min(2, len(hidden.units))
    for number, units in enumerate(hidden.units, start=1):
        name = f"dense{number}"
        if number == joins_at:
            first, second, bias = (_uniform((fan_in + action_size) ** -0.5, rng) for _ in range(3))
            h = TwoInputDense(units, second, name=name, kernel_initializer=first, bias_initializer=bias)(h, action)
        else:
            h = _dense(units, fan_in**-0.5, name, rng)(h)
        h, fan_in = _activated(h, number, hidden), units
    return keras.Model([obs, action], _dense(num_outputs, final_layer_init, "output", rng)(h), name="critic")


def _input(obs: Any, hidden: Hidden) -> Any:
    return keras.layers.BatchNormalization(name="norm0")(obs) if hidden.norm == "batch" else obs


def _activated(h: Any, number: int, hidden: Hidden) -> Any:
    if hidden.norm == "batch":
        h = keras.layers.BatchNormalization(name=f"norm{number}")(h)
    elif hidden.norm == "layer":
        h = keras.layers.LayerNormalization(name=f"layer_norm{number}")(h)
    return keras.layers.ReLU(name=f"relu{number}")(h)


class TwoInputDense(keras.layers.Dense):
    """A dense layer over two inputs [B, n] and [B, m] with a kernel for each, which are not concatenated.

    The actor's loss needs only the gradient of the second input, the actions. With a concatenation the gradient would be
    computed for all n + m columns. Slices of one kernel would be copied in each call.
    """

    def __init__(self, units: int, second_initializer: keras.initializers.Initializer, **options: Any):
        super().__init__(units, **options)
        self._second_initializer = second_initializer

    def build(self, first_shape: tuple[int | None, int], second_shape: tuple[int | None, int]) -> None:
        """Make the variables for inputs of these shapes."""
        super().build(first_shape)
        self.input_spec = None  # it allows one input only
        self.second_kernel = self.add_weight((second_shape[1], self.units), self._second_initializer, name="second_kernel")

    def call(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """[B, n] and [B, m] to [B, units]."""
        return tf.matmul(first, self.kernel.value) + tf.matmul(second, self.second_kernel.value) + self.bias.value


def kernels(model: keras.Model) -> list[keras.Variable]:
    """The weight matrices of a model's dense layers, without biases and norms, for L2 regularisation."""
    return [variable for variable in model.trainable_variables if variable.name.endswith("kernel")]


def named_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """A copy of every variable of a model, including moving statistics, by the name layer/variable.

    The two kernels of a TwoInputDense layer become one [n + m, units].
    """
    arrays = {variable.path: variable.value.numpy() for variable in model.variables}
    for layer in model.layers:
        if isinstance(layer, TwoInputDense):
            second = arrays.pop(layer.second_kernel.path)
            arrays[layer.kernel.path] = np.concatenate([arrays[layer.kernel.path], second])
    return arrays


def summary(model: keras.Model) -> str:
    """Keras' summary of a model: its layers, their output shapes and parameter counts."""
    lines: list[str] = []
    model.summary(line_length=80, print_fn=lines.append)  # without a terminal Keras cuts wider lines
    return "\n".join(lines)


def _dense(units: int, limit: float, name: str, rng: np.random.Generator) -> keras.layers.Dense:
    return keras.layers.Dense(units, name=name, kernel_initializer=_uniform(limit, rng), bias_initializer=_uniform(limit, rng))


def _uniform(limit: float, rng: np.random.Generator) -> keras.initializers.Initializer:
    return keras.initializers.RandomUniform(-limit, limit, seed=int(rng.integers(2**31)))


def interpolate_outputs(critic: keras.Model, old: np.ndarray, new: np.ndarray) -> None:
    """Change the last layer of a critic of logits at the returns `old` [K] to that of nearly the same density at `new` [K].

    Between two old returns the logits are interpolated. Beyond them they fall by LOGIT_SLOPE for each step of `old`.
    """
    places = np.interp(new, old, np.arange(len(old)))  # [K], in steps of `old`
    lower = np.minimum(places.astype(int), len(old) - 2)
    share = (places - lower).astype(np.float32)
    layer = critic.get_layer("output")
    for variable in (layer.kernel, layer.bias):  # [H, K] and [K]
        values = variable.numpy()
        variable.assign((1.0 - share) * values[..., lower] + share * values[..., lower + 1])
    beyond = np.maximum(old[0] - new, new - old[-1]).clip(min=0.0) / (old[1] - old[0])
    layer.bias.assign(layer.bias.numpy() - np.minimum(LOGIT_SLOPE * beyond, LOWEST_LOGIT).astype(np.float32))


def tilt_outputs(critic: keras.Model, atoms: np.ndarray, mean: float) -> None:
    """Add to the logits of a new critic those of the distribution over `atoms` [K] with this mean and the greatest entropy.

    That is an exponential of the return. Raises ValueError if `mean` is nearer to an outer atom than a hundredth of the width.
    """
    from scipy.optimize import brentq  # loads slowly
    from scipy.special import softmax

    places = np.linspace(-1.0, 1.0, len(atoms))

    def missing(slope: float) -> float:
        return float(np.interp(mean, atoms, places) - softmax(slope * places) @ places)

    bias = critic.get_layer("output").bias
    bias.assign(bias.numpy() + (brentq(missing, -STEEPEST, STEEPEST) * places).astype(np.float32))
