"""The small tensors a graph computes from its shapes alone: sizes to resize to, paddings, crops."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.errors import ModelFileError
from octopix.graph import Operator, Tensor

Array = npt.NDArray[Any]
Rule = Callable[[Operator, Tensor, Sequence[Array]], Array]


def slices(operator: Operator, begin: Array, end: Array, strides: Array) -> tuple[slice | int, ...]:
    """What a STRIDED_SLICE takes along its leading dimensions, as an index for NumPy.

    Raises:
        ModelFileError: it has an ellipsis or new axes.
    """
    if operator.options["ellipsis_mask"] or operator.options["new_axis_mask"]:
        raise ModelFileError(
            expected="a STRIDED_SLICE of plain ranges",
            got=f"one with an ellipsis or new axes (operator {operator.index})",
            do="write the slice in the model without them",
        )
    ranges = zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)
    return tuple(_slice(operator, axis, *each) for axis, each in enumerate(ranges))


def _slice(operator: Operator, axis: int, begin: int, end: int, stride: int) -> slice | int:
    def masked(name: str) -> bool:
        return bool(operator.number(name) >> axis & 1)

    if masked("shrink_axis_mask"):
        return begin
    return slice(None if masked("begin_mask") else begin, None if masked("end_mask") else end, stride)


def _taken(operator: Operator, output: Tensor, inputs: Sequence[Array]) -> Array:
    del output
    values, begin, end, strides = inputs
    return np.asarray(values[slices(operator, begin, end, strides)])


def _cut(operator: Operator, output: Tensor, inputs: Sequence[Array]) -> Array:
    del operator, output
    values, begin, size = inputs
    ends = [None if count == -1 else start + count for start, count in zip(begin.tolist(), size.tolist(), strict=True)]
    return values[tuple(slice(start, end) for start, end in zip(begin.tolist(), ends, strict=True))]


def _reshaped(operator: Operator, output: Tensor, inputs: Sequence[Array]) -> Array:
    del operator
    return inputs[0].reshape(output.shape)


RULES: Mapping[str, Rule] = {
    "ADD": lambda operator, output, inputs: np.add(*inputs),
    "CAST": lambda operator, output, inputs: inputs[0].astype(output.dtype),
    "CONCATENATION": lambda operator, output, inputs: np.concatenate(inputs, axis=operator.number("axis")),
    "EXPAND_DIMS": _reshaped,
    "FLOOR_DIV": lambda operator, output, inputs: np.floor_divide(*inputs),
    "FLOOR_MOD": lambda operator, output, inputs: np.mod(*inputs),
    "GATHER": lambda operator, output, inputs: np.take(inputs[0], inputs[1], axis=operator.number("axis")),
    "MUL": lambda operator, output, inputs: np.multiply(*inputs),
    "PACK": lambda operator, output, inputs: np.stack(inputs, axis=operator.number("axis")),
    "REDUCE_PROD": lambda operator, output, inputs: np.prod(inputs[0], axis=tuple(inputs[1].reshape(-1).tolist())),
    "RESHAPE": _reshaped,
    "SLICE": _cut,
    "SQUEEZE": _reshaped,
    "STRIDED_SLICE": _taken,
    "SUB": lambda operator, output, inputs: np.subtract(*inputs),
}
"""How each of these operators computes its one output, given the values of all its inputs."""
