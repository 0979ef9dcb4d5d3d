"""Convolutions that train in a richer form and deploy as plain ones."""

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras


class CollapsibleConv2D(tf_keras.layers.Conv2D, abc.ABC):
    """What the trainer needs of a convolution that has other weights in training than in the network that ships."""

    @abc.abstractmethod
    def collapsed(self) -> dict[str, tf.Tensor]:
        """Float32 weights of the plain convolution, by their names there (``conv1/kernel:0``)."""

    @abc.abstractmethod
    def start_from(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> set[str]:
        """Set the weights so that those of the plain convolution become ``arrays``, where they name and fit them.

        Returns:
            The names that were set.

        Raises:
            ConfigError: this form cannot express them.
        """

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Shape (k, k, in, out) of the plain kernel."""
        return (*self.kernel_size, self._depth, self.filters)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Make the weights of the richer form; kept in float32 under every policy, because products are."""
        self._depth = int(input_shape[-1])
        self._make_weights()
        self.built = True

    @abc.abstractmethod
    def _make_weights(self) -> None: ...

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Any, *, trainable: bool = True) -> tf.Variable:
        # What is not trained but remembered is the same in every replica; TensorFlow wants a rule all the same.
        aggregation = tf.VariableAggregation.NONE if trainable else tf.VariableAggregation.MEAN
        return self.add_weight(
            name,
            shape,
            initializer=initializer,
            trainable=trainable,
            experimental_autocast=False,
            aggregation=aggregation,
        )

    def _named(self, kernel: tf.Tensor, bias: tf.Tensor | None) -> dict[str, tf.Tensor]:
        names = {f"{self.name}/kernel:0": kernel}
        return names if bias is None else {**names, f"{self.name}/bias:0": bias}

    def _convolved(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        kernel = tf.cast(kernel, self.compute_dtype)
        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate)
