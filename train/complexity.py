"""Multiply-accumulates (MACs) of a network of the zoo, without converting it.

Counted as in `octopix.complexity`, which counts them on a ``.tflite``: one per weight of a convolution or dense layer
and position it is applied at, those in zero padding included; a transposed convolution per *input* position.
"""

import math
from collections.abc import Callable, Mapping

import tensorflow as tf

from train.models.spec import ModelSpec

SIDE = 16
"""At least so many input pixels a side; the ratio is the same at every size the network takes."""


def macs_per_output_megapixel(spec: ModelSpec) -> int:
    """MACs of the whole network for a million pixels of its output, of which each has all its channels."""
    side = spec.multiple_of * math.ceil(SIDE / spec.multiple_of)
    signature = tf.TensorSpec((1, side, side, spec.depth), tf.float32)
    graph = tf.function(spec.build()).get_concrete_function(signature).graph
    macs = sum(_MACS[each.type](each) for each in graph.get_operations() if each.type in _MACS)
    return round(macs * 1_000_000 / (side * spec.network_scale) ** 2)


def _convolution(operation: tf.Operation) -> int:
    """Output positions · kernel · input channels of a group · output channels."""
    return int(math.prod(operation.outputs[0].shape[:3]) * math.prod(operation.inputs[1].shape))


def _transposed(operation: tf.Operation) -> int:
    return int(math.prod(operation.inputs[2].shape[:3]) * math.prod(operation.inputs[1].shape))


def _dense(operation: tf.Operation) -> int:
    return int(operation.inputs[0].shape[0] * math.prod(operation.inputs[1].shape))


_MACS: Mapping[str, Callable[[tf.Operation], int]] = {
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _transposed,
    "DepthwiseConv2dNative": _convolution,
    "MatMul": _dense,
}
