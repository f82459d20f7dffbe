"""A Scaling and the supports as tensors, arguments of the compiled update."""

from typing import NamedTuple

import tensorflow as tf


class ScalingTensors(NamedTuple):
    """A Scaling and the supports as float32 tensors, arguments of the compiled call: other numbers need no compilation."""

    obs_mean: tf.Tensor  # [S]
    obs_scale: tf.Tensor  # [S]
    obs_clip: tf.Tensor
    reward_scale: tf.Tensor
    action_low: tf.Tensor  # [A]
    action_high: tf.Tensor  # [A]
    target_support: tf.Tensor  # [K], scaled rewards
    support: tf.Tensor  # [K]
    target_pace: tf.Tensor  # 1; 0 while the target critics keep their weights, since the support has moved

    def normalise(self, obs: tf.Tensor) -> tf.Tensor:
        """Raw observations [..., S] as the networks see them."""
        return tf.clip_by_value((obs - self.obs_mean) * (1.0 / self.obs_scale), -self.obs_clip, self.obs_clip)

    def to_unit(self, action: tf.Tensor) -> tf.Tensor:
        """Actions [..., A] in the environment's units, in [-1, 1]."""
        return 2.0 * (action - self.action_low) * (1.0 / (self.action_high - self.action_low)) - 1.0
