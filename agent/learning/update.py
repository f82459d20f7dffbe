"""The compiled update of D4PG (Barth-Maron et al., 2018, algorithm 1), DDPG and TD3 (Fujimoto et al., 2018)."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from agent.learning import losses, networks
from agent.learning.actor_critic import ActorCritic
from agent.learning.heads import make_head
from agent.learning.scaling_tensors import ScalingTensors
from agent.scaling import Scaling
from params import TrainParams
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


class CompiledUpdate(ActorCritic):
    """Updates actor, critics and their targets several times in one compiled call.

    In the comments U is updates_per_call, B the batch, S, A, K the sizes of observation, action and support.
    """

    def __init__(self, params: TrainParams, scaling: Scaling, rng: np.random.Generator):
        super().__init__(params, len(scaling.obs_mean), len(scaling.action_low), rng)
        self._head = make_head(params)
        bounds = (-1.0, 1.0) if params.has_automatic_support else params.support  # the learner rescales an automatic one
        self.rescale(scaling, np.linspace(*bounds, params.num_atoms, dtype=np.float32))
        self._actor_inside = keras.Model(self.actor.input, [self.actor.output, self.actor.get_layer("output").output])
        self._compiled = tf.function(self._updates, jit_compile=True)

    def __call__(self, count: int, skipped_in_a_row: int, sample: Sample) -> UpdateResult:
        """Do the first `count` of the sample's U updates, in order; `skipped_in_a_row` updates were skipped right before them.

        An update whose loss or gradients are not finite, of critic or actor, is skipped and counted: it changes the step alone.
        """
        counts = tf.constant(count, tf.int32), tf.constant(skipped_in_a_row, tf.int32)
        priorities, sums, finite, skipped, mass, actor = self._compiled(*counts, self._scaling, sample)
        arrays = {variable.path: tensor.numpy() for variable, tensor in zip(self.actor.variables, actor, strict=True)}
        sums = {name: float(total) for name, total in sums.items()}
        return UpdateResult(priorities.numpy()[:count], sums, int(finite), int(skipped), mass.numpy(), arrays)

    @staticmethod
    def to_tensors(sample: Sample) -> Sample:
        """The same sample as tensors. Converting it before the call makes the call shorter."""
        return Sample(sample.ids, *map(tf.constant, sample[1:]))

    def rescale(self, scaling: Scaling, support: np.ndarray, target_support: np.ndarray | None = None) -> None:
        """Use these numbers from the next call on; the supports are atoms [K] in scaled rewards. Nothing is compiled again.

        Where `target_support` is given, the target critics' outputs refer to it, and they keep their weights.
        """
        numbers = [*vars(scaling).values(), support if target_support is None else target_support, support]
        self.atoms = np.asarray(support, np.float32)
        pace = 1.0 if target_support is None else 0.0
        self._scaling = ScalingTensors(*(tf.constant(number, tf.float32) for number in [*numbers, pace]))

    # ---- the compiled part

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
            mass += tf.where(finite, self._head.mass(target, scaling.support), 0.0)
            finite_updates += tf.cast(finite, tf.int32)
            skipped_in_a_row = tf.where(finite, 0, skipped_in_a_row + 1)
            i += 1
        actor = [tf.identity(variable.value) for variable in self.actor.variables]
        return priorities.stack(), sums, finite_updates, skipped_in_a_row, mass, actor

    @tf.autograph.experimental.do_not_convert  # only the loop above needs AutoGraph, which takes 0.7 s for the rest
    def _one_update(
        self, scaling: ScalingTensors, batch: Sample
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """One update from a scaled batch. Returns priorities [B], metrics by name, the target, whether all was finite."""
        head, support, delay = self._head, scaling.support, self._params.policy_delay  # [K]
        next_action = self._smoothed(self.target_actor(batch.next_obs, training=False))  # [B, A]
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

        # A conditional costs time too, so there is none where every update moves the actor.
        is_due = (self._step + 1) % delay == 0
        moves_actor, *actor_metrics = (
            self._update_actor(batch, support)
            if delay == 1
            else tf.cond(
                is_due, lambda: self._update_actor(batch, support), lambda: (tf.constant(True), *[tf.constant(0.0)] * 3)
            )
        )
        finite &= moves_actor
        self._keep_where(finite, before)
        self._step.assign_add(1)
        if delay == 1:
            self._update_targets(finite, scaling.target_pace)
        else:
            tf.cond(is_due, lambda: self._update_targets(finite, scaling.target_pace), lambda: finite)
        # Sums of the actor's metrics are divided by all updates, also by those that do not move the actor.
        actor_loss, saturated, mean_q = (delay * metric for metric in actor_metrics)
        metrics = {
            **head.metrics(target, outputs),
            **target_metrics,
            "mean_importance_weight": tf.reduce_mean(batch.weights),
            "actor_loss": actor_loss,
            "saturated_actions": saturated,
            "mean_q": mean_q * scaling.reward_scale,
            "td_error": tf.reduce_mean(head.td_errors(target, outputs[0], support)) * scaling.reward_scale,
        }
        return head.priority(target, outputs), metrics, target, finite

    def _smoothed(self, action: tf.Tensor) -> tf.Tensor:
        """The target actor's actions [B, A] with clipped noise, within [-1, 1] (TD3's smoothing of the target policy)."""
        deviation, clip = self._params.target_noise, self._params.target_noise_clip
        if not deviation:
            return action
        seed = tf.stack([tf.constant(self._params.random_seed, tf.int64), self._step.value()])  # the same after a resume
        noise = deviation * tf.random.stateless_normal(tf.shape(action), seed)
        return tf.clip_by_value(action + tf.clip_by_value(noise, -clip, clip), -1.0, 1.0)

    def _update_actor(self, batch: Sample, support: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Move the actor. Returns whether its numbers were finite, its loss, the share of saturated actions, the mean Q."""
        with tf.GradientTape() as tape:
            chosen, tanh_inputs = self._actor_inside(batch.obs, training=True)  # [B, A] each
            mean_q = tf.reduce_mean(self._actor_value(batch.obs, chosen, support))  # scaled rewards
            loss = self._params.saturation_penalty * losses.saturation(tanh_inputs) - mean_q
        finite = self._apply_gradients(self._actor_optimiser, self.actor, loss, tape)
        return finite, loss, losses.saturated_share(chosen), mean_q

    def _actor_value(self, obs: tf.Tensor, action: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """The value [B] that the actor maximises: that of the first critic, the lowest of all, or their mean."""
        kind = self._params.actor_value
        critics = self.critics[:1] if kind == "first" else self.critics
        values = [self._head.mean(critic([obs, action], training=False), support) for critic in critics]
        if len(values) == 1:
            return values[0]
        return (tf.reduce_mean if kind == "mean" else tf.reduce_min)(tf.stack(values), axis=0)

    def _apply_gradients(
        self, optimiser: keras.optimizers.Adam, network: keras.Model, loss: tf.Tensor, tape: tf.GradientTape
    ) -> tf.Tensor:
        """One step of the optimiser. Returns whether the loss and every gradient are finite."""
        variables = network.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        half_square = tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients])
        if largest := self._params.max_gradient_norm:
            factor = tf.minimum(1.0, largest / tf.maximum(tf.sqrt(2.0 * half_square), 1e-12))
            gradients = [factor * gradient for gradient in gradients]
        optimiser.apply(gradients, variables)
        return tf.math.is_finite(loss + half_square)

    def _keep_where(self, finite: tf.Tensor, before: list[tf.Tensor]) -> None:
        """Keep an update that is finite; otherwise restore what it changed.

        The actor's loss needs the updated critic, so the critic cannot wait for the actor's gradients. One branch costs
        nothing that can be measured; a select for each variable costs 5 % of the update.
        """
        variables = self._learned()
        kept = tf.cond(finite, lambda: [tf.identity(variable.value) for variable in variables], lambda: before)
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)

    def _update_targets(self, finite: tf.Tensor, critics_pace: tf.Tensor) -> tf.Tensor:
        """Move each target network. Returns `finite`, since a branch of a conditional must return something."""
        for network, follower in self._pairs():
            self._update_target(network, follower, finite, tf.constant(1.0) if network is self.actor else critics_pace)
        return finite

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
