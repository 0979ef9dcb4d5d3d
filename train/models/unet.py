"""U-Net (Ronneberger et al., MICCAI 2015) as an autoencoder that sharpens bicubically enlarged pictures.

Levels of 64, 128, 256 and, at the bottom, 512 channels, two 3×3 convolutions with LeakyReLU in each, max pooling on
the way down, 2×2 transposed convolutions and concatenated skips on the way up. Against the document:

- it predicts a correction, which is added to the input. The document's tanh gives the picture itself; in int8 a tanh's
  output has a fixed scale of 1/128 over [-1, 1], which leaves a picture in [0, 1] 7 bits of 8;
- a 2×2 transposed convolution of stride 2 is written as a 1×1 convolution to four times the channels and a sub-pixel
  shuffle, which is the same function (each output pixel has one input pixel; here, four biases instead of one), takes
  any picture size at run time, and has the faster int8 kernels;
- dropout of 0.5, which exists in training only and costs a regression accuracy, is left out.
"""

import tf_keras

from train.models.layers import DepthToSpace

LEVELS = (64, 128, 256)
BOTTOM = 512
SLOPE = 0.2
"""Of LeakyReLU below zero."""


def build(*, thinner: int = 1) -> tf_keras.Model:
    """The network, which starts as the identity: the last kernel is zero.

    Args:
        thinner: what the channels are divided by; 1 is the document's width.

    Returns:
        Model from (B, H, W, 3) to (B, H, W, 3), RGB in [0, 1], H and W multiples of 8.
    """
    layers = tf_keras.layers

    def level(x: object, channels: int, name: str) -> object:
        for number in (1, 2):
            conv = layers.Conv2D(channels, 3, padding="same", kernel_initializer="he_normal", name=f"{name}_{number}")
            x = layers.LeakyReLU(SLOPE, name=f"{name}_{number}_leaky")(conv(x))
        return x

    def up(x: object, channels: int, name: str) -> object:
        x = layers.Conv2D(4 * channels, 1, kernel_initializer="he_normal", name=f"{name}_up")(x)
        return DepthToSpace(2, name=f"{name}_shuffle")(x)

    widths = [channels // thinner for channels in LEVELS]
    image = x = tf_keras.Input((None, None, 3), name="enlarged")
    skips = []
    for number, channels in enumerate(widths, start=1):
        x = level(x, channels, f"down{number}")
        skips.append(x)
        x = layers.MaxPool2D(2, name=f"pool{number}")(x)
    x = level(x, BOTTOM // thinner, "bottom")
    for number, channels in reversed(list(enumerate(widths, start=1))):
        x = up(x, channels, f"up{number}")
        x = layers.Concatenate(name=f"up{number}_with_skip")([skips[number - 1], x])
        x = level(x, channels, f"up{number}")
    x = layers.Conv2D(3, 1, kernel_initializer="zeros", dtype="float32", name="correction")(x)
    return tf_keras.Model(image, layers.Add(name="sharpened", dtype="float32")([image, x]), name="unet")
