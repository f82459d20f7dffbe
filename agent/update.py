"""The compiled update of D4PG (Barth-Maron et al., 2018, algorithm 1): networks, targets, optimisers."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from agent import losses, networks
from agent.policy import Scaling
from params import TrainParams
from utils.arrays import Arrays
from utils.errors import CheckpointError
from utils.replay import Sample

# Logged as means over updates. critic_loss is the cross-entropy without importance weights: kl_divergence + target_entropy.
# actor_loss is in scaled rewards, with the saturation penalty; mean_q is in raw rewards.
METRICS = (
    "critic_loss",
    "kl_divergence",
    "target_entropy",
    "mean_importance_weight",
    "actor_loss",
    "saturated_actions",
    "mean_q",
    "target_mass_below",
    "target_mass_above",
)


class UpdateResult(NamedTuple):
    """Result of a call: losses [updates, B], sums of METRICS over the finite updates, their number, the number of updates
    skipped in a row at its end, and the actor as it is now, by the name layer/variable.
    """

    losses: np.ndarray
    sums: dict[str, float]
    finite: int
    skipped_in_a_row: int
    actor: Arrays


class CompiledUpdate:
    """Owns actor, critic, their targets and optimisers, and updates them several times in one compiled call.

    In the comments U is updates_per_call, B the batch, S, A, K the sizes of observation, action and support.
    """

    def __init__(self, params: TrainParams, scaling: Scaling, rng: np.random.Generator):
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        self._params, self._scaling = params, scaling
        obs_size, action_size = len(scaling.obs_mean), len(scaling.action_low)
        hidden, last, norm = (params.dense1_size, params.dense2_size), params.final_layer_init, params.use_batch_norm

        def make_pair() -> tuple[keras.Model, keras.Model]:
            actor = networks.make_actor(obs_size, action_size, hidden, last, norm, rng)
            return actor, networks.make_critic(obs_size, action_size, hidden, params.num_atoms, last, norm, rng)

        self.actor, self.critic = make_pair()
        self.target_actor, self.target_critic = make_pair()
        self.target_actor.set_weights(self.actor.get_weights())
        self.target_critic.set_weights(self.critic.get_weights())
        self.atoms = np.linspace(*params.support, params.num_atoms, dtype=np.float32)
        self._actor_inside = keras.Model(self.actor.input, [self.actor.output, self.actor.get_layer("output").output])
        self._actor_optimiser = keras.optimizers.Adam(params.actor_learning_rate, epsilon=1e-8, name="adam")
        self._critic_optimiser = keras.optimizers.Adam(params.critic_learning_rate, epsilon=1e-8, name="adam")
        self._actor_optimiser.build(self.actor.trainable_variables)
        self._critic_optimiser.build(self.critic.trainable_variables)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._compiled = tf.function(self._updates, jit_compile=True)

    def __call__(self, count: int, skipped_in_a_row: int, sample: Sample) -> UpdateResult:
        """Do the first `count` of the sample's U updates, in order; `skipped_in_a_row` were skipped right before them.

        An update whose loss or gradients are not finite, of the critic or of the actor, is skipped: it changes nothing but
        the step. It is counted.
        """
        counts = tf.constant(count, tf.int32), tf.constant(skipped_in_a_row, tf.int32)
        batch_losses, sums, finite, skipped, actor = self._compiled(*counts, *map(tf.convert_to_tensor, sample[1:]))
        arrays = {variable.path: tensor.numpy() for variable, tensor in zip(self.actor.variables, actor, strict=True)}
        totals = {name: float(total) for name, total in sums.items()}
        return UpdateResult(batch_losses.numpy()[:count], totals, int(finite), int(skipped), arrays)

    @staticmethod
    def to_tensors(sample: Sample) -> Sample:
        """The same sample as tensors. Saves time in the call where there is time before it."""
        return Sample(sample.ids, *map(tf.constant, sample[1:]))

    @property
    def step(self) -> int:
        """Updates made since the first, as the compiled loop counts them."""
        return int(self._step)

    # ---- keeping

    def arrays(self) -> Arrays:
        """A copy of all that updating on needs."""
        return {name: np.array(variable) for name, variable in self._variables().items()}

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
        owners = {
            "actor": self.actor,
            "critic": self.critic,
            "target_actor": self.target_actor,
            "target_critic": self.target_critic,
            "actor_optimiser": self._actor_optimiser,
            "critic_optimiser": self._critic_optimiser,
        }
        named = {
            f"{owner}/{variable.path}": variable.value for owner, holder in owners.items() for variable in holder.variables
        }
        # A learning rate is a parameter: the one that holds now, not the one that held when it was saved.
        return {name: value for name, value in named.items() if not name.endswith("/learning_rate")}

    # ---- what is compiled

    def _updates(
        self,
        updates: tf.Tensor,
        skipped_in_a_row: tf.Tensor,
        obs: tf.Tensor,
        action: tf.Tensor,
        reward: tf.Tensor,
        discount: tf.Tensor,
        next_obs: tf.Tensor,
        weights: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Do the first `updates` of U updates; `skipped_in_a_row` updates were skipped right before them.

        Returns the losses [U, B], the sums of the metrics over the finite updates, their number, how many updates were
        skipped in a row at the end, and the actor's variables.
        """
        scaling = self._scaling
        limit = tf.constant(scaling.obs_clip, tf.float32)
        obs = tf.clip_by_value((obs - scaling.obs_mean) / scaling.obs_scale, -limit, limit)  # [U, B, S]
        next_obs = tf.clip_by_value((next_obs - scaling.obs_mean) / scaling.obs_scale, -limit, limit)  # [U, B, S]
        action = 2.0 * (action - scaling.action_low) / (scaling.action_high - scaling.action_low) - 1.0  # [U, B, A]
        reward = reward / tf.constant(scaling.reward_scale, tf.float32)  # [U, B]
        all_losses = tf.TensorArray(tf.float32, size=self._params.updates_per_call, element_shape=reward.shape[1:])
        sums, finite_updates = {name: tf.constant(0.0) for name in METRICS}, tf.constant(0)
        for i in tf.range(updates):
            batch_losses, metrics, finite = self._one_update(obs[i], action[i], reward[i], discount[i], next_obs[i], weights[i])
            all_losses = all_losses.write(i, batch_losses)
            sums = {name: sums[name] + tf.where(finite, metrics[name], 0.0) for name in METRICS}
            finite_updates += tf.cast(finite, tf.int32)
            skipped_in_a_row = tf.where(finite, 0, skipped_in_a_row + 1)
        actor = [tf.identity(variable.value) for variable in self.actor.variables]
        return all_losses.stack(), sums, finite_updates, skipped_in_a_row, actor

    def _one_update(
        self, obs: tf.Tensor, action: tf.Tensor, reward: tf.Tensor, discount: tf.Tensor, next_obs: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        """Returns the losses [B], the metrics by name, and whether the numbers of both networks were finite."""
        atoms = tf.constant(self.atoms)  # [K]
        next_logits = self.target_critic([next_obs, self.target_actor(next_obs, training=False)], training=False)  # [B, K]
        next_probs = tf.nn.softmax(next_logits)  # [B, K]
        moved_atoms = reward[:, None] + discount[:, None] * atoms  # [B, K]
        target = tf.stop_gradient(losses.project(moved_atoms, next_probs, atoms))  # [B, K]

        before = [tf.identity(variable.value) for variable in self._learned()]
        with tf.GradientTape() as tape:
            batch_losses = losses.critic_losses(target, self.critic([obs, action], training=True))  # [B]
            critic_loss = tf.reduce_mean(weights * batch_losses)
            if self._params.critic_l2_lambda:
                critic_loss += self._params.critic_l2_lambda * losses.l2(
                    [kernel.value for kernel in networks.kernels(self.critic)]
                )
        critic_finite = self._apply_gradients(self._critic_optimiser, self.critic, critic_loss, tape)

        with tf.GradientTape() as tape:
            chosen, tanh_inputs = self._actor_inside(obs, training=True)  # [B, A] each
            mean_q = tf.reduce_mean(losses.mean_value(self.critic([obs, chosen], training=False), atoms))  # scaled rewards
            actor_loss = self._params.saturation_penalty * losses.saturation(tanh_inputs) - mean_q
        finite = critic_finite & self._apply_gradients(self._actor_optimiser, self.actor, actor_loss, tape)

        self._keep_where(finite, before)
        self._step.assign_add(1)
        self._update_target(self.actor, self.target_actor, finite)
        self._update_target(self.critic, self.target_critic, finite)
        entropies = losses.entropies(target)  # [B]
        below, above = losses.mass_outside(moved_atoms, next_probs, atoms)
        metrics = {
            "critic_loss": tf.reduce_mean(batch_losses),
            "kl_divergence": tf.reduce_mean(tf.nn.relu(batch_losses - entropies)),
            "target_entropy": tf.reduce_mean(entropies),
            "mean_importance_weight": tf.reduce_mean(weights),
            "actor_loss": actor_loss,
            "saturated_actions": losses.saturated_share(chosen),
            "mean_q": mean_q * tf.constant(self._scaling.reward_scale, tf.float32),
            "target_mass_below": below,
            "target_mass_above": above,
        }
        return batch_losses, metrics, finite

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
        optimisers = self._critic_optimiser.variables + self._actor_optimiser.variables
        rates = {id(optimiser.learning_rate) for optimiser in (self._critic_optimiser, self._actor_optimiser)}
        return self.critic.variables + self.actor.variables + [value for value in optimisers if id(value) not in rates]

    def _keep_where(self, finite: tf.Tensor, before: list[tf.Tensor]) -> None:
        """Keep an update that is finite; otherwise restore what it changed.

        The actor's loss needs the updated critic, so the critic cannot wait for the actor's gradients. A select is
        cheaper than a branch around both steps.
        """
        for variable, old in zip(self._learned(), before, strict=True):
            variable.assign(tf.where(finite, variable.value, old))

    def _update_target(self, network: keras.Model, target: keras.Model, finite: tf.Tensor) -> None:
        """Move a target network towards its network: by a share tau, or copy it every target_update_period.

        A skipped update moves no target; a copy that is due in it is left out.
        """
        period = self._params.target_update_period
        share = tf.where(self._step % period == 0, 1.0, 0.0) if period else tf.constant(self._params.tau)
        share = tf.where(finite, share, 0.0)
        for old, new in zip(target.trainable_variables, network.trainable_variables, strict=True):
            old.assign(old.value + share * (new.value - old.value))
        for old, new in zip(target.non_trainable_variables, network.non_trainable_variables, strict=True):
            old.assign(new.value)  # moving statistics of batch normalisation
