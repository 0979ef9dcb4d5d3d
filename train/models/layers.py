"""Keras layers that the zoo shares."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable(package="octopix")
class DepthToSpace(tf_keras.layers.Layer):
    """Sub-pixel shuffle: (B, H, W, C·r²) to (B, H·r, W·r, C), TensorFlow's channel order (r² outermost).

    A layer of its own, because tfmot refuses Lambda layers; it has no weights and needs no quantizer, since it moves
    values and makes none.
    """

    def __init__(self, block: int, **options: Any) -> None:
        super().__init__(**options)
        self.block = block

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Shuffle channels into space."""
        return tf.nn.depth_to_space(inputs, self.block)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "block": self.block}


@tf_keras.utils.register_keras_serializable(package="octopix")
class MeanShift(tf_keras.layers.Layer):
    """Subtracts one constant per channel: (B, H, W, C) to the same shape.

    Args:
        mean: C values, subtracted; kept with the weights, but not trained.
    """

    def __init__(self, mean: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        self.mean = tuple(float(value) for value in mean)

    def build(self, input_shape: tf.TensorShape) -> None:
        """One value per channel."""
        values = tf_keras.initializers.Constant(self.mean)
        self.shift = self.add_weight("mean", (input_shape[-1],), initializer=values, trainable=False)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Subtract the mean."""
        return inputs - self.shift

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "mean": self.mean}


def faint() -> tf_keras.initializers.Initializer:
    """He's normal at a tenth of its deviation: for the end of a residual block.

    Without normalization, 16 sums of full size would let variance grow 65,536-fold.
    """
    return tf_keras.initializers.VarianceScaling(0.02, distribution="truncated_normal")


def enlarged_on_anchor(image: tf.Tensor, residual: tf.Tensor, scale: int) -> tf.Tensor:
    """Sub-pixel shuffle of ``residual`` plus the anchor, which is each input pixel repeated ``scale``² times.

    The anchor is nearest-neighbour enlargement, written before the shuffle as concatenations of the image with itself:
    they copy bytes, so int8 loses nothing on that way. Two of ``scale`` parts each rather than one of ``scale``²:
    XNNPACK takes at most five.

    Args:
        image: (B, H, W, C), in [0, 1].
        residual: (B, H, W, C·scale²).

    Returns:
        (B, H·scale, W·scale, C), computed in float32 under every policy: bfloat16 would round the image.
    """
    layers = tf_keras.layers
    row = layers.Concatenate(name="anchor_row", dtype="float32")([image] * scale)
    anchor = layers.Concatenate(name="anchor", dtype="float32")([row] * scale)
    total = layers.Add(name="anchored", dtype="float32")([anchor, residual])
    return DepthToSpace(scale, name="shuffle", dtype="float32")(total)
