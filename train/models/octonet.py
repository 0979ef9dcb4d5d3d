"""OctoNet: our own mobile network, made to be quantized, of at most 60 K parameters at ×2.

Seven 3×3 convolutions of 32 channels in LR space, each but the last with ReLU, and nothing beside them but the anchor,
the input repeated scale² times and added before the sub-pixel shuffle (as in ABPN, Du et al. 2021). Every operator is
one that int8 kernels are fastest at, and the only skip joins tensors whose ranges are known. Width and depth are those
of QuickSRNet's medium size (Berger et al., CVPRW 2023), whose residuals exist only while training; here linear
expansion (`train.expansion`) does that work. Against ABPN: no narrow layer before the sub-pixels, which at ×2 has 12
channels and a ReLU, but a seventh wide one.
"""

import tf_keras

from train.models.layers import enlarged_on_anchor

FEATURES = 32
DEPTH = 5
"""Convolutions from features to features."""


def build(*, scale: int) -> tf_keras.Model:
    """OctoNet for one scale.

    Args:
        scale: upscaling factor.

    Returns:
        Model from (B, H, W, 3) to (B, H·scale, W·scale, 3), RGB in [0, 1].
    """

    def conv(filters: int, name: str, **options: object) -> tf_keras.layers.Conv2D:
        return tf_keras.layers.Conv2D(filters, 3, padding="same", name=name, **options)

    image = x = tf_keras.Input((None, None, 3), name="lr")
    for number in range(DEPTH + 1):
        x = conv(FEATURES, f"features{number}", activation="relu", kernel_initializer="he_normal")(x)
    x = conv(3 * scale**2, "subpixels", kernel_initializer="zeros", dtype="float32")(x)
    return tf_keras.Model(image, enlarged_on_anchor(image, x, scale), name=f"octonet_x{scale}")
