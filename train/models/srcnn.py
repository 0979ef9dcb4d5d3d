"""SRCNN (Dong et al., ECCV 2014, "Learning a Deep Convolutional Network for Image Super-Resolution"), 9-1-5.

Three convolutions on luma at the size of the output, 64 and 32 filters with ReLU; here it takes the blur and the blocks
of JPEG away. No skip, as in the paper. The document pads by repeating the edge; we pad with zeros, which int8 kernels
do without another operator.
"""

import numpy as np
import tf_keras

from train.models.starts import hand_on

SIDES = {"features": 9, "mapping": 1, "reconstruction": 5}
"""Kernel sides by layer."""


def build() -> tf_keras.Model:
    """SRCNN on luma.

    It starts as the identity: the first filter of each layer hands the image on (which no ReLU touches, being positive)
    and the last layer hardly listens to the others. A network without a skip would first have to learn that.

    Returns:
        Model from (B, H, W, 1) to (B, H, W, 1).
    """

    def conv(filters: int, name: str, **options: str) -> tf_keras.layers.Conv2D:
        return tf_keras.layers.Conv2D(filters, SIDES[name], padding="same", name=name, **options)

    image = tf_keras.Input((None, None, 1), name="degraded")
    x = conv(64, "features", activation="relu", kernel_initializer="he_normal")(image)
    x = conv(32, "mapping", activation="relu", kernel_initializer="he_normal")(x)
    x = conv(1, "reconstruction", dtype="float32")(x)
    model = tf_keras.Model(image, x, name="srcnn")
    for name in SIDES:
        hand_on(model.get_layer(name), np.ones((1, 1)))
    return model
