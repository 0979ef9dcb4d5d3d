"""ESPCN (Shi et al., CVPR 2016, "Real-Time Single Image and Video Super-Resolution Using … Sub-Pixel …").

Three convolutions in LR space, 5-3-3, then a sub-pixel shuffle. The paper's tanh is a ReLU here: TFLite fuses ReLU
into the convolution, tanh would be another pass over every activation.
"""

import tf_keras

from train.models.layers import DepthToSpace


def build(*, scale: int, channels: int = 1) -> tf_keras.Model:
    """ESPCN with 64 and 32 filters.

    The last convolution computes in float32 whatever the policy: bfloat16's 8 bits of mantissa would round the image.

    Args:
        scale: upscaling factor r.
        channels: channels of the image, 1 for luma.

    Returns:
        Model from (B, H, W, channels) to (B, H·r, W·r, channels).
    """

    def conv(filters: int, side: int, name: str, **options: str) -> tf_keras.layers.Conv2D:
        return tf_keras.layers.Conv2D(filters, side, padding="same", name=name, **options)

    image = tf_keras.Input((None, None, channels), name="lr")
    x = conv(64, 5, "features", activation="relu", kernel_initializer="he_normal")(image)
    x = conv(32, 3, "mapping", activation="relu", kernel_initializer="he_normal")(x)
    x = conv(channels * scale**2, 3, "subpixels", dtype="float32")(x)
    return tf_keras.Model(image, DepthToSpace(scale, name="shuffle", dtype="float32")(x), name=f"espcn_x{scale}")
