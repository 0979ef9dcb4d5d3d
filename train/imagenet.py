"""ImageNet's weights of ResNet-50, as ``tf_keras.applications`` publishes them, in the form of `train.models.resnet50`.

Each batch normalization disappears in the convolution in front of it. The published network wants BGR in 0..255 less
the mean colour, ours RGB in [0, 1] less the same mean: the first kernel's input channels are turned round and scaled.
"""

import numpy as np
import numpy.typing as npt
import tf_keras

from octopix.errors import DataError

Array = npt.NDArray[np.float32]


def imagenet_weights() -> dict[str, Array]:
    """The encoder's weights by the names of our variables; downloaded once, into Keras' own cache.

    Raises:
        DataError: they can neither be found nor downloaded.
    """
    try:
        encoder = tf_keras.applications.ResNet50(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises no other class where a download fails
        raise DataError(
            expected="ImageNet's weights of ResNet-50, from the address Keras knows",
            got=" ".join(str(error).split()),
            do="connect to the network once, or start from random weights",
        ) from error
    return folded(encoder)


def folded(encoder: tf_keras.Model) -> dict[str, Array]:
    """Kernels and biases that do what ``encoder``'s convolutions and the normalizations behind them do.

    Args:
        encoder: ``tf_keras.applications.ResNet50`` with any weights.
    """
    found: dict[str, Array] = {}
    for layer in encoder.layers:
        if isinstance(layer, tf_keras.layers.Conv2D):
            norm = encoder.get_layer(layer.name.removesuffix("conv") + "bn")
            gamma, beta, mean, variance = (each.numpy().astype(np.float64) for each in norm.weights)
            gain = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = (each.numpy().astype(np.float64) for each in layer.weights)
            found[f"{layer.name}/kernel:0"] = (kernel * gain).astype(np.float32)
            found[f"{layer.name}/bias:0"] = ((bias - mean) * gain + beta).astype(np.float32)
    first = found["conv1_conv/kernel:0"]
    found["conv1_conv/kernel:0"] = first[:, :, ::-1] * np.float32(255)
    return found
