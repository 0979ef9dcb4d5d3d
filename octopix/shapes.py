"""The shapes of a graph's tensors for any picture size, worked out without a runtime.

Converters leave a stand-in (1×1) as the shape of models that take any size, so what such a model costs can only be
known by walking it. On the way, small integer tensors that follow from shapes alone (sizes to resize to, paddings,
crops) are computed, too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix import integers
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import Graph, Operator, Tensor, constant
from octopix.integers import slices

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

POINTWISE = frozenset(
    (
        *("ABS", "ADD", "ADD_N", "CAST", "CEIL", "COS", "DEQUANTIZE", "DIV", "ELU", "EXP", "FLOOR", "FLOOR_DIV"),
        *("FLOOR_MOD", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOCAL_RESPONSE_NORMALIZATION", "LOG"),
        *("LOGISTIC", "LOG_SOFTMAX", "MAXIMUM", "MINIMUM", "MUL", "NEG", "POW", "PRELU", "QUANTIZE", "RELU", "RELU6"),
        *("RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SOFTMAX", "SQRT", "SQUARE"),
        *("SQUARED_DIFFERENCE", "SUB", "TANH"),
    )
)
"""Operators that give each pixel from the same pixel of their inputs."""

STAND_IN_SIDE = 128
"""Height and width that figures refer to, and models are opened at, where they take any."""

_LARGEST_VALUE = 64  # elements: sizes, paddings and the like, not weights


@dataclass(frozen=True)
class Sizes:
    """Shapes by tensor index, and the values of tensors that follow from shapes and small constants alone."""

    shapes: dict[int, Shape]
    values: dict[int, Array]

    def value(self, tensor: Tensor) -> Array | None:
        """What a tensor holds, if it is a small constant or follows from shapes; None if it depends on the picture."""
        if tensor.is_constant and math.prod(tensor.shape) <= _LARGEST_VALUE:
            return constant(tensor)
        return self.values.get(tensor.index)


def infer(graph: Graph, *, height: int | None = None, width: int | None = None) -> Sizes:
    """Walk the graph for one picture of the given size, or of the size it was made for.

    Args:
        graph: any; with a size, one input of (1, H, W, C).
        height: of the picture in pixels; with ``width`` or not at all.
        width: of the picture in pixels.

    Raises:
        ConfigError: only one of the two, less than 1, or none for a model that takes any size.
        ModelFileError: the graph cannot run at this size, or has an operator octopix cannot follow.
    """
    walk = _Walk(graph)
    for index in graph.inputs:
        walk.sizes.shapes[index] = _input_shape(graph.tensors[index], height, width)
    for operator in graph.operators:
        walk.step(operator)
    return walk.sizes


def takes_any_size(tensor: Tensor) -> bool:
    """Whether height or width of a (1, H, W, C) tensor are left open."""
    return -1 in tensor.shape_signature[1:]


class _Walk:
    """What is known so far on a walk through the operators."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sizes = Sizes({each.index: each.shape for each in graph.tensors if each.is_constant}, {})

    def step(self, operator: Operator) -> None:
        """Find the shapes, and where they follow from shapes alone the values, of an operator's outputs."""
        try:
            with np.errstate(all="raise"):
                value = self._computed(operator)
            shapes = self._outputs(operator) if value is None else [value.shape]
            self.sizes.shapes.update(zip(operator.outputs, shapes, strict=True))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # operands that contradict each other
            raise _unknown(operator, f"with operands that do not fit ({error})") from error
        if value is not None:
            self.sizes.values[operator.outputs[0]] = value

    def shape(self, operator: Operator, position: int, *, rank: int | None = None) -> Shape:
        """Shape of an input."""
        tensor = self.graph.operand(operator, position)
        if tensor is None or tensor.index not in self.sizes.shapes:
            raise _unknown(operator, f"without input {position}")
        shape = self.sizes.shapes[tensor.index]
        if rank is not None and len(shape) != rank:
            raise _unknown(operator, f"on an input of shape {shape}")
        return shape

    def value(self, operator: Operator, position: int) -> Array:
        """Value of an input that follows from shapes and constants alone."""
        tensor = self.graph.operand(operator, position)
        value = None if tensor is None else self.sizes.value(tensor)
        if value is None:
            raise _unknown(operator, f"whose input {position} depends on the picture")
        return value

    def as_declared(self, operator: Operator) -> bool:
        """Whether all inputs have the shapes that stand in the file."""
        tensors = [self.graph.tensors[index] for index in operator.inputs if index >= 0]
        return all(self.sizes.shapes.get(each.index) == each.shape for each in tensors)

    def _computed(self, operator: Operator) -> Array | None:
        if operator.name == "SHAPE":
            return np.array(self.shape(operator, 0))
        rule = integers.RULES.get(operator.name)
        if rule is None:
            return None
        inputs = [self.sizes.value(self.graph.tensors[index]) for index in operator.inputs if index >= 0]
        known = [each for each in inputs if each is not None]
        if not known or len(known) < len(operator.inputs):
            return None
        return rule(operator, self.graph.tensors[operator.outputs[0]], known)

    def _outputs(self, operator: Operator) -> list[Shape]:
        if operator.name in POINTWISE:
            present = [position for position, index in enumerate(operator.inputs) if index >= 0]
            return [_broadcast(operator, [self.shape(operator, each) for each in present])]
        rule = _SHAPES.get(operator.name)
        if rule is not None:
            found = rule(self, operator)
            if min(found, default=1) < 1:
                raise _too_small(operator, found)
            return [found] * len(operator.outputs)
        if self.as_declared(operator):
            return [self.graph.tensors[index].shape for index in operator.outputs]
        raise _unknown(operator, "")


def _convolution(walk: _Walk, operator: Operator) -> Shape:
    batch, height, width, _ = walk.shape(operator, 0, rank=4)
    channels, *kernel, _ = walk.shape(operator, 1, rank=4)
    return batch, *_windows(operator, (height, width), kernel), channels


def _depthwise(walk: _Walk, operator: Operator) -> Shape:
    batch, height, width, _ = walk.shape(operator, 0, rank=4)
    _, *kernel, channels = walk.shape(operator, 1, rank=4)
    return batch, *_windows(operator, (height, width), kernel), channels


def _pool(walk: _Walk, operator: Operator) -> Shape:
    batch, height, width, channels = walk.shape(operator, 0, rank=4)
    kernel = [operator.number("filter_h"), operator.number("filter_w")]
    return batch, *_windows(operator, (height, width), kernel), channels


def _windows(operator: Operator, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
    """Sides of what a sliding window gives: TensorFlow's SAME and VALID."""
    found = []
    for size, taps, axis in zip(sizes, kernel, "hw", strict=True):
        covered = (taps - 1) * operator.number(f"dilation_{axis}", 1) if operator.options["padding"] == "VALID" else 0
        found.append(-((covered - size) // operator.number(f"stride_{axis}")))
    return tuple(found)


def _transposed(walk: _Walk, operator: Operator) -> Shape:
    asked = walk.value(operator, 0).tolist()
    batch, *sizes, _ = walk.shape(operator, 2, rank=4)
    data = walk.graph.tensors[operator.inputs[2]]
    if not takes_any_size(data):  # the size asked for is that of the size the graph was made for
        strides = operator.number("stride_h"), operator.number("stride_w")
        declared = data.shape[1:3]
        grown = [(size - old) * stride for size, old, stride in zip(sizes, declared, strides, strict=True)]
        asked[1:3] = [side + more for side, more in zip(asked[1:3], grown, strict=True)]
    return batch, *asked[1:3], walk.shape(operator, 1, rank=4)[0]


def _resize(walk: _Walk, operator: Operator) -> Shape:
    batch, *sizes, channels = walk.shape(operator, 0, rank=4)
    asked = walk.value(operator, 1).tolist()
    data = walk.graph.tensors[operator.inputs[0]]
    if takes_any_size(data):
        return batch, *asked, channels
    scaled = [(size * side, old) for size, side, old in zip(sizes, asked, data.shape[1:3], strict=True)]
    if any(old == 0 or product % old for product, old in scaled):
        raise _unknown(operator, f"from {data.shape[1:3]} to {asked}, which is no whole size for {sizes}")
    return batch, *(product // old for product, old in scaled), channels


def _depth_to_space(walk: _Walk, operator: Operator) -> Shape:
    batch, height, width, channels = walk.shape(operator, 0, rank=4)
    block = operator.number("block_size")
    return batch, height * block, width * block, channels // block**2


def _space_to_depth(walk: _Walk, operator: Operator) -> Shape:
    batch, height, width, channels = walk.shape(operator, 0, rank=4)
    block = operator.number("block_size")
    if height % block or width % block:
        raise _unknown(operator, f"of {height}×{width}, which is no multiple of {block}")
    return batch, height // block, width // block, channels * block**2


def _space_to_batch(walk: _Walk, operator: Operator) -> Shape:
    batch, *sizes, channels = walk.shape(operator, 0, rank=4)
    block, padding = walk.value(operator, 1).reshape(2), walk.value(operator, 2).reshape(2, 2)
    padded = np.array(sizes) + padding.sum(axis=1)
    if np.any(padded % block):
        raise _unknown(operator, f"of {padded.tolist()}, which is no multiple of {block.tolist()}")
    return int(batch * block.prod()), *(padded // block).tolist(), channels


def _batch_to_space(walk: _Walk, operator: Operator) -> Shape:
    batch, *sizes, channels = walk.shape(operator, 0, rank=4)
    block, crops = walk.value(operator, 1).reshape(2), walk.value(operator, 2).reshape(2, 2)
    return int(batch // block.prod()), *(np.array(sizes) * block - crops.sum(axis=1)).tolist(), channels


def _concatenation(walk: _Walk, operator: Operator) -> Shape:
    shapes = [list(walk.shape(operator, position)) for position in range(len(operator.inputs))]
    axis = operator.number("axis") % len(shapes[0])
    total = sum(shape[axis] for shape in shapes)
    for shape in shapes:
        shape[axis] = total
    if any(shape != shapes[0] for shape in shapes):
        raise _mismatch(operator, shapes)
    return tuple(shapes[0])


def _pad(walk: _Walk, operator: Operator) -> Shape:
    shape = walk.shape(operator, 0)
    return tuple(size + int(more) for size, more in zip(shape, walk.value(operator, 1).sum(axis=1), strict=True))


def _reduction(walk: _Walk, operator: Operator) -> Shape:
    shape = walk.shape(operator, 0)
    axes = {axis % len(shape) for axis in walk.value(operator, 1).reshape(-1).tolist()}
    if operator.options["keep_dims"]:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reshape(walk: _Walk, operator: Operator) -> Shape:
    tensor = walk.graph.operand(operator, 1)
    asked = walk.value(operator, 1).reshape(-1).tolist() if tensor else operator.sizes("new_shape")
    count = math.prod(walk.shape(operator, 0))
    known = math.prod(size for size in asked if size != -1)
    found = tuple(count // max(known, 1) if size == -1 else size for size in asked)
    if math.prod(found) != count:
        raise _mismatch(operator, [walk.shape(operator, 0), asked])
    return found


def _strided_slice(walk: _Walk, operator: Operator) -> Shape:
    shape = walk.shape(operator, 0)
    taken = slices(operator, *(walk.value(operator, position) for position in (1, 2, 3)))
    pairs = zip((*taken, *[slice(None)] * (len(shape) - len(taken))), shape, strict=True)
    return tuple(len(range(*each.indices(size))) for each, size in pairs if isinstance(each, slice))


def _split(walk: _Walk, operator: Operator) -> Shape:
    shape = list(walk.shape(operator, 1))
    shape[int(walk.value(operator, 0)) % len(shape)] //= len(operator.outputs)
    return tuple(shape)


def _transpose(walk: _Walk, operator: Operator) -> Shape:
    shape = walk.shape(operator, 0)
    return tuple(shape[axis] for axis in walk.value(operator, 1).tolist())


def _dense(walk: _Walk, operator: Operator) -> Shape:
    shape, (units, depth) = walk.shape(operator, 0), walk.shape(operator, 1, rank=2)
    if operator.options["keep_num_dims"]:
        return *shape[:-1], units
    return math.prod(shape) // max(depth, 1), units


def _matmul(walk: _Walk, operator: Operator) -> Shape:
    left, right = walk.shape(operator, 0), walk.shape(operator, 1)
    rows, columns = left[-1 if operator.options["adj_x"] else -2], right[-2 if operator.options["adj_y"] else -1]
    return *_broadcast(operator, [left[:-2], right[:-2]]), rows, columns


_SHAPES: Mapping[str, Callable[[_Walk, Operator], Shape]] = {
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _matmul,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _depth_to_space,
    "FULLY_CONNECTED": _dense,
    "L2_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _reduction,
    "MIRROR_PAD": _pad,
    "PAD": _pad,
    "PADV2": _pad,
    "REDUCE_MAX": _reduction,
    "REDUCE_MIN": _reduction,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduction,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transposed,
}


def _input_shape(tensor: Tensor, height: int | None, width: int | None) -> Shape:
    if height is None and width is None:
        if takes_any_size(tensor):
            raise ConfigError(
                expected="a height and a width",
                got=f"neither, for a model that takes any size ({tensor.shape_signature})",
                do="give both, e.g. 128 and 128",
            )
        return tensor.shape
    if height is None or width is None or min(height, width) < 1:
        raise ConfigError(
            expected="a height and a width of at least 1", got=f"{height} and {width}", do="give both, or neither"
        )
    if len(tensor.shape) != 4:
        raise ModelFileError(
            expected="an input of shape (1, H, W, C)",
            got=f"{tensor.shape}",
            do="ask without height and width, which only pictures have",
        )
    return tensor.shape[0], height, width, tensor.shape[3]


def _broadcast(operator: Operator, shapes: Sequence[Shape]) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise _mismatch(operator, shapes) from error


def _mismatch(operator: Operator, shapes: Sequence[Sequence[int]]) -> ModelFileError:
    return ModelFileError(
        expected=f"shapes that fit together in {operator.name} (operator {operator.index})",
        got=" and ".join("×".join(map(str, shape)) for shape in shapes),
        do="give a height and a width that are multiples of the network's total stride",
    )


def _too_small(operator: Operator, shape: Shape) -> ModelFileError:
    return ModelFileError(
        expected="a picture large enough for the network",
        got=f"one that leaves {shape} after {operator.name} (operator {operator.index})",
        do="give a larger height and width",
    )


def _unknown(operator: Operator, detail: str) -> ModelFileError:
    return ModelFileError(
        expected="operators whose shapes octopix can follow",
        got=f"{operator.name} (operator {operator.index}) {detail}".rstrip(),
        do="ask for the size the model was made for, or export it at the size you want",
    )
