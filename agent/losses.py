"""The maths of D4PG: functions of tensors, no networks, no state. B is the batch, K the atoms."""

import tensorflow as tf


def project(moved_atoms: tf.Tensor, probs: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """Put `probs` over `moved_atoms` [B, K] back on the fixed, even support `atoms` [K].

    An atom that landed between two shares its mass with both, the nearer getting more; one that left the support
    goes to its edge. Total mass is kept. Returns [B, K]. Bellemare et al., 2017 (arXiv 1707.06887), algorithm 1.
    """
    spacing = (atoms[-1] - atoms[0]) / tf.cast(tf.shape(atoms)[0] - 1, atoms.dtype)
    inside = tf.clip_by_value(moved_atoms, atoms[0], atoms[-1])  # [B, K]
    gaps = tf.abs(inside[:, :, None] - atoms) / spacing  # [B, K, K], from where and to where
    return tf.reduce_sum(tf.nn.relu(1.0 - gaps) * probs[:, :, None], axis=1)  # [B, K]; over the last axis it takes longer


def mass_outside(moved_atoms: tf.Tensor, probs: tf.Tensor, atoms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean mass that lands more than half an atom below, and above, the support. Two scalars."""
    margin = (atoms[1] - atoms[0]) / 2.0
    below = tf.reduce_sum(tf.where(moved_atoms < atoms[0] - margin, probs, 0.0), axis=1)  # [B]
    above = tf.reduce_sum(tf.where(moved_atoms > atoms[-1] + margin, probs, 0.0), axis=1)  # [B]
    return tf.reduce_mean(below), tf.reduce_mean(above)


def critic_losses(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each transition's projected target [B, K] and the critic's logits [B, K]. Returns [B]."""
    return -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=1)  # [B]


def mean_value(logits: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """The mean of each distribution, Q(obs, action): logits [B, K] over `atoms` [K]. Returns [B]."""
    return tf.reduce_sum(tf.nn.softmax(logits) * atoms, axis=1)  # [B]


def actor_loss(logits: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """Minus the batch's mean Q under the policy's own actions, which the actor descends. A scalar.

    Not importance-weighted, as in the paper's algorithm 1.
    """
    return -tf.reduce_mean(mean_value(logits, atoms))


def saturation(inputs: tf.Tensor) -> tf.Tensor:
    """The mean square of what goes into the actor's tanh [B, A]. A scalar.

    An actor that has been driven far into the flat ends of its tanh gets no gradient from the critic any more, however
    clearly the critic prefers another action; of this term the gradient never vanishes. Not part of the paper.
    """
    return tf.reduce_mean(tf.square(inputs))


def l2(kernels: list[tf.Tensor]) -> tf.Tensor:
    """Half the sum of the squares of all kernels. A scalar."""
    return tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
