"""QECNN (Yang et al., IEEE TCSVT 2019, "Enhancing Quality for HEVC Compressed Videos"), its network of two branches.

Branch A sees the frame through 9×9, 7×7, 3×3 and 1×1 convolutions; branch B has the same sizes, but from its second
layer on also sees A's features of the level before. A 5×5 convolution turns the last features of both into a
correction of the input. Every hidden convolution is followed by a PReLU with one slope per channel, so that any frame
size goes in.
"""

import tf_keras

LEVELS = ((9, 128), (7, 64), (3, 64), (1, 32))
"""Kernel side and filters of each level, in both branches."""


def build(*, thinner: int = 1) -> tf_keras.Model:
    """The network, which starts as the identity: the last kernel is zero.

    Args:
        thinner: what the filters are divided by; 1 is the published width.

    Returns:
        Model from (B, H, W, 3) to (B, H, W, 3), RGB in [0, 1].
    """
    layers = tf_keras.layers

    def level(x: object, name: str, side: int, filters: int) -> object:
        x = layers.Conv2D(filters, side, padding="same", kernel_initializer="he_normal", name=name)(x)
        return layers.PReLU(shared_axes=(1, 2), name=f"{name}_prelu")(x)

    def both(number: int) -> object:
        return layers.Concatenate(name=f"both{number}")([a, b])

    image = a = b = tf_keras.Input((None, None, 3), name="degraded")
    for number, (side, filters) in enumerate(LEVELS, start=1):
        seen_by_b = image if number == 1 else both(number - 1)
        a = level(a, f"a{number}", side, filters // thinner)
        b = level(seen_by_b, f"b{number}", side, filters // thinner)
    correction = layers.Conv2D(3, 5, padding="same", kernel_initializer="zeros", dtype="float32", name="correction")
    enhanced = layers.Add(name="enhanced", dtype="float32")([image, correction(both(len(LEVELS)))])
    return tf_keras.Model(image, enhanced, name="qecnn")
