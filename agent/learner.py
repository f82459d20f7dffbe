"""The learner: the distributional critic and the actor, updated several times in one compiled call."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from agent import losses, networks
from agent.policy import Critic, Policy, Scaling
from params import TrainParams
from utils.checkpoints import Arrays
from utils.errors import CheckpointError, DivergenceError
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay, Sample

METRICS = ("critic_loss", "mean_q", "target_mass_below", "target_mass_above")


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
        self._actor_optimiser = keras.optimizers.Adam(params.actor_learning_rate, epsilon=1e-8, name="adam")
        self._critic_optimiser = keras.optimizers.Adam(params.critic_learning_rate, epsilon=1e-8, name="adam")
        self._actor_optimiser.build(self.actor.trainable_variables)
        self._critic_optimiser.build(self.critic.trainable_variables)
        self._atoms = np.linspace(*params.support, params.num_atoms, dtype=np.float32)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._update = tf.function(self._updates, jit_compile=True)
        self.learner_step = 0
        self.policy: Policy | None = None
        self.averages = Averages()

    # ---- learning

    def step(self, sample: Sample | None = None) -> None:
        """One compiled call: as many updates as are due (at most updates_per_call), in the order of their batches.

        Draws the batches itself when `sample` is not given. Priorities go back to the replay, and `policy` is swapped
        for the new one as a whole.
        """
        sample = sample or self._draw(self.learner_step)
        updates = self.updates_due(self.learner_step)
        transition_losses, sums = self._update(tf.constant(updates, tf.int32), *(tf.constant(column) for column in sample[1:]))
        if not np.isfinite(sums.numpy()).all():
            raise DivergenceError(
                f"the learner's numbers are no longer finite after learner step {self.learner_step}; lower its rates or check "
                "the scales, and go on from the last checkpoint with --resume."
            )
        self._replay.update_priorities(sample.ids[:updates], transition_losses.numpy()[:updates])
        self.learner_step += updates
        self.policy = Policy(networks.named_arrays(self.actor), self._scaling, self.learner_step)
        self.averages.add(sums.numpy(), updates)

    def run(self, limiter: RateLimiter, stop: Event, save: Any) -> None:
        """Learn until num_steps_train or until told to stop, at the pace the limiter allows; `save()` when due.

        The next batches are drawn while the compiled call, which does not hold the interpreter's lock, computes.
        """

        def draw(learner_step: int) -> Sample | None:
            count = self.updates_due(learner_step) * self._params.batch_size
            return self._draw(learner_step) if count and limiter.may_sample(count, stop) else None

        with ThreadPoolExecutor(1, thread_name_prefix="sampler") as ahead:
            upcoming = ahead.submit(draw, self.learner_step)
            while (sample := upcoming.result()) is not None:
                upcoming = ahead.submit(draw, self.learner_step + self.updates_due(self.learner_step))
                self.step(sample)
                if self.learner_step % self._params.save_ckpt_step == 0:
                    save()

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
        obs: tf.Tensor,
        action: tf.Tensor,
        reward: tf.Tensor,
        discount: tf.Tensor,
        next_obs: tf.Tensor,
        weights: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Do the first `updates` of U updates. Returns the losses [U, B] and the sums of METRICS over the updates."""
        scaling = self._scaling
        limit = tf.constant(scaling.obs_clip, tf.float32)
        obs = tf.clip_by_value((obs - scaling.obs_mean) / scaling.obs_scale, -limit, limit)  # [U, B, S]
        next_obs = tf.clip_by_value((next_obs - scaling.obs_mean) / scaling.obs_scale, -limit, limit)  # [U, B, S]
        action = 2.0 * (action - scaling.action_low) / (scaling.action_high - scaling.action_low) - 1.0  # [U, B, A]
        reward = reward / tf.constant(scaling.reward_scale, tf.float32)  # [U, B]
        all_losses = tf.TensorArray(tf.float32, size=self._params.updates_per_call, element_shape=reward.shape[1:])
        sums = tf.zeros(len(METRICS))
        for i in tf.range(updates):
            batch_losses, metrics = self._one_update(obs[i], action[i], reward[i], discount[i], next_obs[i], weights[i])
            all_losses = all_losses.write(i, batch_losses)
            sums += metrics
        return all_losses.stack(), sums

    def _one_update(
        self, obs: tf.Tensor, action: tf.Tensor, reward: tf.Tensor, discount: tf.Tensor, next_obs: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        atoms = tf.constant(self._atoms)  # [K]
        next_logits = self.target_critic([next_obs, self.target_actor(next_obs, training=False)], training=False)  # [B, K]
        next_probs = tf.nn.softmax(next_logits)  # [B, K]
        moved_atoms = reward[:, None] + discount[:, None] * atoms  # [B, K]
        target = tf.stop_gradient(losses.project(moved_atoms, next_probs, atoms))  # [B, K]

        with tf.GradientTape() as tape:
            batch_losses = losses.critic_losses(target, self.critic([obs, action], training=True))  # [B]
            critic_loss = tf.reduce_mean(weights * batch_losses)
            if self._params.critic_l2_lambda:
                critic_loss += self._params.critic_l2_lambda * losses.l2(
                    [kernel.value for kernel in networks.kernels(self.critic)]
                )
        variables = self.critic.trainable_variables
        self._critic_optimiser.apply(tape.gradient(critic_loss, [variable.value for variable in variables]), variables)

        with tf.GradientTape() as tape:
            chosen, tanh_inputs = self._actor_inside(obs, training=True)  # [B, A] each
            actor_loss = losses.actor_loss(self.critic([obs, chosen], training=False), atoms)
            descended = actor_loss + self._params.saturation_penalty * losses.saturation(tanh_inputs)
        variables = self.actor.trainable_variables
        self._actor_optimiser.apply(tape.gradient(descended, [variable.value for variable in variables]), variables)

        self._step.assign_add(1)
        self._follow(self.actor, self.target_actor)
        self._follow(self.critic, self.target_critic)
        below, above = losses.mass_outside(moved_atoms, next_probs, atoms)
        return batch_losses, tf.stack([critic_loss, -actor_loss, below, above])

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

    def snapshot(self) -> dict[str, Arrays]:
        """All that acting, judging and learning on need, as arrays by file name. Call it from the learner's own thread."""
        policy = Policy(networks.named_arrays(self.actor), self._scaling, self.learner_step)
        critic = Critic(networks.named_arrays(self.critic) | {"atoms": self._atoms}, self._scaling, self.learner_step)
        if not all(np.isfinite(array).all() for network in (policy, critic) for array in network.weights().values()):
            raise DivergenceError("the networks hold numbers that are not finite; they are not saved.")
        return {
            Policy.FILE: policy.arrays(),
            Critic.FILE: critic.arrays(),
            "learner.npz": {name: np.array(variable) for name, variable in self._variables().items()},
        }

    def restore(self, arrays: Arrays, learner_step: int) -> None:
        """Take over the arrays of a snapshot's learner.npz. Raises CheckpointError naming every array that does not fit."""
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
