"""A mean that a network first subtracts from the image, made a whole number of levels: that step then costs nothing.

The image has 255 steps of 1/255. Less a mean of 114.4 steps it has to be rounded again: on LESRCNN ×2 a fifth of what
all activations' rounding costs. Less 110 steps, the same of every channel, it is still made of whole steps, and 256
levels hold it exactly. The convolutions behind it make up for the difference in their biases; only where they see the
zeros around the image do they see another padding, by a difference of at most `FARTHEST`. All corrected models have
it; it is not judged.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.graph import Graph, Operator, constant, read_graph
from quantize.filters import Filter, filters, with_constants

Array = npt.NDArray[Any]

STEPS = 255
"""Of an 8-bit image in [0, 1]."""

FARTHEST = 0.05
"""Means that differ by more from the common one stay: the padding would become another."""


@dataclass(frozen=True)
class MeanShift:
    """The operator that adds a constant to the image, or subtracts it."""

    operator: Operator
    added: Array
    """float32: what is added to each channel, or to all of them; a subtracted mean is negative."""
    readers: tuple[Filter, ...]

    @property
    def whole(self) -> Array:
        """The common number of whole steps that is closest."""
        return np.full_like(self.added, np.rint(self.added.mean(dtype=np.float64) * STEPS) / STEPS)


def mean_shift(graph: Graph) -> MeanShift | None:
    """The shift right behind the input, if nothing but convolutions reads it.

    Args:
        graph: of a model from `quantize.filters.separated`.
    """
    found = [each for each in graph.operators if graph.inputs[0] in each.inputs]
    if len(found) != 1 or found[0].name not in {"ADD", "SUB"} or found[0].options.get("activation") != "NONE":
        return None
    (operator,) = found
    if operator.inputs[0] != graph.inputs[0] or not _is_its_own(graph, operator.inputs[1]):
        return None
    value = constant(graph.tensors[operator.inputs[1]])
    using = [each for each in graph.operators if operator.outputs[0] in each.inputs]
    readers = tuple(each for each in filters(graph) if each.image == operator.outputs[0] and not each.depthwise)
    channels = graph.tensors[graph.inputs[0]].shape[-1]
    by_channel = value.size == 1 or (value.size == channels and value.shape[-1] == channels)
    if not by_channel or len(readers) != len(using) or operator.outputs[0] in graph.outputs:
        return None
    return MeanShift(operator, value if operator.name == "ADD" else -value, readers)


def _is_its_own(graph: Graph, index: int) -> bool:
    """Whether a constant may be changed: converters store equal ones once, such as a mean that is added back."""
    users = sum(each.inputs.count(index) for each in graph.operators)
    holders = sum(each.buffer == graph.tensors[index].buffer for each in graph.tensors)
    return graph.tensors[index].is_constant and users == holders == 1


def with_whole_mean(model: bytes) -> bytes:
    """The model with its shift, if it has one, of whole steps; it computes the same but for its padding.

    Args:
        model: float ``.tflite`` from `quantize.filters.separated`.
    """
    shift = mean_shift(read_graph(model))
    if shift is None or np.abs(shift.whole - shift.added).max() > FARTHEST or not -1 <= shift.whole.flat[0] <= 0:
        return model
    return with_shift(model, shift.whole)


def with_shift(model: bytes, added: Array) -> bytes:
    """The model with another constant in its shift, and biases that make up for it; without a shift as it is.

    Args:
        model: float ``.tflite`` from `quantize.filters.separated`.
        added: of the shape of `MeanShift.added`.
    """
    shift = mean_shift(read_graph(model))
    if shift is None:
        return model
    value = added if shift.operator.name == "ADD" else -added
    changes: dict[int, Array] = {shift.operator.inputs[1]: value.astype(np.float32)}
    missing = (shift.added.astype(np.float64) - added).reshape(-1)
    for each in shift.readers:
        by_channel = np.broadcast_to(missing, each.weights.shape[3])
        bias = each.bias + each.weights.sum(axis=(1, 2), dtype=np.float64) @ by_channel
        changes |= each.replaced(bias=bias.astype(np.float32))
    return with_constants(model, changes)
