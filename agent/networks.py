"""The networks of D4PG: Keras models from sizes, nothing else (Barth-Maron et al., 2018; sizes of msinto93/D4PG)."""

import keras
import numpy as np
import tensorflow as tf


def make_actor(
    obs_size: int,
    action_size: int,
    hidden: tuple[int, int],
    final_layer_init: float,
    batch_norm: bool,
    rng: np.random.Generator,
) -> keras.Model:
    """The policy: scaled observations [B, S] to actions [B, A] in [-1, 1]."""
    obs = keras.Input((obs_size,), name="obs")
    h = keras.layers.BatchNormalization(name="norm0")(obs) if batch_norm else obs
    for number, (fan_in, units) in enumerate(zip((obs_size, hidden[0]), hidden, strict=True), start=1):
        h = _dense(units, fan_in**-0.5, f"dense{number}", rng)(h)
        h = keras.layers.BatchNormalization(name=f"norm{number}")(h) if batch_norm else h
        h = keras.layers.ReLU(name=f"relu{number}")(h)
    h = _dense(action_size, final_layer_init, "output", rng)(h)
    return keras.Model(obs, keras.layers.Activation("tanh", name="tanh")(h), name="actor")


def make_critic(
    obs_size: int,
    action_size: int,
    hidden: tuple[int, int],
    num_atoms: int,
    final_layer_init: float,
    batch_norm: bool,
    rng: np.random.Generator,
) -> keras.Model:
    """The return distribution: scaled observations [B, S] and actions [B, A] in [-1, 1] to logits [B, K].

    The action joins after the first hidden layer.
    """
    obs, action = keras.Input((obs_size,), name="obs"), keras.Input((action_size,), name="action")
    h = keras.layers.BatchNormalization(name="norm0")(obs) if batch_norm else obs
    h = _dense(hidden[0], obs_size**-0.5, "dense1", rng)(h)
    h = keras.layers.BatchNormalization(name="norm1")(h) if batch_norm else h
    h = keras.layers.ReLU(name="relu1")(h)
    h = _dense(hidden[1], (hidden[0] + action_size) ** -0.5, "dense2", rng, Joined)(h, action)
    h = keras.layers.BatchNormalization(name="norm2")(h) if batch_norm else h
    h = keras.layers.ReLU(name="relu2")(h)
    return keras.Model([obs, action], _dense(num_atoms, final_layer_init, "output", rng)(h), name="critic")


class Joined(keras.layers.Dense):
    """A dense layer over two inputs side by side, [B, n] and [B, m], with one kernel [n + m, units], but never joined.

    The actor's loss wants the gradient of the second input, the actions, alone; behind a concatenation it would cost the
    product for both, of which m columns in n + m are needed.
    """

    def build(self, first_shape: tuple[int | None, int], second_shape: tuple[int | None, int]) -> None:
        """Make the variables for inputs of these shapes."""
        super().build((first_shape[0], first_shape[1] + second_shape[1]))
        self.input_spec = None  # of one input

    def call(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """[B, n] and [B, m] to [B, units]."""
        kernel, size = self.kernel.value, first.shape[1]
        return tf.matmul(first, kernel[:size]) + tf.matmul(second, kernel[size:]) + self.bias.value


def kernels(model: keras.Model) -> list[keras.Variable]:
    """The weight matrices of a model's dense layers, without biases and norms: what L2 regularisation is for."""
    return [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def named_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """A copy of every variable of a model, moving statistics too, by the name layer/variable."""
    return {variable.path: np.array(variable.value) for variable in model.variables}


def summary(model: keras.Model) -> str:
    """Keras' summary of a model: its layers, their output shapes and parameter counts."""
    lines: list[str] = []
    model.summary(line_length=80, print_fn=lines.append)  # Keras cuts what is wider where there is no terminal
    return "\n".join(lines)


def _dense(
    units: int, limit: float, name: str, rng: np.random.Generator, kind: type[keras.layers.Dense] = keras.layers.Dense
) -> keras.layers.Dense:
    def uniform() -> keras.initializers.Initializer:
        return keras.initializers.RandomUniform(-limit, limit, seed=int(rng.integers(2**31)))

    return kind(units, name=name, kernel_initializer=uniform(), bias_initializer=uniform())
