"""How much of what is rounded in the middle of a network reaches its output.

Rounding adds noise that is nearly white and independent from channel to channel. A convolution passes its power on by
the squares of its weights, a sum adds powers, a ReLU lets through what meets its active part. So a walk from the output
back to the image gives each channel of each activation its gain, and the network need not run for it. What meets again
behind a shortcut or in the next kernel is taken as independent, too, which it is not quite; operators that are not
listed below hand noise on as it is. The noise of rounded weights follows from the same gains.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.graph import Graph, Operator, Tensor, constant
from quantize.calibrators import Range
from quantize.filters import Filter, filters
from quantize.ranges import IMAGE_RANGE, scaled_image, source
from quantize.rounding import LEVELS
from quantize.statistics import TensorStatistics

Array = npt.NDArray[Any]

Walk = Callable[[Graph, Operator, Array], Mapping[int, Array]]
"""From an operator and the gains behind it, (C,), to what they make of its inputs' by tensor number."""

OF_THE_OUTPUT = 1 / 12 / 255**2
"""Noise power of rounding an image in [0, 1] to 8 bits, which every int8 model has."""

KERNELS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
"""Operators whose second input is weights."""

RECTIFIERS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU"})
"""What is below zero gets through them not at all, or as good as not."""


def gains(graph: Graph, active: Mapping[int, Array]) -> dict[int, Array]:
    """Noise power at the output, mean over its samples, per power of white noise in a channel; (C,) by tensor number.

    Args:
        graph: of a float model, all of whose activations are (1, H, W, C).
        active: share of values above zero in each channel, (C,), by tensor number; 1 for others.
    """
    widths = {index: (graph.tensors[index].shape or (1,))[-1] for index in graph.outputs}
    found = {index: np.full(width, 1 / width) for index, width in widths.items()}
    for operator in reversed(graph.operators):
        if found.keys().isdisjoint(operator.outputs):  # leads nowhere
            continue
        behind = np.concatenate([_of(graph, index, found) for index in operator.outputs])
        before = behind * _let_through(graph, operator, active)
        for index, more in _walk(graph, operator)(graph, operator, before).items():
            found[index] = found[index] + more if index in found else more
    return found


def with_importance(graph: Graph, statistics: Mapping[int, TensorStatistics]) -> dict[int, TensorStatistics]:
    """Statistics that know what their channels are worth at the output, where they were gathered channel by channel."""
    by_channel = {index: each.by_channel for index, each in statistics.items() if each.by_channel is not None}
    found = gains(graph, {index: statistics[index].active for index in by_channel}) if by_channel else {}
    known = {
        index: dataclasses.replace(statistics[index], by_channel=dataclasses.replace(each, importance=found[index]))
        for index, each in by_channel.items()
        if index in found
    }
    return {**statistics, **known}


def of_rounded_weights(graph: Graph, statistics: Mapping[int, TensorStatistics]) -> dict[int, float]:
    """Noise power at the output, mean over its samples, of each filter's weights rounded to nearest; by its operator.

    In expectation: errors of weights are independent of one another, so that only the variance of what they meet
    matters, and not how neighbours go together. Biases are taken to make up for means.
    """
    active = {index: each.active for index, each in statistics.items() if each.by_channel is not None}
    behind, exact = before_activations(graph, gains(graph, active), active), scaled_image(graph)

    def power(each: Filter) -> float:
        met = source(graph, each.image)
        variance = _variance(statistics[met]) if met in statistics else _largest_variance(exact.get(met, IMAGE_RANGE))
        steps = np.abs(each.weights).max(axis=(0, 1, 2) if each.depthwise else (1, 2, 3)) / LEVELS
        taps = each.weights.size // len(each.bias)
        return float(behind[each.output] @ np.square(steps, dtype=np.float64)) * taps * variance / 12

    return {each.operator.index: power(each) if each.output in behind else 0.0 for each in filters(graph)}


def _largest_variance(limits: Range) -> float:
    """That values between two limits can have."""
    lo, hi = limits
    return (hi - lo) ** 2 / 4


def _variance(met: TensorStatistics) -> float:
    """Of a tensor's values about their channel's mean; where channels are not known, about the mean of all."""
    return float(np.var(met.sample, dtype=np.float64) if met.by_channel is None else np.mean(met.variances))


def before_activations(graph: Graph, found: Mapping[int, Array], active: Mapping[int, Array]) -> dict[int, Array]:
    """The gains of what operators compute in front of their fused activations, by the tensor that they write."""
    makers = {index: operator for operator in graph.operators for index in operator.outputs[:1]}
    return {
        index: each * _let_through(graph, makers[index], active) for index, each in found.items() if index in makers
    }


def _let_through(graph: Graph, operator: Operator, active: Mapping[int, Array]) -> Array:
    """The share of noise power that an operator's activation lets through, (C,) or ()."""
    share = active.get(operator.outputs[0], np.ones(()))
    if operator.name == "PRELU" and graph.tensors[operator.inputs[1]].is_constant:
        below: Array = share + (1 - share) * _mean_power(constant(graph.tensors[operator.inputs[1]]))
        return below
    rectifies = operator.name in RECTIFIERS or operator.options.get("activation", "NONE") != "NONE"
    return share if rectifies else np.ones(())


def _of(graph: Graph, index: int, found: Mapping[int, Array]) -> Array:
    """A tensor's gains so far; of one that leads nowhere, none."""
    return found.get(index, np.zeros((graph.tensors[index].shape or (1,))[-1]))


def _walk(graph: Graph, operator: Operator) -> Walk:
    """A kernel that is itself computed says nothing."""
    computed = operator.name in KERNELS and not graph.tensors[operator.inputs[1]].is_constant
    return _evenly if computed else WALKS.get(operator.name, _evenly)


def _convolved(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    image = operator.inputs[0]
    power = _power(graph, operator).sum(axis=(1, 2))
    groups = max(1, graph.tensors[image].shape[-1] // power.shape[1])
    by_group = behind.reshape(groups, 1, -1) @ power.reshape(groups, -1, power.shape[1])
    return {image: by_group.reshape(-1)}


def _convolved_backwards(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    """Each pixel behind a transposed convolution sees one tap in stride²."""
    strides = operator.number("stride_h", 1) * operator.number("stride_w", 1)
    return {operator.inputs[2]: behind @ _power(graph, operator).sum(axis=(1, 2)) / strides}


def _convolved_by_depth(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    image = operator.inputs[0]
    reached = behind * _power(graph, operator).sum(axis=(0, 1, 2))
    return {image: reached.reshape(graph.tensors[image].shape[-1], -1).sum(axis=1)}


def _averaged(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    return _evenly(graph, operator, behind / (operator.number("filter_h", 1) * operator.number("filter_w", 1)))


def _multiplied(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    """Activations that multiply one another are taken to be about 1."""
    constants = [constant(graph.tensors[index]) for index in operator.inputs if graph.tensors[index].is_constant]
    for values in constants:
        behind = behind * _mean_power(values)
    return _evenly(graph, operator, behind)


def _shuffled(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    """Each channel becomes a part of the pixels."""
    parts = operator.number("block_size") ** 2
    return {operator.inputs[0]: np.tile(behind / parts, parts)}


def _side_by_side(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    ends = np.cumsum([(graph.tensors[index].shape or (1,))[-1] for index in operator.inputs])
    if ends[-1] != len(behind):  # along another axis
        return _evenly(graph, operator, behind)
    return _summed(zip(operator.inputs, np.split(behind, ends[:-1]), strict=True))


def _evenly(graph: Graph, operator: Operator, behind: Array) -> dict[int, Array]:
    """Channel by channel; where their number changes, to all alike."""
    inputs = [index for index in operator.inputs if index >= 0 and _carries_noise(graph.tensors[index])]
    widths = [(graph.tensors[index].shape or (1,))[-1] for index in inputs]
    shares = [behind if width == len(behind) else np.full(width, behind.sum() / width) for width in widths]
    return _summed(zip(inputs, shares, strict=True))


def _carries_noise(tensor: Tensor) -> bool:
    """Not sizes and places, which are integers."""
    return not tensor.is_constant and tensor.dtype == "float32"


def _summed(parts: Iterable[tuple[int, Array]]) -> dict[int, Array]:
    """A tensor may be an operator's input twice."""
    found: dict[int, Array] = {}
    for index, part in parts:
        found[index] = found[index] + part if index in found else part
    return found


def _power(graph: Graph, operator: Operator) -> Array:
    """Squares of its weights."""
    found: Array = np.square(constant(graph.tensors[operator.inputs[1]]), dtype=np.float64)
    return found


def _mean_power(values: Array) -> Array:
    """(C,), or (1,) of a number."""
    found: Array = (
        np.square(np.atleast_1d(values), dtype=np.float64).reshape(-1, (values.shape or (1,))[-1]).mean(axis=0)
    )
    return found


WALKS: Mapping[str, Walk] = {
    "CONV_2D": _convolved,
    "DEPTHWISE_CONV_2D": _convolved_by_depth,
    "TRANSPOSE_CONV": _convolved_backwards,
    "AVERAGE_POOL_2D": _averaged,
    "MUL": _multiplied,
    "DEPTH_TO_SPACE": _shuffled,
    "CONCATENATION": _side_by_side,
}
"""By operator; others hand every channel's noise on to the same channel."""
