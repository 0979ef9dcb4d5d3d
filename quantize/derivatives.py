"""What a small change behind an operator of a float ``.tflite`` comes from in front of it: derivatives, by TensorFlow.

An operator is computed once more from what it was given, and TensorFlow's gradient leads a field behind it back to its
inputs. Operators that are not listed hand a field of the same shape on as it is, and spread others evenly; both keep
its power.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from octopix.graph import Graph, Operator, Tensor, constant

Array = npt.NDArray[Any]

Forward = Callable[[Operator, Sequence[tf.Tensor]], tf.Tensor]
"""From an operator and its inputs, constants too, to what it computes in front of its fused activation."""

SEED = 20261123
"""Of the signs of fields that are spread evenly."""

SIGNS = np.array([-1, 1], np.float32)


@dataclass(frozen=True)
class LedBack:
    """A field in front of an operator."""

    inputs: Mapping[int, Array]
    """By tensor number, of every input that is neither constant nor a size."""
    computed: Array
    """In front of its fused activation; of the shape of the field behind it."""


def led_back(graph: Graph, operator: Operator, values: Mapping[int, Array], behind: Array) -> LedBack:
    """A field behind an operator, led to its inputs: the transposed derivative, applied to it.

    Args:
        graph: the operator's.
        operator: any.
        values: float32, what its inputs held, by tensor number.
        behind: float32, of the output's shape; fields behind several outputs, side by side in the last axis.
    """
    inputs = [index for index in operator.inputs if index >= 0 and _carries(graph.tensors[index])]
    if operator.name not in FORWARDS or _is_computed(graph, operator):
        return LedBack(_evenly(operator, {index: values[index].shape for index in inputs}, behind), behind)
    given = {index: tf.constant(values[index]) for index in inputs}
    with tf.GradientTape() as tape:
        tape.watch(given)
        operands = [given[index] if index in given else _constant(graph, index) for index in operator.inputs]
        if operator.name in SIZES:
            place, axes = SIZES[operator.name]
            operands[place] = tf.constant(behind.shape[axes])
        computed = FORWARDS[operator.name](operator, operands)
        made = ACTIVATIONS.get(str(operator.options.get("activation")), tf.identity)(computed)
    found, before = tape.gradient(
        made, (given, computed), output_gradients=tf.constant(behind), unconnected_gradients="zero"
    )
    return LedBack({index: each.numpy() for index, each in found.items()}, before.numpy())


def _carries(tensor: Tensor) -> bool:
    """Not sizes and places, which are integers."""
    return not tensor.is_constant and tensor.dtype == "float32"


def _is_computed(graph: Graph, operator: Operator) -> bool:
    """Whether it depends on sizes that are no constants, but for its output's."""
    tensors = [graph.tensors[index] for index in operator.inputs if index >= 0]
    return operator.name not in SIZES and not all(each.is_constant or _carries(each) for each in tensors)


def _constant(graph: Graph, index: int) -> tf.Tensor | None:
    """None where an operand is left out, or computed from sizes."""
    return tf.constant(constant(graph.tensors[index])) if index >= 0 and graph.tensors[index].is_constant else None


def _evenly(operator: Operator, shapes: Mapping[int, tuple[int, ...]], behind: Array) -> dict[int, Array]:
    """With signs of the operator's own: the same ones would add up where two such fields meet."""
    signs = np.random.default_rng((SEED, operator.index))
    power = np.square(behind, dtype=np.float64).sum()
    return {
        index: behind
        if shape == behind.shape
        else signs.choice(SIGNS, shape) * np.float32(np.sqrt(power / np.prod(shape)))
        for index, shape in shapes.items()
    }


def _convolved(operator: Operator, operands: Sequence[tf.Tensor]) -> tf.Tensor:
    image, weights = operands[0], tf.transpose(operands[1], (1, 2, 3, 0))
    groups = image.shape[3] // weights.shape[2]  # TensorFlow has no derivative of grouped ones
    parts = zip(tf.split(image, groups, axis=3), tf.split(weights, groups, axis=3), strict=True)
    strides, dilations = _by_axis(operator, "stride"), _by_axis(operator, "dilation")
    made = [tf.nn.conv2d(part, kernel, strides, _padding(operator), "NHWC", dilations) for part, kernel in parts]
    return tf.concat(made, axis=3) + _bias(operands)


def _convolved_by_depth(operator: Operator, operands: Sequence[tf.Tensor]) -> tf.Tensor:
    image, weights = operands[0], operands[1]
    kernel = tf.reshape(weights, (*weights.shape[1:3], image.shape[3], -1))
    strides, dilations = (1, *_by_axis(operator, "stride"), 1), _by_axis(operator, "dilation")
    made = tf.nn.depthwise_conv2d(image, kernel, strides, _padding(operator), dilations=dilations)
    return made + _bias(operands)


def _convolved_backwards(operator: Operator, operands: Sequence[tf.Tensor]) -> tf.Tensor:
    size, weights, image = operands[:3]
    kernel = tf.transpose(weights, (1, 2, 0, 3))
    made = tf.nn.conv2d_transpose(image, kernel, size, _by_axis(operator, "stride"), _padding(operator))
    return made + _bias(operands, 3)


def _bias(operands: Sequence[tf.Tensor], place: int = 2) -> tf.Tensor | float:
    return operands[place] if len(operands) > place and operands[place] is not None else 0.0


def _by_axis(operator: Operator, option: str) -> tuple[int, int]:
    return operator.number(f"{option}_h", 1), operator.number(f"{option}_w", 1)


def _padding(operator: Operator) -> str:
    return str(operator.options["padding"])


def _pooled(kind: str) -> Forward:
    return lambda operator, operands: tf.nn.pool(
        operands[0], _by_axis(operator, "filter"), kind, _by_axis(operator, "stride"), _padding(operator)
    )


def _rectified_by_channel(operator: Operator, operands: Sequence[tf.Tensor]) -> tf.Tensor:
    image, slopes = operands
    return tf.nn.relu(image) - slopes * tf.nn.relu(-image)


def _resized(method: Callable[..., tf.Tensor]) -> Forward:
    return lambda operator, operands: method(
        operands[0],
        operands[1],
        align_corners=bool(operator.options["align_corners"]),
        half_pixel_centers=bool(operator.options["half_pixel_centers"]),
    )


FORWARDS: Mapping[str, Forward] = {
    "ADD": lambda operator, operands: operands[0] + operands[1],
    "AVERAGE_POOL_2D": _pooled("AVG"),
    "CONCATENATION": lambda operator, operands: tf.concat(operands, axis=operator.number("axis")),
    "CONV_2D": _convolved,
    "DEPTHWISE_CONV_2D": _convolved_by_depth,
    "DEPTH_TO_SPACE": lambda operator, operands: tf.nn.depth_to_space(operands[0], operator.number("block_size")),
    "DIV": lambda operator, operands: operands[0] / operands[1],
    "LEAKY_RELU": lambda operator, operands: tf.nn.leaky_relu(operands[0], operator.real("alpha")),
    "LOGISTIC": lambda operator, operands: tf.sigmoid(operands[0]),
    "MAXIMUM": lambda operator, operands: tf.maximum(*operands),
    "MAX_POOL_2D": _pooled("MAX"),
    "MIRROR_PAD": lambda operator, operands: tf.pad(*operands, mode=str(operator.options["mode"])),
    "MINIMUM": lambda operator, operands: tf.minimum(*operands),
    "MUL": lambda operator, operands: operands[0] * operands[1],
    "PAD": lambda operator, operands: tf.pad(*operands),
    "PRELU": _rectified_by_channel,
    "RELU": lambda operator, operands: tf.nn.relu(operands[0]),
    "RELU6": lambda operator, operands: tf.nn.relu6(operands[0]),
    "RESIZE_BILINEAR": _resized(tf.compat.v1.image.resize_bilinear),
    "RESIZE_NEAREST_NEIGHBOR": _resized(tf.compat.v1.image.resize_nearest_neighbor),
    "SPACE_TO_DEPTH": lambda operator, operands: tf.nn.space_to_depth(operands[0], operator.number("block_size")),
    "SUB": lambda operator, operands: operands[0] - operands[1],
    "TANH": lambda operator, operands: tf.tanh(operands[0]),
    "TRANSPOSE": lambda operator, operands: tf.transpose(*operands),
    "TRANSPOSE_CONV": _convolved_backwards,
}
"""By operator."""

SIZES: Mapping[str, tuple[int, slice]] = {
    "RESIZE_BILINEAR": (1, slice(1, 3)),
    "RESIZE_NEAREST_NEIGHBOR": (1, slice(1, 3)),
    "TRANSPOSE_CONV": (0, slice(None)),
}
"""Operands that state the output's shape, and which axes of it. Models that take any size compute them, or still state
the size they were exported at: the output itself tells."""

ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "RELU": tf.nn.relu,
    "RELU6": tf.nn.relu6,
    "RELU_N1_TO_1": lambda values: tf.clip_by_value(values, -1, 1),
    "TANH": tf.tanh,
}
"""That are fused into operators; through others all gets."""
