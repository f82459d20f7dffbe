"""The learner: the distributional critic and the actor, updated several times in one compiled call."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from agent import losses, networks
from agent.policy import Critic, Policy, Scaling
from params import TrainParams
from utils.arrays import Arrays
from utils.errors import CheckpointError, DivergenceError
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay, Sample

METRICS = ("critic_loss", "mean_q", "target_mass_below", "target_mass_above")
MOST_SKIPPED = 10  # updates in a row


class Keeper(Protocol):
    """Whoever keeps the learner's checkpoints (agent/archive.py)."""

    def save(self) -> None:
        """Keep the learner as it is now."""
        ...

    def reload(self) -> bool:
        """Put the learner back to the newest whole checkpoint; False when there is none."""
        ...


class Learner:
    """Owns the networks, their targets and their optimisers. Publishes `policy`, an immutable copy, after each call.

    `policy` is None until the first update or restore: there is nothing worth following yet.
    """

    def __init__(self, params: TrainParams, scaling: Scaling, replay: PrioritisedReplay, rng: np.random.Generator):
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        self._params, self._scaling, self._replay = params, scaling, replay
        obs_size, action_size = len(scaling.obs_mean), len(scaling.action_low)
        hidden, last, norm = (params.dense1_size, params.dense2_size), params.final_layer_init, params.use_batch_norm

        def make_pair() -> tuple[keras.Model, keras.Model]:
            actor = networks.make_actor(obs_size, action_size, hidden, last, norm, rng)
            return actor, networks.make_critic(obs_size, action_size, hidden, params.num_atoms, last, norm, rng)

        self.actor, self.critic = make_pair()
        self.target_actor, self.target_critic = make_pair()
        self.target_actor.set_weights(self.actor.get_weights())
        self.target_critic.set_weights(self.critic.get_weights())
        self._actor_inside = keras.Model(self.actor.input, [self.actor.output, self.actor.get_layer("output").output])
        self._rates = {"actor": params.actor_learning_rate, "critic": params.critic_learning_rate}
        self._actor_optimiser = keras.optimizers.Adam(params.actor_learning_rate, epsilon=1e-8, name="adam")
        self._critic_optimiser = keras.optimizers.Adam(params.critic_learning_rate, epsilon=1e-8, name="adam")
        self._actor_optimiser.build(self.actor.trainable_variables)
        self._critic_optimiser.build(self.critic.trainable_variables)
        self._atoms = np.linspace(*params.support, params.num_atoms, dtype=np.float32)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._update = tf.function(self._updates, jit_compile=True)
        self.learner_step = 0
        self.skipped_updates = 0  # whose numbers were not finite
        self._skipped_in_a_row = 0
        self._has_reloaded = False
        self.policy: Policy | None = None
        self.averages = Averages()

    # ---- learning

    def step(self, sample: Sample | None = None) -> None:
        """One compiled call: as many updates as are due (at most updates_per_call), in the order of their batches.

        Draws the batches itself when `sample` is not given. Priorities go back to the replay, and `policy` is swapped
        for the new one as a whole. An update whose numbers are not finite changes no weight and is counted; after
        MOST_SKIPPED of them in a row DivergenceError is raised.
        """
        sample = sample or self._draw(self.learner_step)
        updates = self.updates_due(self.learner_step)
        columns = (tf.constant(column) for column in sample[1:])
        result = self._update(tf.constant(updates, tf.int32), tf.constant(self._skipped_in_a_row, tf.int32), *columns)
        transition_losses, sums, sound, skipped_in_a_row = (tensor.numpy() for tensor in result)
        self._replay.update_priorities(sample.ids[:updates], transition_losses[:updates])
        self.learner_step += updates
        self.skipped_updates += updates - int(sound)
        self._skipped_in_a_row = int(skipped_in_a_row)
        if self._skipped_in_a_row >= MOST_SKIPPED:
            raise DivergenceError(
                f"the learner's numbers are no longer finite at learner step {self.learner_step}; lower its rates or check "
                "the scales, and go on from the last checkpoint with --resume."
            )
        self.policy = Policy(networks.named_arrays(self.actor), self._scaling, self.learner_step)
        self.averages.add(sums, int(sound))

    def run(self, limiter: RateLimiter, stop: Event, keeper: Keeper) -> None:
        """Learn until num_steps_train or until told to stop, at the pace the limiter allows; saves when due.

        The next batches are drawn while the compiled call, which does not hold the interpreter's lock, computes.
        """

        def draw(learner_step: int) -> Sample | None:
            count = self.updates_due(learner_step) * self._params.batch_size
            return self._draw(learner_step) if count and limiter.may_sample(count, stop) else None

        with ThreadPoolExecutor(1, thread_name_prefix="sampler") as ahead:
            upcoming = ahead.submit(draw, self.learner_step)
            while (sample := upcoming.result()) is not None:
                upcoming = ahead.submit(draw, self.learner_step + self.updates_due(self.learner_step))
                self.advance(keeper, sample)

    def advance(self, keeper: Keeper, sample: Sample | None = None) -> None:
        """One step, and what follows from it: a checkpoint where one is due, the last one reloaded where numbers went bad.

        Raises DivergenceError when they go bad a second time, or before there is a checkpoint.
        """
        try:
            self.step(sample)
        except DivergenceError:
            if self._has_reloaded or not keeper.reload():
                raise
            self._has_reloaded, self._skipped_in_a_row = True, 0
            return
        if self.learner_step % self._params.save_ckpt_step == 0:
            keeper.save()

    def updates_due(self, learner_step: int) -> int:
        """Updates in the call that begins at `learner_step`: it ends at a checkpoint and at num_steps_train."""
        params = self._params
        to_checkpoint = params.save_ckpt_step - learner_step % params.save_ckpt_step
        return max(0, min(params.updates_per_call, to_checkpoint, params.num_steps_train - learner_step))

    def beta(self, learner_step: int) -> float:
        """The importance-sampling exponent at a learner step."""
        start, end = self._params.priority_beta_start, self._params.priority_beta_end
        return start + (end - start) * min(1.0, learner_step / self._params.num_steps_train)

    def _draw(self, learner_step: int) -> Sample:
        betas = [[self.beta(learner_step + i)] for i in range(self._params.updates_per_call)]  # [U, 1]
        return self._replay.sample(self._params.updates_per_call, self._params.batch_size, np.array(betas))

    # ---- the compiled update. U is updates_per_call, B the batch, S, A, K the sizes of observation, action and support

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
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Do the first `updates` of U updates; `skipped_in_a_row` came before them.

        Returns the losses [U, B], the sums of METRICS over the sound updates, their number, and how many were skipped
        in a row at the end.
        """
        scaling = self._scaling
        limit = tf.constant(scaling.obs_clip, tf.float32)
        obs = tf.clip_by_value((obs - scaling.obs_mean) / scaling.obs_scale, -limit, limit)  # [U, B, S]
        next_obs = tf.clip_by_value((next_obs - scaling.obs_mean) / scaling.obs_scale, -limit, limit)  # [U, B, S]
        action = 2.0 * (action - scaling.action_low) / (scaling.action_high - scaling.action_low) - 1.0  # [U, B, A]
        reward = reward / tf.constant(scaling.reward_scale, tf.float32)  # [U, B]
        all_losses = tf.TensorArray(tf.float32, size=self._params.updates_per_call, element_shape=reward.shape[1:])
        sums, sound_updates = tf.zeros(len(METRICS)), tf.constant(0)
        for i in tf.range(updates):
            batch_losses, metrics, sound = self._one_update(obs[i], action[i], reward[i], discount[i], next_obs[i], weights[i])
            all_losses = all_losses.write(i, batch_losses)
            sums += tf.where(sound, metrics, 0.0)
            sound_updates += tf.cast(sound, tf.int32)
            skipped_in_a_row = tf.where(sound, 0, skipped_in_a_row + 1)
        return all_losses.stack(), sums, sound_updates, skipped_in_a_row

    def _one_update(
        self, obs: tf.Tensor, action: tf.Tensor, reward: tf.Tensor, discount: tf.Tensor, next_obs: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the losses [B], METRICS, and whether both networks' steps were sound."""
        atoms = tf.constant(self._atoms)  # [K]
        next_logits = self.target_critic([next_obs, self.target_actor(next_obs, training=False)], training=False)  # [B, K]
        next_probs = tf.nn.softmax(next_logits)  # [B, K]
        moved_atoms = reward[:, None] + discount[:, None] * atoms  # [B, K]
        target = tf.stop_gradient(losses.project(moved_atoms, next_probs, atoms))  # [B, K]

        statistics = [tf.identity(variable.value) for variable in self._statistics()]
        with tf.GradientTape() as tape:
            batch_losses = losses.critic_losses(target, self.critic([obs, action], training=True))  # [B]
            critic_loss = tf.reduce_mean(weights * batch_losses)
            if self._params.critic_l2_lambda:
                critic_loss += self._params.critic_l2_lambda * losses.l2(
                    [kernel.value for kernel in networks.kernels(self.critic)]
                )
        critic_sound = self._descend(self._critic_optimiser, self.critic, critic_loss, tape, tf.constant(True))

        with tf.GradientTape() as tape:
            chosen, tanh_inputs = self._actor_inside(obs, training=True)  # [B, A] each
            actor_loss = losses.actor_loss(self.critic([obs, chosen], training=False), atoms)
            descended = actor_loss + self._params.saturation_penalty * losses.saturation(tanh_inputs)
        sound = self._descend(self._actor_optimiser, self.actor, descended, tape, critic_sound)
        for variable, before in zip(self._statistics(), statistics, strict=True):
            variable.assign(tf.where(sound, variable.value, before))

        self._step.assign_add(1)
        self._follow(self.actor, self.target_actor)
        self._follow(self.critic, self.target_critic)
        below, above = losses.mass_outside(moved_atoms, next_probs, atoms)
        return batch_losses, tf.stack([critic_loss, -actor_loss, below, above]), sound

    def _descend(
        self, optimiser: keras.optimizers.Adam, network: keras.Model, loss: tf.Tensor, tape: tf.GradientTape, sound: tf.Tensor
    ) -> tf.Tensor:
        """One step of the optimiser, if `sound`, the loss and every gradient are; returns whether they were.

        If not, the step has the rate 0 and gradients of 0: the weights stay, the moments fade by one step. That costs
        nothing, while a branch around the step cost 3 to 7 % of an update.
        """
        variables = network.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        sound &= tf.math.is_finite(loss + tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients]))
        rate = self._rates[network.name]
        optimiser.learning_rate.assign(tf.where(sound, rate, 0.0))
        optimiser.apply([tf.where(sound, gradient, 0.0) for gradient in gradients], variables)
        return sound

    def _statistics(self) -> list[keras.Variable]:
        """The moving statistics of batch normalisation."""
        return self.actor.non_trainable_variables + self.critic.non_trainable_variables

    def _follow(self, network: keras.Model, target: keras.Model) -> None:
        """Move a target network towards its network: a share tau, or the whole way every target_update_period."""
        period = self._params.target_update_period
        if period:
            share = tf.where(self._step % period == 0, 1.0, 0.0)
        else:
            share = tf.constant(self._params.tau)
        for old, new in zip(target.trainable_variables, network.trainable_variables, strict=True):
            old.assign(old.value + share * (new.value - old.value))
        for old, new in zip(target.non_trainable_variables, network.non_trainable_variables, strict=True):
            old.assign(new.value)  # moving statistics of batch normalisation

    # ---- keeping

    def snapshot(self) -> tuple[Policy, Critic, Arrays]:
        """What acts, what judges, and all that learning on needs. Call it from the learner's own thread."""
        policy = Policy(networks.named_arrays(self.actor), self._scaling, self.learner_step)
        critic = Critic(networks.named_arrays(self.critic) | {"atoms": self._atoms}, self._scaling, self.learner_step)
        if not all(np.isfinite(array).all() for network in (policy, critic) for array in network.weights().values()):
            raise DivergenceError("the networks hold numbers that are not finite; they are not saved.")
        return policy, critic, {name: np.array(variable) for name, variable in self._variables().items()}

    def restore(self, arrays: Arrays, learner_step: int) -> None:
        """Take over the arrays of a snapshot. Raises CheckpointError naming every array that does not fit."""
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
        self.learner_step = learner_step
        self._step.assign(learner_step)
        self.policy = Policy(networks.named_arrays(self.actor), self._scaling, learner_step)

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


@dataclass
class Averages:
    """Means of METRICS over the updates since they were last taken. Written by the learner, taken by whoever reports."""

    _sums: np.ndarray = field(default_factory=lambda: np.zeros(len(METRICS) + 1))

    def add(self, sums: np.ndarray, updates: int) -> None:
        """Add the sums over so many updates."""
        self._sums = self._sums + np.append(sums, updates)

    def take(self) -> dict[str, float]:
        """The means since the last call; empty when there was no update."""
        taken, self._sums = self._sums, np.zeros(len(METRICS) + 1)
        if not taken[-1]:
            return {}
        return dict(zip(METRICS, (taken[:-1] / taken[-1]).tolist(), strict=True))
