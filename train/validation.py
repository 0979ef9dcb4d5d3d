"""PSNR of a Keras model on whole images, the number every checkpoint is chosen by."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from octopix.images import Array, shave, to_bytes
from octopix.metrics import psnr


class Validator:
    """Mean PSNR over image pairs: output rounded to 8 bits, borders of ``scale`` pixels shaved."""

    def __init__(self, model: tf_keras.Model, pairs: Sequence[tuple[Array, Array]], *, scale: int) -> None:
        depth = model.input_shape[-1]
        self._restore = tf.function(model, input_signature=[tf.TensorSpec((1, None, None, depth), tf.float32)])
        self._pairs = pairs
        self._scale = scale

    def psnr(self) -> float:
        """Unweighted mean over the images, dB."""
        return float(np.mean([self._one(lr, hr) for lr, hr in self._pairs]))

    def _one(self, lr: Array, hr: Array) -> float:
        output = self._restore(lr[None].astype(np.float32) / np.float32(255))[0].numpy()
        return psnr(shave(hr, self._scale), shave(to_bytes(output), self._scale))
