"""Batch normalization in training, folded into the convolution in front of it for the network that ships.

Ioffe & Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
ICML 2015. In training, each output channel is brought to mean 0 and variance 1 over the batch, then scaled and shifted;
what ships uses running averages of mean and variance, so it is one convolution with another kernel and bias.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from octopix.errors import ConfigError
from train.collapsible import CollapsibleConv2D

EPSILON = 1e-5
"""Added to variances, lest a dead channel divide by zero."""

MOMENTUM = 0.99
"""Of the running averages: they span some hundred steps."""


@tf_keras.utils.register_keras_serializable(package="octopix")
class NormalizedConv2D(CollapsibleConv2D):
    """A convolution with batch normalization between its kernel and its activation.

    The factors of the normalization start so that the layer's output starts as strong as its initializer wants it:
    at 1 for He's, at 0.1 for one a tenth as wide.
    """

    def _make_weights(self) -> None:
        channels = (self.filters,)
        self.kernel = self._weight("kernel", self.kernel_shape, self.kernel_initializer)
        he = 2 / np.prod(self.kernel_shape[:-1])
        strength = tf.sqrt(tf.reduce_mean(tf.square(self.kernel)) / he)
        self.gamma = self._weight("gamma", channels, lambda shape, dtype: tf.fill(shape, tf.cast(strength, dtype)))
        self.beta = self._weight("beta", channels, "zeros")
        self.moving_mean = self._weight("moving_mean", channels, "zeros", trainable=False)
        self.moving_variance = self._weight("moving_variance", channels, "ones", trainable=False)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve and normalize: in training by the batch's statistics, which are remembered; else by those."""
        result = tf.cast(self._convolved(inputs, self.kernel), tf.float32)
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean, variance = _moments(result)
            _remember(self.moving_mean, mean)
            _remember(self.moving_variance, variance)
        scale = self.gamma * tf.math.rsqrt(variance + EPSILON)
        return self.activation(tf.cast((result - mean) * scale + self.beta, self.compute_dtype))

    def collapsed(self) -> dict[str, tf.Tensor]:
        """Kernel and bias with the remembered statistics folded in."""
        scale = self.gamma * tf.math.rsqrt(self.moving_variance + EPSILON)
        return self._named(self.kernel * scale, self.beta - self.moving_mean * scale)

    def start_from(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> set[str]:
        """Given weights know nothing of a normalization: they would not compute in training what they did before.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            expected="plain convolutions, to start from given weights",
            got=f"{self.name}, trained with batch normalization",
            do="leave `start` or `normalized` out of the recipe",
        )


def _moments(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of each channel over the whole batch, whose equal shares all replicas have."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        mean, variance = tf.nn.moments(features, axes=(0, 1, 2))
        return mean, variance
    mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.reduce_mean(features, axis=(0, 1, 2)))
    own = tf.reduce_mean(tf.math.squared_difference(features, mean), axis=(0, 1, 2))
    return mean, context.all_reduce(tf.distribute.ReduceOp.MEAN, own)


def _remember(average: tf.Variable, value: tf.Tensor) -> None:
    average.assign(MOMENTUM * average + (1 - MOMENTUM) * value)
