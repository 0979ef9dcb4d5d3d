"""PSNR of a Keras model on whole images, the number every checkpoint is chosen by."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from octopix.errors import DataError
from octopix.images import Array, shave, to_bytes
from octopix.metrics import psnr


class Validator:
    """Mean PSNR over image pairs: output rounded to 8 bits, borders of ``scale`` pixels shaved.

    Inputs whose sides are no multiples of ``multiple_of`` are padded by repeating the edge, and the output is cropped.

    Pairs without detail inside the borders (flat, or nothing left) are left out: any model restores them exactly.

    Raises:
        DataError: no pair has detail.
    """

    def __init__(
        self, model: tf_keras.Model, pairs: Sequence[tuple[Array, Array]], *, scale: int, multiple_of: int = 1
    ) -> None:
        depth = model.input_shape[-1]
        self._restore = tf.function(model, input_signature=[tf.TensorSpec((1, None, None, depth), tf.float32)])
        self._pairs = [pair for pair in pairs if _detailed(pair[1], scale)]
        self._scale = scale
        self._multiple_of = multiple_of
        if not self._pairs:
            raise DataError(
                expected=f"validation images with detail, of more than {2 * scale} pixels a side",
                got=f"{len(pairs)} flat or smaller ones",
                do="validate on images like those the model will meet",
            )

    def psnr(self) -> float:
        """Unweighted mean over the images, dB; always finite."""
        return float(np.mean([self._one(lr, hr) for lr, hr in self._pairs]))

    def _one(self, lr: Array, hr: Array) -> float:
        bottom, right = (-side % self._multiple_of for side in lr.shape[:2])
        given = np.pad(lr, ((0, bottom), (0, right), (0, 0)), mode="edge")
        output = self._restore(given[None].astype(np.float32) / np.float32(255))[0].numpy()
        output, truth = output[: hr.shape[0], : hr.shape[1]], shave(hr, self._scale)
        return min(psnr(truth, shave(to_bytes(output), self._scale)), _nearly_exact(truth))


def _detailed(hr: Array, scale: int) -> bool:
    inner = hr[scale:-scale, scale:-scale]
    return bool(inner.size and inner.min() < inner.max())


def _nearly_exact(truth: Array) -> float:
    """PSNR of one sample off by one, dB: an exact image counts as this, lest one infinity hide all other images."""
    return 20 * math.log10(255) + 10 * math.log10(truth.size)
