"""Losses and the projection of distributions: functions of tensors, no networks, no state. B is the batch, K the atoms."""

import tensorflow as tf


def project(moved_atoms: tf.Tensor, probs: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """Put `probs` over `moved_atoms` [B, K] back on the even support `atoms` [K].

    The mass of a moved atom is shared by its two neighbours, in inverse proportion to distance. Atoms outside the support
    move to its edge. Total mass is kept. Returns [B, K]. Bellemare et al., 2017 (arXiv 1707.06887), algorithm 1.
    """
    spacing = (atoms[-1] - atoms[0]) / tf.cast(tf.shape(atoms)[0] - 1, atoms.dtype)
    inside = tf.clip_by_value(moved_atoms, atoms[0], atoms[-1])  # [B, K]
    gaps = tf.abs(inside[:, :, None] - atoms) * (1.0 / spacing)  # [B, K, K], from where and to where
    return tf.reduce_sum(tf.nn.relu(1.0 - gaps) * probs[:, :, None], axis=1)  # [B, K]; over the last axis it is slower


def mean_over_batch(probs: tf.Tensor) -> tf.Tensor:
    """The mean of distributions [B, K] over the batch. Returns [K].

    As a matrix product, which reads `probs`: XLA would compute the projection again inside a sum (5 % of an update).
    """
    batch_size = tf.shape(probs)[0]
    return tf.linalg.matvec(probs, tf.ones([batch_size]), transpose_a=True) / tf.cast(batch_size, probs.dtype)


def mass_outside(moved_atoms: tf.Tensor, probs: tf.Tensor, atoms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean mass that lands more than half an atom below, and above, the support. Two scalars."""
    margin = (atoms[1] - atoms[0]) / 2.0
    below = tf.reduce_sum(tf.where(moved_atoms < atoms[0] - margin, probs, 0.0), axis=1)  # [B]
    above = tf.reduce_sum(tf.where(moved_atoms > atoms[-1] + margin, probs, 0.0), axis=1)  # [B]
    return tf.reduce_mean(below), tf.reduce_mean(above)


def cross_entropies(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each transition's projected target [B, K] and the critic's logits [B, K]. Returns [B]."""
    return -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=1)  # [B]


def entropies(probs: tf.Tensor) -> tf.Tensor:
    """Entropy of each distribution [B, K], the least possible cross-entropy. Returns [B]."""
    return -tf.reduce_sum(tf.math.xlogy(probs, probs), axis=1)  # [B]


def half_squares(errors: tf.Tensor, is_huber: bool) -> tf.Tensor:
    """Half the square of each error; beyond 1 the Huber loss goes on along its tangent. Returns the shape of `errors`."""
    if not is_huber:
        return 0.5 * tf.square(errors)
    inside = tf.minimum(tf.abs(errors), 1.0)
    return inside * (tf.abs(errors) - 0.5 * inside)


def mean_value(logits: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """The mean of each distribution, Q(obs, action): logits [B, K] over `atoms` [K]. Returns [B]."""
    return tf.reduce_sum(tf.nn.softmax(logits) * atoms, axis=1)  # [B]


def saturation(inputs: tf.Tensor) -> tf.Tensor:
    """Mean square of the inputs [B, A] of the actor's tanh. A scalar. Not part of the paper.

    A saturated tanh passes no gradient from the critic to the actor. The gradient of this term never vanishes.
    """
    return tf.reduce_mean(tf.square(inputs))


def saturated_share(actions: tf.Tensor) -> tf.Tensor:
    """Share of the actions [B, A] in [-1, 1] within 0.01 of a bound. A scalar.

    There the slope of tanh is below 0.02, so the actor gets almost no gradient from the critic.
    """
    return tf.reduce_mean(tf.cast(tf.abs(actions) > 0.99, tf.float32))


def l2(kernels: list[tf.Tensor]) -> tf.Tensor:
    """Half the sum of the squares of all kernels. A scalar."""
    return tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
