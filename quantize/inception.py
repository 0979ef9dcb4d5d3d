"""The Inception network whose pooled features FID is computed on, as a ``.tflite`` for ``python -m benchmarks fid``.

C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016: Inception v3 with ImageNet's
weights as ``tf_keras.applications`` publishes them, without the classifier, the last maps averaged to 2048 features.
"""

from pathlib import Path

import tf_keras

from octopix.errors import DataError
from octopix.files import write_bytes
from quantize.export import to_float32

WEIGHTS = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
"""What Keras calls the file."""
SIDE = 299
"""Height and width of the network's input."""


def export_inception(out: Path, weights: Path | None = None) -> None:
    """Write the network: 1×299×299×3 RGB in [-1, 1] to 1×2048 features, float32.

    Args:
        out: the ``.tflite`` to write, 84 MiB.
        weights: a file like ``WEIGHTS``; None lets Keras download it, once, into its own cache, and check its hash.

    Raises:
        DataError: the weights can neither be found nor downloaded, or are of another network.
    """
    write_bytes(out, to_float32(_network(weights), height=SIDE, width=SIDE))


def _network(weights: Path | None) -> tf_keras.Model:
    if weights is not None and not weights.is_file():
        raise DataError(expected=f"Keras' weights at {weights}", got="no such file", do="correct --weights")
    try:
        return tf_keras.applications.InceptionV3(
            include_top=False,
            weights="imagenet" if weights is None else str(weights),
            input_shape=(SIDE, SIDE, 3),
            pooling="avg",
        )
    except Exception as error:  # Keras raises no other class where a download fails
        raise DataError(
            expected="ImageNet's weights of Inception v3 without its classifier, from "
            + ("the address Keras knows" if weights is None else str(weights)),
            got=" ".join(str(error).split()),
            do=f"connect to the network once, or give --weights {WEIGHTS}",
        ) from error
