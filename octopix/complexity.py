"""Multiply-accumulates (MACs) and parameters, counted on the ``.tflite`` itself.

MACs are those of convolutions (grouped, depthwise and transposed, too), dense layers and matrix products: one per
weight and position it is applied at. Biases, activations, pooling, resizing and data movement count nothing, as in the
tables of this field; positions in zero padding count like others. A transposed convolution counts per *input* position.

Parameters are what layers learn, as in model summaries:

- weights and biases of those layers, once for a layer that is used twice; an int32 bias counts like a float one;
- constants of PRELU, ADD, SUB, MUL and DIV (slopes, mean shifts, scale factors), once each.

Not parameters: shapes, axes, paddings, limits of a clip, scales and zero points of quantization, and a bias that is
zero all over. Converters give such a one to every convolution that was built without; so an untrained network, whose
biases start at zero, shows its weights only.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from octopix.graph import Graph, Operator, Tensor, constant
from octopix.shapes import Sizes, infer

FLOPS_PER_MAC: Mapping[str, float] = {"2*MAC": 2.0, "lesrcnn-table": 20 / 9}
"""Conventions of turning MACs into Flops: a multiplication and an addition each; and the one by which the figures of
LESRCNN's "vacc percentile int8" table come out."""


@dataclass(frozen=True)
class OperatorCost:
    """What one operator of the graph adds to the sums. A shared layer's parameters stand at its first use."""

    index: int
    name: str
    macs: int
    parameters: int


@dataclass(frozen=True)
class Complexity:
    """Sums over a graph, for one picture."""

    macs: int
    parameters: int
    per_operator: tuple[OperatorCost, ...]


@dataclass(frozen=True)
class _Layer:
    """At which inputs an operator has its weights and bias, and how its MACs are counted."""

    weights: int
    bias: int
    macs: Callable[["_Count", Operator], int]


def complexity(graph: Graph, *, height: int | None = None, width: int | None = None) -> Complexity:
    """Count a graph's MACs and parameters.

    Args:
        graph: any.
        height: of the input picture in pixels; with ``width`` or not at all. Without, the size the model was made for.
        width: of the input picture in pixels.

    Raises:
        ConfigError: no size, and the model takes any.
        ModelFileError: the graph cannot run at this size, or has an operator whose output size is not known.
    """
    count = _Count(graph, infer(graph, height=height, width=width))
    costs = tuple(
        OperatorCost(each.index, each.name, macs=count.macs(each), parameters=count.parameters(each))
        for each in graph.operators
    )
    return Complexity(
        macs=sum(cost.macs for cost in costs), parameters=sum(cost.parameters for cost in costs), per_operator=costs
    )


class _Count:
    """Counts operators in order, and remembers which constants were counted."""

    def __init__(self, graph: Graph, sizes: Sizes) -> None:
        self.graph = graph
        self.sizes = sizes
        self._makers = {index: operator for operator in graph.operators for index in operator.outputs}
        self._counted: set[int] = set()

    def macs(self, operator: Operator) -> int:
        layer = _LAYERS.get(operator.name)
        return layer.macs(self, operator) if layer else 0

    def parameters(self, operator: Operator) -> int:
        layer = _LAYERS.get(operator.name)
        if layer is not None:
            weights = self._new(operator, layer.weights)
            bias = self._constant(operator, layer.bias)
            return _elements(weights) + (_elements(bias) if weights and bias and np.any(constant(bias)) else 0)
        if operator.name in _ARITHMETIC and not set(operator.outputs) <= self.sizes.values.keys():
            return sum(_elements(self._new(operator, position)) for position in range(len(operator.inputs)))
        return 0

    def shape(self, operator: Operator, position: int) -> tuple[int, ...]:
        return self.sizes.shapes[operator.inputs[position]]

    def _constant(self, operator: Operator, position: int) -> Tensor | None:
        """A constant input, which float16 models hold behind a DEQUANTIZE."""
        tensor = self.graph.operand(operator, position)
        while tensor is not None and not tensor.is_constant:
            maker = self._makers.get(tensor.index)
            if maker is None or maker.name != "DEQUANTIZE":
                return None
            tensor = self.graph.operand(maker, 0)
        return tensor

    def _new(self, operator: Operator, position: int) -> Tensor | None:
        """A constant input that was not counted before."""
        tensor = self._constant(operator, position)
        if tensor is None or tensor.index in self._counted:
            return None
        self._counted.add(tensor.index)
        return tensor


def _elements(tensor: Tensor | None) -> int:
    return 0 if tensor is None else math.prod(tensor.shape)


def _convolution(count: _Count, operator: Operator) -> int:
    """Output positions · kernel · input channels of a group · output channels."""
    _, height, width, _ = count.sizes.shapes[operator.outputs[0]]
    return count.shape(operator, 0)[0] * height * width * math.prod(count.shape(operator, 1))


def _transposed(count: _Count, operator: Operator) -> int:
    batch, height, width, _ = count.shape(operator, 2)
    return batch * height * width * math.prod(count.shape(operator, 1))


def _dense(count: _Count, operator: Operator) -> int:
    units, depth = count.shape(operator, 1)
    return math.prod(count.shape(operator, 0)) // max(depth, 1) * depth * units


def _matmul(count: _Count, operator: Operator) -> int:
    depth = count.shape(operator, 0)[-2 if operator.options["adj_x"] else -1]
    return math.prod(count.sizes.shapes[operator.outputs[0]]) * depth


_LAYERS: Mapping[str, _Layer] = {
    "BATCH_MATMUL": _Layer(weights=1, bias=2, macs=_matmul),
    "CONV_2D": _Layer(weights=1, bias=2, macs=_convolution),
    "DEPTHWISE_CONV_2D": _Layer(weights=1, bias=2, macs=_convolution),
    "FULLY_CONNECTED": _Layer(weights=1, bias=2, macs=_dense),
    "TRANSPOSE_CONV": _Layer(weights=1, bias=3, macs=_transposed),
}

_ARITHMETIC = frozenset({"ADD", "DIV", "MUL", "PRELU", "SUB"})
