"""ResNet-50 (He et al., CVPR 2016) as the encoder of a super-resolution network, with a sub-pixel decoder.

The encoder is the one of ``tf_keras.applications``, layer by layer and by the same names, with each batch
normalization folded into the convolution in front of it (`train.imagenet` does that to published weights). So it
trains with frozen statistics, as is usual for small batches, and deploys as it trains.

It halves the picture five times, to 1/32; the decoder has to grow all detail back from there. That is why a classifier
makes a poor enlarger, and what ``skips`` is about: with them the decoder also sees each finer level of the encoder, and
its output corrects the input repeated scale² times instead of making the picture.
"""

import tf_keras

from train.models.layers import DepthToSpace, MeanShift, enlarged_on_anchor, faint

RGB_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
"""Mean colour of ImageNet, which the published weights expect to be subtracted."""

STACKS = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Filters and blocks of each stack; the first works at 1/4 of the picture, each other at half of the one before."""

DECODER = (256, 128, 64, 64, 64)
"""Filters after each step of ×2 back to the size of the input."""


def build(*, scale: int, skips: bool = False, thinner: int = 1, most_blocks: int = 6) -> tf_keras.Model:
    """The network for one scale.

    Args:
        scale: upscaling factor.
        skips: connect encoder and decoder at each level, and add the enlarged input.
        thinner: what the filters are divided by; 1 is ResNet-50.
        most_blocks: of a stack; 6 is ResNet-50.

    Returns:
        Model from (B, H, W, 3) to (B, H·scale, W·scale, 3), RGB in [0, 1], H and W multiples of 32.
    """
    image = tf_keras.Input((None, None, 3), name="lr")
    *levels, x = _encoder(image, thinner, most_blocks)
    for number, filters in enumerate((each // thinner for each in DECODER), start=1):
        x = _conv(4 * filters, 1 if number == 1 else 3, f"up{number}", padding="same", activation="relu")(x)
        x = DepthToSpace(2, name=f"up{number}_shuffle")(x)
        if skips and levels:
            level = _conv(filters, 1, f"skip{number}")(levels.pop())
            x = tf_keras.layers.Add(name=f"up{number}_with_skip")([x, level])
    x = _conv(3 * scale**2, 3, "subpixels", padding="same", kernel_initializer=faint(), dtype="float32")(x)
    shuffle = DepthToSpace(scale, name="shuffle", dtype="float32")
    output = enlarged_on_anchor(image, x, scale) if skips else shuffle(x)
    return tf_keras.Model(image, output, name=f"resnet50{'_skip' if skips else ''}_x{scale}")


def _encoder(image: object, thinner: int, most_blocks: int) -> list[object]:
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""
    layers = tf_keras.layers
    x = MeanShift(RGB_MEAN, name="sub_mean", dtype="float32")(image)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = _conv(64 // thinner, 7, "conv1_conv", strides=2, activation="relu")(x)
    levels = [x]
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPool2D(3, strides=2, name="pool1_pool")(x)
    for stack, (filters, blocks) in enumerate(STACKS, start=2):
        for number in range(1, min(blocks, most_blocks) + 1):
            stride = 2 if number == 1 and stack > 2 else 1
            x = _block(x, filters // thinner, stride, f"conv{stack}_block{number}", projected=number == 1)
        levels.append(x)
    return levels


def _block(x: object, filters: int, stride: int, name: str, *, projected: bool) -> object:
    """1×1, 3×3 and 1×1 convolutions around a skip, which is a 1×1 convolution where the shape changes."""
    layers = tf_keras.layers
    skip = _conv(4 * filters, 1, f"{name}_0_conv", strides=stride)(x) if projected else x
    inner = _conv(filters, 1, f"{name}_1_conv", strides=stride, activation="relu")(x)
    inner = _conv(filters, 3, f"{name}_2_conv", padding="same", activation="relu")(inner)
    inner = _conv(4 * filters, 1, f"{name}_3_conv", kernel_initializer=faint())(inner)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([skip, inner]))


def _conv(filters: int, side: int, name: str, **options: object) -> tf_keras.layers.Conv2D:
    return tf_keras.layers.Conv2D(filters, side, name=name, **{"kernel_initializer": "he_normal", **options})
