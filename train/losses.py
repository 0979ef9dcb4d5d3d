"""Training losses on (B, H, W, C) float32 in [0, 1]; the registry's names are those of recipes."""

from collections.abc import Callable

import tensorflow as tf

LossFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def mean_absolute(truth: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean absolute error."""
    return tf.reduce_mean(tf.abs(output - truth))


def mean_squared(truth: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean squared error: what PSNR measures."""
    return tf.reduce_mean(tf.square(output - truth))


def charbonnier(truth: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Smooth absolute error sqrt(d² + ε²), ε = 1e-3 (Lai et al., LapSRN, CVPR 2017)."""
    return tf.reduce_mean(tf.sqrt(tf.square(output - truth) + 1e-6))


LOSSES: dict[str, LossFunction] = {"mae": mean_absolute, "mse": mean_squared, "charbonnier": charbonnier}
