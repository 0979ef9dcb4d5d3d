"""ABPN (Du et al., CVPRW 2021, "Anchor-Based Plain Net for Mobile Image Super-Resolution").

Plain 3×3 convolutions in LR space and a residual over the anchor, the input repeated scale² times. Five convolutions
of 28 channels with ReLU, a sixth to the sub-pixels with ReLU, a seventh among the sub-pixels without: this layout has
the 42.5 K parameters published for ×3 (42,539). The paper's clip at the end is left out: int8 saturates at the ends of
[0, 1] by itself, and float outputs are clipped by whoever makes bytes of them.
"""

import tf_keras

from train.models.layers import enlarged_on_anchor

FEATURES = 28
DEPTH = 4
"""Convolutions from features to features."""


def build(*, scale: int) -> tf_keras.Model:
    """ABPN for one scale.

    Args:
        scale: upscaling factor.

    Returns:
        Model from (B, H, W, 3) to (B, H·scale, W·scale, 3), RGB in [0, 1].
    """

    def conv(filters: int, name: str, **options: object) -> tf_keras.layers.Conv2D:
        return tf_keras.layers.Conv2D(filters, 3, padding="same", name=name, **options)

    rectified = {"activation": "relu", "kernel_initializer": "he_normal"}
    subpixels = 3 * scale**2
    image = tf_keras.Input((None, None, 3), name="lr")
    x = conv(FEATURES, "features", **rectified)(image)
    for number in range(1, DEPTH + 1):
        x = conv(FEATURES, f"mapping{number}", **rectified)(x)
    x = conv(subpixels, "to_subpixels", **rectified)(x)
    x = conv(subpixels, "subpixels", kernel_initializer="zeros", dtype="float32")(x)
    return tf_keras.Model(image, enlarged_on_anchor(image, x, scale), name=f"abpn_x{scale}")
