"""The compact QECNN: a plain convolution, five residual blocks of separable ones, a plain one, added to the input.

Enhances frames of a video codec. Each separable convolution is written as its two halves, a depthwise one without bias
and a 1×1 one: the same function with the same 4,736 values, but two layers that every quantizer knows.
"""

import tf_keras

FILTERS = 64
BLOCKS = 5


def build() -> tf_keras.Model:
    """The network, which starts as the identity: the last kernel is zero.

    Returns:
        Model from (B, H, W, 3) to (B, H, W, 3), RGB in [0, 1].
    """
    layers = tf_keras.layers

    def separable(x: object, name: str, activation: str | None = None) -> object:
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
        return layers.Conv2D(FILTERS, 1, activation=activation, name=f"{name}_pointwise")(x)

    image = tf_keras.Input((None, None, 3), name="degraded")
    x = layers.Conv2D(FILTERS, 3, padding="same", activation="relu", name="features")(image)
    for number in range(1, BLOCKS + 1):
        inner = separable(x, f"block{number}_1", "relu")
        inner = separable(inner, f"block{number}_2")
        x = layers.Add(name=f"block{number}_sum")([x, inner])
        x = layers.ReLU(name=f"block{number}")(x)
    x = layers.Conv2D(3, 3, padding="same", kernel_initializer="zeros", dtype="float32", name="correction")(x)
    return tf_keras.Model(image, layers.Add(name="enhanced", dtype="float32")([image, x]), name="qecnn_separable")
