"""Value heads: the meaning of a critic's outputs. Pure functions of tensors, no state. B is the batch, K the atoms.

A head turns rewards and the outputs of the target critics into a target, and a target and the outputs into losses. Outputs
of several critics are lists. Rewards and values are scaled. A support is the atoms [K]; that of the targets can differ from
that of the critics, since a support can move.
"""

import tensorflow as tf

from agent.learning import losses
from params import TrainParams


def make_head(params: TrainParams) -> "CategoricalHead | ScalarHead":
    """The head that the parameters ask for."""
    return CategoricalHead(params.priority) if params.value_head == "categorical" else ScalarHead(params.scalar_loss)


class CategoricalHead:
    """A probability for each of K fixed returns (Bellemare et al., 2017, arXiv 1707.06887). Outputs are logits [B, K]."""

    METRICS = ("critic_loss", "kl_divergence", "target_entropy", "target_mass_below", "target_mass_above")

    def __init__(self, priority: str = "cross_entropy"):
        self._priority = priority  # cross_entropy or kl

    def target(
        self,
        next_outputs: list[tf.Tensor],
        reward: tf.Tensor,
        discount: tf.Tensor,
        target_support: tf.Tensor,
        support: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Projected return distribution [B, K] over `support`, for rewards and discounts [B].

        Also returns metrics for the log: the target mass outside the support, before the projection.
        """
        next_probs = self._lower_probs(next_outputs, target_support)  # [B, K]
        moved_support = reward[:, None] + discount[:, None] * target_support  # [B, K]
        below, above = losses.mass_outside(moved_support, next_probs, support)
        metrics = {"target_mass_below": below, "target_mass_above": above}
        return losses.project(moved_support, next_probs, support), metrics

    def mass(self, target: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """The mean of the targets [B, K] over the batch. Returns [K]."""
        return losses.mean_over_batch(target)

    def losses(self, target: tf.Tensor, outputs: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """Cross-entropy [B] of the target [B, K] and one critic's outputs."""
        return losses.cross_entropies(target, outputs)

    def mean(self, outputs: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """Expected return [B] of one critic's outputs."""
        return losses.mean_value(outputs, support)

    def td_errors(self, target: tf.Tensor, outputs: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """Distance [B] between the means of the target [B, K] and of one critic's outputs."""
        return tf.abs(tf.reduce_sum(target * support, axis=1) - self.mean(outputs, support))

    def priority(self, target: tf.Tensor, outputs: list[tf.Tensor]) -> tf.Tensor:
        """Priority [B], not negative, as a mean over the critics: the cross-entropy or the KL divergence.

        The two differ by the entropy of the target, which is most of the cross-entropy once the critic has learned.
        """
        cross_entropies = self._cross_entropies(target, outputs)
        return cross_entropies if self._priority == "cross_entropy" else _kl(cross_entropies, losses.entropies(target))

    def metrics(self, target: tf.Tensor, outputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Metrics of the losses for the log: critic_loss, without importance weights, is kl_divergence + target_entropy."""
        cross_entropies, entropies = self._cross_entropies(target, outputs), losses.entropies(target)  # [B]
        return {
            "critic_loss": tf.reduce_mean(cross_entropies),
            "kl_divergence": tf.reduce_mean(_kl(cross_entropies, entropies)),
            "target_entropy": tf.reduce_mean(entropies),
        }

    def _cross_entropies(self, target: tf.Tensor, outputs: list[tf.Tensor]) -> tf.Tensor:
        """Cross-entropy [B] of the target, as a mean over the critics."""
        return tf.add_n([losses.cross_entropies(target, logits) for logits in outputs]) / len(outputs)

    def _lower_probs(self, outputs: list[tf.Tensor], support: tf.Tensor) -> tf.Tensor:
        """Probabilities [B, K] of the critic with the lower mean, sample by sample."""
        lower = outputs[0]
        for other in outputs[1:]:
            lower = tf.where((self.mean(other, support) < self.mean(lower, support))[:, None], other, lower)
        return tf.nn.softmax(lower)


class ScalarHead:
    """The value itself, as in DDPG (Lillicrap et al., 2016, arXiv 1509.02971). Outputs are [B, 1]. A support has no effect."""

    METRICS = ("critic_loss",)

    def __init__(self, loss: str = "squared"):
        self._loss = loss  # squared or huber

    def target(
        self,
        next_outputs: list[tf.Tensor],
        reward: tf.Tensor,
        discount: tf.Tensor,
        target_support: tf.Tensor,
        support: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Value [B] for rewards and discounts [B], by the lower critic (Fujimoto et al., 2018). No metrics."""
        lower = tf.reduce_min(tf.stack([output[:, 0] for output in next_outputs]), axis=0)
        return reward + discount * lower, {}

    def mass(self, target: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """Zeros [K]: there is no mass."""
        return tf.zeros_like(support)

    def losses(self, target: tf.Tensor, outputs: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """Half the squared TD error [B]; with huber, growing linearly beyond an error of 1."""
        return losses.half_squares(target - outputs[:, 0], self._loss == "huber")

    def mean(self, outputs: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """Value [B] of one critic's outputs."""
        return outputs[:, 0]

    def td_errors(self, target: tf.Tensor, outputs: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """Distance [B] between the target [B] and one critic's outputs."""
        return tf.abs(target - outputs[:, 0])

    def priority(self, target: tf.Tensor, outputs: list[tf.Tensor]) -> tf.Tensor:
        """Priority [B]: the TD error, as a mean over the critics (Schaul et al., 2016, arXiv 1511.05952)."""
        return tf.add_n([tf.abs(target - output[:, 0]) for output in outputs]) / len(outputs)

    def metrics(self, target: tf.Tensor, outputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Metrics of the losses for the log: their mean, without importance weights."""
        errors = tf.stack([target - output[:, 0] for output in outputs])
        return {"critic_loss": tf.reduce_mean(losses.half_squares(errors, self._loss == "huber"))}


def _kl(cross_entropies: tf.Tensor, entropies: tf.Tensor) -> tf.Tensor:
    """KL divergence [B]; rounding in float32 would make it negative near 0."""
    return tf.nn.relu(cross_entropies - entropies)
