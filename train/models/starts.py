"""Kernels that hand pictures on: networks without a global skip need not learn that first.

A plain network starts as noise, and spends its first thousands of steps on learning to reproduce its input. Here a few
channels carry the image from the start; all other weights stay random, so nothing is lost to symmetry.
"""

import numpy as np
import numpy.typing as npt
import tf_keras

FAINT = 0.001
"""Factor of the random weights that would disturb what is handed on."""


def hand_on(layer: tf_keras.layers.Conv2D, weights: npt.NDArray[np.float64]) -> None:
    """Let the layer compute ``weights`` of its centre, nearly: the rest of those output channels stays, but faint.

    Args:
        layer: a convolution of k×k.
        weights: (inputs, outputs), for the first ``inputs`` channels in and the first ``outputs`` channels out.
    """
    kernel, middle = layer.kernel.numpy(), layer.kernel_size[0] // 2
    inputs, outputs = weights.shape
    kernel[..., :outputs] *= FAINT
    kernel[middle, middle, :inputs, :outputs] = weights
    layer.kernel.assign(kernel)


def hand_on_enlarged(layer: tf_keras.layers.Conv2D, *, channels: int, scale: int, gain: float = 1.0) -> None:
    """Let the layer before a sub-pixel shuffle enlarge its first channels bilinearly, nearly.

    Args:
        layer: a 3×3 convolution of F inputs and F·scale² outputs, TensorFlow's order (r² outermost).
        channels: how many of the F.
        scale: that of the shuffle.
        gain: factor of the result.
    """
    kernel = layer.kernel.numpy()
    filters, taps = kernel.shape[3] // scale**2, _bilinear_taps(scale)
    for place in range(scale**2):
        window = np.outer(taps[place // scale], taps[place % scale])
        for channel in range(channels):
            output = place * filters + channel
            kernel[..., output] *= FAINT
            kernel[:, :, channel, output] = gain * window
    layer.kernel.assign(kernel)


def both_signs(colours: int) -> npt.NDArray[np.float64]:
    """(colours, 2·colours): every colour and its negative, which pass a ReLU as positive and negative part."""
    return np.kron(np.eye(colours), np.array([[1.0, -1.0]]))


def _bilinear_taps(scale: int) -> npt.NDArray[np.float64]:
    """(scale, 3): weights of the pixels before, at and after, for each sub-pixel of a row."""
    offsets = (np.arange(scale) + 0.5) / scale - 0.5
    return np.stack([np.maximum(-offsets, 0), 1 - np.abs(offsets), np.maximum(offsets, 0)], axis=1)
