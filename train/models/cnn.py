"""A plain CNN as courses build it: four convolutions in LR space, 5×5×64, 3×3×64, 3×3×32 with ReLU, then sub-pixels."""

import tf_keras

from train.models.layers import DepthToSpace

HIDDEN = ((5, 64), (3, 64), (3, 32))
"""Kernel side and filters of each convolution before the last."""


def build(*, scale: int) -> tf_keras.Model:
    """The network for luma and one scale.

    Args:
        scale: upscaling factor; 4 gives the last convolution 16 filters.

    Returns:
        Model from (B, H, W, 1) to (B, H·scale, W·scale, 1).
    """

    def conv(filters: int, side: int, name: str, **options: str) -> tf_keras.layers.Conv2D:
        return tf_keras.layers.Conv2D(filters, side, padding="same", name=name, **options)

    image = x = tf_keras.Input((None, None, 1), name="lr")
    for number, (side, filters) in enumerate(HIDDEN, start=1):
        x = conv(filters, side, f"features{number}", activation="relu", kernel_initializer="he_normal")(x)
    x = conv(scale**2, 3, "subpixels", dtype="float32")(x)
    return tf_keras.Model(image, DepthToSpace(scale, name="shuffle", dtype="float32")(x), name=f"cnn_x{scale}")
