"""Keras layers that the zoo shares."""

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
