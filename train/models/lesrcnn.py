"""LESRCNN (Tian et al., "Lightweight image super-resolution with enhanced CNN", Knowledge-Based Systems 2020).

An information extraction and enhancement block of alternating 3×3 and 1×1 convolutions with residuals over rectified
features (the published code's ReLU works in place), a reconstruction block that upsamples deep and shallow features
with one sub-pixel convolution each, and four 3×3 convolutions that refine the result.

Two exact simplifications against the published graph (`train.lesrcnn_checkpoint` maps its weights onto them):

- both branches are upsampled by the *same* affine layers and then added, and up(a) + up(b) = up'(a + b) where up' has
  doubled biases: one upsampling instead of two, 12 % fewer MACs at ×2 and 18 % at ×4;
- the mean added at the end is the last convolution's bias. The mean subtracted in front stays: zero padding comes
  after it, so a bias could not express it at the borders.

The first of them can be left out (``merged=False``): the published graph, from the same weights, for comparison.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from train.models.layers import DepthToSpace, MeanShift, faint
from train.models.starts import both_signs, hand_on, hand_on_enlarged

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K, in [0, 1], as in the published code."""

PAIRS = 8
"""3×3 and 1×1 convolutions of the enhancement block, after the first 3×3."""

STEPS = {2: (2,), 3: (3,), 4: (2, 2)}
"""Sub-pixel steps by scale."""


@tf_keras.utils.register_keras_serializable(package="octopix")
class HalfBiased(tf_keras.layers.Conv2D):
    """A convolution that adds half of its bias: what it does twice and is then summed has the whole."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve; the halves are exact."""
        return tf.nn.bias_add(self.convolution_op(inputs, self.kernel), self.bias / 2)


def build(*, scale: int, filters: int = 64, blind: bool = False, merged: bool = True) -> tf_keras.Model:
    """LESRCNN for one scale.

    Args:
        scale: 2, 3 or 4.
        filters: width, 64 in the paper.
        blind: one of the three networks that share all but their upsampling, whose layers are named by the scale
            then (``up0_x2``).
        merged: False for the published graph, which upsamples deep and shallow features one by one. Names and shapes
            of all weights stay the same, and so do the outputs, up to the rounding of sums.

    Returns:
        Model from (B, H, W, 3) to (B, H·scale, W·scale, 3), RGB in [0, 1].
    """

    def conv(count: int, side: int, name: str, **options: object) -> tf_keras.layers.Conv2D:
        options = {"use_bias": False, "kernel_initializer": "he_normal", **options}
        return tf_keras.layers.Conv2D(count, side, padding="same", name=name, **options)

    name, head = ("lesrcnn_blind", f"_x{scale}") if blind else ("lesrcnn", "")
    image = tf_keras.Input((None, None, 3), name="lr")
    shifted = MeanShift(RGB_MEAN, name="sub_mean", dtype="float32")(image)
    shallow = conv(filters, 3, "conv1", activation="relu")(shifted)
    x = shallow
    for number in range(2, 2 * PAIRS + 2, 2):
        inner = conv(filters, 3, f"conv{number}", activation="relu")(x)
        inner = conv(filters, 1, f"conv{number + 1}", kernel_initializer=faint())(inner)
        x = tf_keras.layers.Add(name=f"residual{number}")([x, inner])
        x = tf_keras.layers.ReLU(name=f"rectified{number}")(x)
    add = tf_keras.layers.Add(name="deep_and_shallow")
    kind = tf_keras.layers.Conv2D if merged else HalfBiased
    upsampling = [
        layer
        for number, step in enumerate(STEPS[scale])
        for layer in (
            kind(filters * step**2, 3, padding="same", kernel_initializer="he_normal", name=f"up{number}{head}"),
            DepthToSpace(step, name=f"shuffle{number}{head}"),
        )
    ]
    if merged:
        x = _through(upsampling, add([x, shallow]))
    else:
        x = add([_through(upsampling, x), _through(upsampling, shallow)])
    x = tf_keras.layers.ReLU(name="upsampled")(x)
    for number in range(1, 5):
        x = conv(filters, 3, f"conv17_{number}", activation="relu")(x)
    mean = tf_keras.initializers.Constant(RGB_MEAN)
    last = {"kernel_initializer": faint(), "bias_initializer": mean, "dtype": "float32"}
    x = conv(3, 3, "conv18", use_bias=True, **last)(x)
    model = tf_keras.Model(image, x, name=f"{name}_x{scale}")
    _start_bilinear(model, scale, head)
    return model


def _through(layers: Sequence[tf_keras.layers.Layer], x: tf.Tensor) -> tf.Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _start_bilinear(model: tf_keras.Model, scale: int, head: str) -> None:
    """Let the untrained network enlarge bilinearly: six channels carry the positive and negative parts of RGB."""
    carried = 2 * len(RGB_MEAN)
    hand_on(model.get_layer("conv1"), both_signs(len(RGB_MEAN)))
    for number in range(3, 2 * PAIRS + 2, 2):  # residuals leave them alone
        hand_on(model.get_layer(f"conv{number}"), np.zeros((carried, carried)))
    for number, step in enumerate(STEPS[scale]):
        # The deep features, which still are the shallow ones, were added to those: twice the image.
        gain = 0.5 if number == 0 else 1.0
        hand_on_enlarged(model.get_layer(f"up{number}{head}"), channels=carried, scale=step, gain=gain)
    for number in range(1, 5):
        hand_on(model.get_layer(f"conv17_{number}"), np.eye(carried))
    hand_on(model.get_layer("conv18"), both_signs(len(RGB_MEAN)).T)
