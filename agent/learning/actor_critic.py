"""Actor and critics, their target networks and optimisers: built from parameters, kept in checkpoints."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from agent.learning import networks
from agent.learning.networks import Hidden
from params import TrainParams
from utils.errors import CheckpointError
from utils.storage.arrays import Arrays


class ActorCritic:
    """Owns an actor, critics, a target network of each, and their optimisers."""

    def __init__(self, params: TrainParams, obs_size: int, action_size: int, rng: np.random.Generator):
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        self._params = params
        norm = "batch" if params.use_batch_norm else "layer" if params.layer_norm else "none"
        actor_hidden, critic_hidden = Hidden(params.actor_hidden, norm), Hidden(params.critic_hidden, norm)
        outputs = params.num_atoms if params.value_head == "categorical" else 1

        def make_networks() -> tuple[keras.Model, list[keras.Model]]:
            actor = networks.make_actor(obs_size, action_size, actor_hidden, params.final_layer_init, rng)
            critic = obs_size, action_size, critic_hidden, outputs, params.final_layer_init, rng
            return actor, [networks.make_critic(*critic) for _ in range(params.num_critics)]

        self.actor, self.critics = make_networks()
        self.target_actor, self.target_critics = make_networks()
        for network, target in self._pairs():
            target.set_weights(network.get_weights())
        self._actor_optimiser = keras.optimizers.Adam(params.actor_learning_rate, epsilon=1e-8, name="adam")
        self._actor_optimiser.build(self.actor.trainable_variables)
        rate = params.critic_learning_rate
        self._critic_optimisers = [keras.optimizers.Adam(rate, epsilon=1e-8, name="adam") for _ in self.critics]
        for optimiser, critic in zip(self._critic_optimisers, self.critics, strict=True):
            optimiser.build(critic.trainable_variables)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def fit_critics(self, old: np.ndarray, new: np.ndarray) -> None:
        """Keep the critics' distributions over atoms `old` [K] nearly the same over `new` [K], both in the same units."""
        for critic in self.critics:
            networks.interpolate_outputs(critic, old, new)

    def set_first_mean(self, atoms: np.ndarray, mean: float) -> None:
        """Let new critics and their targets predict about this mean over `atoms` [K]. Critics that have learned keep theirs."""
        if int(self._step) == 0:
            for critic in (*self.critics, *self.target_critics):
                networks.tilt_outputs(critic, atoms, mean)

    def copy_critics(self) -> None:
        """Give the target critics the weights of the critics."""
        for critic, target in zip(self.critics, self.target_critics, strict=True):
            target.set_weights(critic.get_weights())

    def set_rate_factor(self, factor: float) -> None:
        """Multiply both learning rates by `factor` from the next call on. Nothing is compiled again."""
        # float32 of NumPy: TensorFlow keeps each new Python float in a cache that never shrinks.
        self._actor_optimiser.learning_rate = np.float32(self._params.actor_learning_rate * factor)
        for optimiser in self._critic_optimisers:
            optimiser.learning_rate = np.float32(self._params.critic_learning_rate * factor)

    # ---- checkpoints

    def arrays(self) -> Arrays:
        """A copy of every variable that later updates depend on."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, arrays: Arrays, step: int) -> None:
        """Load the arrays of `arrays` and their learner step. Raises CheckpointError naming every array that does not fit."""
        variables = self._variables()
        wrong = [f"{name} is missing" for name in variables.keys() - arrays.keys()]
        wrong += [f"{name} is unknown" for name in arrays.keys() - variables.keys()]
        for name in variables.keys() & arrays.keys():
            if tuple(arrays[name].shape) != tuple(variables[name].shape):
                wrong.append(f"{name} has the shape {arrays[name].shape}, expected {tuple(variables[name].shape)}")
            elif not np.isfinite(arrays[name]).all():
                wrong.append(f"{name} is not finite")
        if wrong:
            raise CheckpointError(f"the checkpoint does not fit these networks: {'; '.join(sorted(wrong))}.")
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self._step.assign(step)

    def _variables(self) -> dict[str, Any]:
        owners = {"actor": self.actor, "target_actor": self.target_actor, "actor_optimiser": self._actor_optimiser}
        critics = zip(self.critics, self.target_critics, self._critic_optimisers, strict=True)
        for i, (critic, target, optimiser) in enumerate(critics):
            name = f"critic{i + 1 if i else ''}"  # critic, critic2
            owners |= {name: critic, f"target_{name}": target, f"{name}_optimiser": optimiser}
        named = {
            f"{owner}/{variable.path}": variable.value for owner, holder in owners.items() for variable in holder.variables
        }
        # Learning rates are parameters, so the current ones are used and not those of the checkpoint.
        return {name: value for name, value in named.items() if not name.endswith("/learning_rate")}

    def _learned(self) -> list[keras.Variable]:
        """The variables that an update changes, apart from the targets: networks with moving statistics, and optimisers."""
        holders = [self.actor, *self.critics, self._actor_optimiser, *self._critic_optimisers]
        return [variable for holder in holders for variable in holder.variables if variable.name != "learning_rate"]

    def _pairs(self) -> list[tuple[keras.Model, keras.Model]]:
        """Each network with its target network."""
        return list(zip([self.actor, *self.critics], [self.target_actor, *self.target_critics], strict=True))
