"""SRResNet (Ledig et al., CVPR 2017, "Photo-Realistic Single Image Super-Resolution Using a … GAN"), its generator.

A 9×9 convolution, 16 residual blocks of two 3×3 ones, a long skip, two sub-pixel steps of ×2, a 9×9 convolution to
RGB; PReLU with one slope per channel. The paper normalizes batches after every convolution between the long skip's two
ends. This is the network as it ships, where a normalization is part of the convolution in front of it: those are the
convolutions whose names begin with ``block``, and only they are to be trained with one.

It starts as bilinear enlargement: three channels carry the image past the blocks.
"""

import numpy as np
import tf_keras

from train.models.layers import DepthToSpace, faint
from train.models.starts import hand_on, hand_on_enlarged

STEPS = {2: (2,), 3: (3,), 4: (2, 2)}
"""Sub-pixel steps by scale."""


def build(*, scale: int, filters: int = 64, blocks: int = 16) -> tf_keras.Model:
    """SRResNet for one scale.

    Args:
        scale: 2, 3 or 4.
        filters: width, 64 in the paper.
        blocks: residual blocks, 16 in the paper.

    Returns:
        Model from (B, H, W, 3) to (B, H·scale, W·scale, 3), RGB in [0, 1].
    """
    layers = tf_keras.layers

    def conv(count: int, side: int, name: str, **options: object) -> tf_keras.layers.Conv2D:
        return layers.Conv2D(count, side, padding="same", name=name, **options)

    def prelu(name: str) -> tf_keras.layers.PReLU:
        return layers.PReLU(alpha_initializer=tf_keras.initializers.Constant(0.25), shared_axes=(1, 2), name=name)

    image = tf_keras.Input((None, None, 3), name="lr")
    x = shallow = prelu("features_prelu")(conv(filters, 9, "features", kernel_initializer="he_normal")(image))
    for number in range(1, blocks + 1):
        inner = conv(filters, 3, f"block{number}_1", kernel_initializer="he_normal")(x)
        inner = prelu(f"block{number}_prelu")(inner)
        inner = conv(filters, 3, f"block{number}_2", kernel_initializer=faint())(inner)
        x = layers.Add(name=f"block{number}_sum")([x, inner])
    x = conv(filters, 3, "blocks_end", kernel_initializer=faint())(x)
    x = layers.Add(name="deep_and_shallow")([x, shallow])
    for number, step in enumerate(STEPS[scale]):
        x = conv(filters * step**2, 3, f"up{number}", kernel_initializer="he_normal")(x)
        x = DepthToSpace(step, name=f"shuffle{number}")(x)
        x = prelu(f"up{number}_prelu")(x)
    x = conv(3, 9, "rgb", dtype="float32")(x)
    model = tf_keras.Model(image, x, name=f"srresnet_x{scale}")
    _start_bilinear(model, scale, blocks)
    return model


def _start_bilinear(model: tf_keras.Model, scale: int, blocks: int) -> None:
    """Let the untrained network enlarge bilinearly: the long skip hands the image on, the blocks leave it alone."""
    for name in ("features", "rgb"):
        hand_on(model.get_layer(name), np.eye(3))
    for name in (*(f"block{number}_2" for number in range(1, blocks + 1)), "blocks_end"):
        hand_on(model.get_layer(name), np.zeros((3, 3)))
    for number, step in enumerate(STEPS[scale]):
        hand_on_enlarged(model.get_layer(f"up{number}"), channels=3, scale=step)
