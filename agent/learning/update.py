"""The compiled update of D4PG (Barth-Maron et al., 2018, algorithm 1): networks, targets, optimisers."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from agent.learning import losses, networks
from agent.learning.heads import CategoricalHead
from agent.learning.scaling_tensors import ScalingTensors
from agent.scaling import Scaling
from params import TrainParams
from utils.errors import CheckpointError
from utils.replay.prioritised import Sample
from utils.storage.arrays import Arrays

# Logged besides the head's. actor_loss, with the saturation penalty, is in scaled rewards, mean_q and td_error in raw ones.
METRICS = ("mean_importance_weight", "actor_loss", "saturated_actions", "mean_q", "td_error")


class UpdateResult(NamedTuple):
    """Result of a call: priorities [updates, B], sums of the metrics over the finite updates, the number of these, the number
    of updates skipped in a row at its end, the sum of the mean projected targets [K], and the actor as it is now, by the name
    layer/variable.
    """

    priorities: np.ndarray
    sums: dict[str, float]
    finite: int
    skipped_in_a_row: int
    target_mass: np.ndarray
    actor: Arrays


class CompiledUpdate:
    """Owns actor, critics, their targets and optimisers, and updates them several times in one compiled call.

    In the comments U is updates_per_call, B the batch, S, A, K the sizes of observation, action and support.
    """

    def __init__(self, params: TrainParams, scaling: Scaling, rng: np.random.Generator, num_critics: int = 1):
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        self._params, self._head = params, CategoricalHead(params.priority)
        obs_size, action_size = len(scaling.obs_mean), len(scaling.action_low)
        hidden, last, norm = (params.dense1_size, params.dense2_size), params.final_layer_init, params.use_batch_norm

        def make_networks() -> tuple[keras.Model, list[keras.Model]]:
            actor = networks.make_actor(obs_size, action_size, hidden, last, norm, rng)
            sizes = obs_size, action_size, hidden, params.num_atoms
            return actor, [networks.make_critic(*sizes, last, norm, rng) for _ in range(num_critics)]

        self.actor, self.critics = make_networks()
        self.target_actor, self.target_critics = make_networks()
        for network, target in self._pairs():
            target.set_weights(network.get_weights())
        bounds = (-1.0, 1.0) if params.has_automatic_support else params.support  # the learner rescales an automatic one
        self.rescale(scaling, np.linspace(*bounds, params.num_atoms, dtype=np.float32))
        self._actor_inside = keras.Model(self.actor.input, [self.actor.output, self.actor.get_layer("output").output])
        self._actor_optimiser = keras.optimizers.Adam(params.actor_learning_rate, epsilon=1e-8, name="adam")
        self._actor_optimiser.build(self.actor.trainable_variables)
        rate = params.critic_learning_rate
        self._critic_optimisers = [keras.optimizers.Adam(rate, epsilon=1e-8, name="adam") for _ in self.critics]
        for optimiser, critic in zip(self._critic_optimisers, self.critics, strict=True):
            optimiser.build(critic.trainable_variables)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._compiled = tf.function(self._updates, jit_compile=True)

    def __call__(self, count: int, skipped_in_a_row: int, sample: Sample) -> UpdateResult:
        """Do the first `count` of the sample's U updates, in order; `skipped_in_a_row` were skipped right before them.

        An update whose loss or gradients are not finite, of critic or actor, is skipped and counted: it changes only the step.
        """
        counts = tf.constant(count, tf.int32), tf.constant(skipped_in_a_row, tf.int32)
        priorities, sums, finite, skipped, mass, actor = self._compiled(*counts, self._scaling, sample)
        arrays = {variable.path: tensor.numpy() for variable, tensor in zip(self.actor.variables, actor, strict=True)}
        sums = {name: float(total) for name, total in sums.items()}
        return UpdateResult(priorities.numpy()[:count], sums, int(finite), int(skipped), mass.numpy(), arrays)

    @staticmethod
    def to_tensors(sample: Sample) -> Sample:
        """The same sample as tensors. Saves time in the call where there is time before it."""
        return Sample(sample.ids, *map(tf.constant, sample[1:]))

    def rescale(self, scaling: Scaling, support: np.ndarray, target_support: np.ndarray | None = None) -> None:
        """Use these numbers from the next call on; the supports are atoms [K] in scaled rewards. Nothing is compiled again.

        Where `target_support` is given, the target critics' outputs refer to it, and they keep their weights.
        """
        numbers = [*vars(scaling).values(), support if target_support is None else target_support, support]
        self.atoms = np.asarray(support, np.float32)
        pace = 1.0 if target_support is None else 0.0
        self._scaling = ScalingTensors(*(tf.constant(number, tf.float32) for number in [*numbers, pace]))

    def fit_critics(self, old: np.ndarray, new: np.ndarray) -> None:
        """Keep the critics' distributions over atoms `old` [K] nearly the same over `new` [K], both in the same units."""
        for critic in self.critics:
            networks.interpolate_outputs(critic, old, new)

    def copy_critics(self) -> None:
        """Give the target critics the weights of the critics."""
        for critic, target in zip(self.critics, self.target_critics, strict=True):
            target.set_weights(critic.get_weights())

    def set_rate_factor(self, factor: float) -> None:
        """Multiply both learning rates by `factor` from the next call on. Nothing is compiled again."""
        self._actor_optimiser.learning_rate = self._params.actor_learning_rate * factor
        for optimiser in self._critic_optimisers:
            optimiser.learning_rate = self._params.critic_learning_rate * factor

    # ---- keeping

    def arrays(self) -> Arrays:
        """A copy of all that updating on needs."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, arrays: Arrays, step: int) -> None:
        """Take over what `arrays` gave at a step. Raises CheckpointError naming every array that does not fit."""
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
        # A learning rate is a parameter: the one that holds now, not the one that held when it was saved.
        return {name: value for name, value in named.items() if not name.endswith("/learning_rate")}

    # ---- what is compiled

    def _updates(
        self, updates: tf.Tensor, skipped_in_a_row: tf.Tensor, scaling: ScalingTensors, sample: Sample
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Do the first `updates` of the sample's U; `skipped_in_a_row` updates were skipped right before them.

        Returns the fields of UpdateResult, but the priorities [U, B] of all U, and the actor's variables instead of its arrays.
        """
        sample = sample._replace(
            obs=scaling.normalise(sample.obs),
            action=scaling.to_unit(sample.action),
            reward=sample.reward * (1.0 / scaling.reward_scale),
            next_obs=scaling.normalise(sample.next_obs),
        )
        names = self._head.METRICS + METRICS
        priorities = tf.TensorArray(tf.float32, size=self._params.updates_per_call, element_shape=sample.reward.shape[1:])
        sums, finite_updates = {name: tf.constant(0.0) for name in names}, tf.constant(0)
        mass, i = tf.zeros_like(scaling.support), tf.constant(0)
        while i < updates:  # XLA would compile a tf.range again for each other number of updates
            priority, metrics, target, finite = self._one_update(scaling, Sample(*(column[i] for column in sample)))
            priorities = priorities.write(i, priority)
            sums = {name: sums[name] + tf.where(finite, metrics[name], 0.0) for name in names}
            mass += tf.where(finite, losses.mean_over_batch(target), 0.0)
            finite_updates += tf.cast(finite, tf.int32)
            skipped_in_a_row = tf.where(finite, 0, skipped_in_a_row + 1)
            i += 1
        actor = [tf.identity(variable.value) for variable in self.actor.variables]
        return priorities.stack(), sums, finite_updates, skipped_in_a_row, mass, actor

    @tf.autograph.experimental.do_not_convert  # only the loop above needs AutoGraph, which takes 0.7 s for the rest
    def _one_update(
        self, scaling: ScalingTensors, batch: Sample
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """From a scaled batch to the priorities [B], the metrics by name, the target, and whether all numbers were finite."""
        head, support = self._head, scaling.support  # [K]
        next_action = self.target_actor(batch.next_obs, training=False)  # [B, A]
        next_outputs = [critic([batch.next_obs, next_action], training=False) for critic in self.target_critics]  # [B, K] each
        # The target [B, K]; nothing below follows its gradient, since it is made outside of the tapes.
        target, target_metrics = head.target(next_outputs, batch.reward, batch.discount, scaling.target_support, support)

        before = [tf.identity(variable.value) for variable in self._learned()]
        outputs, finite = [], tf.constant(True)
        for critic, optimiser in zip(self.critics, self._critic_optimisers, strict=True):
            with tf.GradientTape() as tape:
                output = critic([batch.obs, batch.action], training=True)  # [B, K]
                critic_loss = tf.reduce_mean(batch.weights * head.losses(target, output, support))
                if self._params.critic_l2_lambda:
                    kernels = [kernel.value for kernel in networks.kernels(critic)]
                    critic_loss += self._params.critic_l2_lambda * losses.l2(kernels)
            finite &= self._apply_gradients(optimiser, critic, critic_loss, tape)
            outputs.append(output)

        with tf.GradientTape() as tape:
            chosen, tanh_inputs = self._actor_inside(batch.obs, training=True)  # [B, A] each
            mean_q = tf.reduce_mean(head.mean(self.critics[0]([batch.obs, chosen], training=False), support))  # scaled rewards
            actor_loss = self._params.saturation_penalty * losses.saturation(tanh_inputs) - mean_q
        finite &= self._apply_gradients(self._actor_optimiser, self.actor, actor_loss, tape)

        self._keep_where(finite, before)
        self._step.assign_add(1)
        for network, follower in self._pairs():
            self._update_target(network, follower, finite, tf.constant(1.0) if network is self.actor else scaling.target_pace)
        metrics = {
            **head.metrics(target, outputs),
            **target_metrics,
            "mean_importance_weight": tf.reduce_mean(batch.weights),
            "actor_loss": actor_loss,
            "saturated_actions": losses.saturated_share(chosen),
            "mean_q": mean_q * scaling.reward_scale,
            "td_error": tf.reduce_mean(head.td_errors(target, outputs[0], support)) * scaling.reward_scale,
        }
        return head.priority(target, outputs), metrics, target, finite

    def _apply_gradients(
        self, optimiser: keras.optimizers.Adam, network: keras.Model, loss: tf.Tensor, tape: tf.GradientTape
    ) -> tf.Tensor:
        """One step of the optimiser. Returns whether the loss and every gradient are finite."""
        variables = network.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimiser.apply(gradients, variables)
        return tf.math.is_finite(loss + tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients]))

    def _learned(self) -> list[keras.Variable]:
        """What one update changes besides the targets: the networks, with their moving statistics, and the optimisers."""
        holders = [self.actor, *self.critics, self._actor_optimiser, *self._critic_optimisers]
        return [variable for holder in holders for variable in holder.variables if variable.name != "learning_rate"]

    def _pairs(self) -> list[tuple[keras.Model, keras.Model]]:
        """Each network with its target network."""
        return list(zip([self.actor, *self.critics], [self.target_actor, *self.target_critics], strict=True))

    def _keep_where(self, finite: tf.Tensor, before: list[tf.Tensor]) -> None:
        """Keep an update that is finite; otherwise restore what it changed.

        The actor's loss needs the updated critic, so the critic cannot wait for the actor's gradients. One branch costs
        nothing that can be measured; a select for each variable costs 5 % of the update.
        """
        variables = self._learned()
        kept = tf.cond(finite, lambda: [tf.identity(variable.value) for variable in variables], lambda: before)
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)

    def _update_target(self, network: keras.Model, target: keras.Model, finite: tf.Tensor, pace: tf.Tensor) -> None:
        """Move a target network towards its network: by a share tau, or copy it every target_update_period.

        With the pace 0 it keeps its weights. A skipped update moves no target; a copy that is due in it is left out.
        """
        period = self._params.target_update_period
        share = tf.where(self._step % period == 0, 1.0, 0.0) if period else tf.constant(self._params.tau)
        moves = finite & (pace > 0.0)
        for old, new in zip(target.trainable_variables, network.trainable_variables, strict=True):
            old.assign(tf.where(moves, old.value + share * (new.value - old.value), old.value))
        for old, new in zip(target.non_trainable_variables, network.non_trainable_variables, strict=True):
            old.assign(tf.where(pace > 0.0, new.value, old.value))  # moving statistics of batch normalisation
