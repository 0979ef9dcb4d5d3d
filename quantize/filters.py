"""The convolutions of a float ``.tflite`` and their constants: what corrections read and replace.

All corrections work on the float flatbuffer, whoever made it: they change weights and biases there, and the same
quantizer turns every candidate into integers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.graph import Graph, Operator, Tensor, constant, read_graph
from quantize.embed import append_constant, rewritten, stored

Array = npt.NDArray[Any]

DEPTHWISE = "DEPTHWISE_CONV_2D"
KINDS = frozenset({"CONV_2D", DEPTHWISE})


@dataclass(frozen=True)
class Filter:
    """One convolution. Tensor numbers are those of its graph."""

    operator: Operator
    weights: Array
    """float32: CONV_2D (outputs, kernel height, kernel width, inputs), depthwise (1, height, width, outputs)."""
    bias: Array
    """float32 (outputs,)."""

    @property
    def image(self) -> int:
        """The tensor it reads."""
        return self.operator.inputs[0]

    @property
    def output(self) -> int:
        """The tensor it writes, behind its fused activation."""
        return self.operator.outputs[0]

    @property
    def depthwise(self) -> bool:
        """Whether every output sees one input channel alone."""
        return self.operator.name == DEPTHWISE

    def replaced(self, weights: Array | None = None, bias: Array | None = None) -> dict[int, Array]:
        """New constants by tensor number, for `with_constants`."""
        places = zip(self.operator.inputs[1:], (weights, bias), strict=True)
        return {tensor: values for tensor, values in places if values is not None}


def separated(model: bytes) -> bytes:
    """The model with weights and a bias for each convolution of its own; all other tensors keep their numbers.

    Converters store equal constants once: all biases that are zero are one tensor. New tensors come last.

    Args:
        model: float ``.tflite`` without a card.
    """
    graph = read_graph(model)
    users = Counter(index for operator in graph.operators for index in operator.inputs)
    holders = Counter(tensor.buffer for tensor in graph.tensors)

    def edit(unpacked: Any) -> None:
        for each in _convolutions(graph):
            inputs = [*each.inputs, -1][:3]
            for place in (1, 2):
                index = inputs[place]
                if index < 0:
                    inputs[place] = _zero_bias(unpacked, graph.tensors[each.outputs[0]].shape[-1])
                elif users[index] > 1 or holders[graph.tensors[index].buffer] > 1:
                    inputs[place] = _copy(unpacked, graph.tensors[index])
            unpacked.subgraphs[0].operators[each.index].inputs = inputs

    return rewritten(model, edit)


def tail(graph: Graph, chosen: Sequence[Filter]) -> tuple[Filter, ...]:
    """Those of ``chosen`` behind the last place where the outputs of several layers meet, in order of execution.

    Nothing passes them by but the image, or what was made of it without ``chosen``: the first of them can make up for
    all that went wrong before it.
    """
    by_output = {each.output: each for each in chosen}
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    learned: set[int] = set()
    for operator in graph.operators:
        if not learned.isdisjoint(operator.inputs) or not by_output.keys().isdisjoint(operator.outputs):
            learned.update(operator.outputs)
    found: list[Filter] = []
    sources = {graph.outputs[0]} & learned
    while len(sources) == 1:
        (index,) = sources
        found += [by_output[index]] if index in by_output else []
        sources = learned.intersection(makers[index].inputs)
    return tuple(reversed(found))


def filters(graph: Graph) -> tuple[Filter, ...]:
    """Every convolution with constant float32 weights, in order of execution.

    Args:
        graph: of a model from `separated`.
    """
    found = []
    for operator in _convolutions(graph):
        weights, bias = (graph.tensors[index] for index in operator.inputs[1:3])
        found.append(Filter(operator, constant(weights), constant(bias)))
    return tuple(found)


def constants_of(model: bytes) -> dict[int, Array]:
    """Weights and biases of all its `filters`, by tensor number.

    Args:
        model: float ``.tflite`` from `separated`.
    """
    found = filters(read_graph(model))
    return {index: values for each in found for index, values in each.replaced(each.weights, each.bias).items()}


def with_constants(model: bytes, values: Mapping[int, Array]) -> bytes:
    """The model with other values in some of its constants.

    Args:
        model: float ``.tflite`` without a card, from `separated`.
        values: float32 arrays of the constants' shapes, by tensor number.
    """

    def edit(unpacked: Any) -> None:
        for index, array in values.items():
            unpacked.buffers[unpacked.subgraphs[0].tensors[index].buffer].data = stored(array)

    return rewritten(model, edit)


def _convolutions(graph: Graph) -> list[Operator]:
    """Those whose weights are a float32 constant; not grouped ones, where an output sees a part of the channels."""
    found = [each for each in graph.operators if each.name in KINDS]
    return [each for each in found if _is_plain(each, *(graph.tensors[index] for index in each.inputs[:2]))]


def _is_plain(each: Operator, image: Tensor, weights: Tensor) -> bool:
    grouped = each.name != DEPTHWISE and weights.shape[3] != image.shape[3]
    return weights.is_constant and weights.dtype == "float32" and not grouped


def _copy(unpacked: Any, tensor: Tensor) -> int:
    return append_constant(unpacked, f"{tensor.name}/{len(unpacked.buffers)}", constant(tensor))


def _zero_bias(unpacked: Any, channels: int) -> int:
    return append_constant(unpacked, f"bias/{len(unpacked.buffers)}", np.zeros(channels))
