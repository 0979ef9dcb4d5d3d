"""How much of what is rounded in the middle of a network reaches its output.

Rounding adds noise that is nearly white and independent from channel to channel. How much of a channel's arrives is
measured backwards: random signs on all samples of the output are led back to the image, operator by operator, and the
mean square of what comes by a channel is the sum of squares of all paths from there, wherever they meet again (the
estimator of Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing Splines",
Communications in Statistics 1989). Squares of weights alone would not do: behind a convolution noise is no longer
white, and what the next ones make of it comes to up to 90 times as much in LESRCNN. The noise of rounded weights
follows from the same gains.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.graph import Graph, read_graph
from octopix.margins import round_up
from octopix.receptive import geometry
from octopix.runtime import Session, open_session
from octopix.shapes import infer
from quantize.calibrators import Range
from quantize.derivatives import SIGNS, led_back
from quantize.filters import Filter, filters
from quantize.ranges import IMAGE_RANGE, scaled_image, source
from quantize.rounding import LEVELS
from quantize.statistics import TensorStatistics, activations

Array = npt.NDArray[Any]

OF_THE_OUTPUT = 1 / 12 / 255**2
"""Noise power of rounding an image in [0, 1] to 8 bits, which every int8 model has."""

SEED = 20261123
"""Of the signs."""

PROBES, SIDE = 12, 32
"""Pieces of pictures that gains are measured on, and their pixels a side. Many small ones rather than few large: what a
ReLU lets through differs from picture to picture."""


@dataclass(frozen=True)
class Gains:
    """Noise power at the output, mean over its samples, per power of white noise in a channel; (C,) by tensor number.

    What leads nowhere has none.
    """

    held: Mapping[int, Array]
    """Of what tensors hold."""
    computed: Mapping[int, Array]
    """Of what operators compute in front of their fused activations, by the tensor that they write."""


def gains(model: bytes, images: Iterable[Array]) -> Gains:
    """Mean over some pictures.

    Args:
        model: float ``.tflite``, all of whose activations are (1, H, W, C).
        images: float32 (1, H, W, C) in [0, 1], one at least.
    """
    session = open_session(model, keep_tensors=True)
    signs = np.random.default_rng(SEED)
    found = [_on(session, image, signs) for image in images]
    return Gains(_mean([each.held for each in found]), _mean([each.computed for each in found]))


def probes(model: bytes, crops: Sequence[Array]) -> tuple[Array, ...]:
    """The middles of some crops, uint8 (1, h, w, C): enough to measure gains on.

    Args:
        model: float ``.tflite``.
        crops: uint8 (1, H, W, C), as the network takes them.
    """
    side = _side(read_graph(model), *crops[0].shape[1:3])
    return tuple(_middle(crop, side) for crop in crops[:: math.ceil(len(crops) / PROBES)])


def _side(graph: Graph, height: int, width: int) -> int:
    """Pixels of a piece; more for networks whose unpadded kernels eat a border."""
    found = geometry(graph)
    made = infer(graph, height=height, width=width).shapes[graph.outputs[0]]
    eaten = 0 if made[1] == height * (found.scale or 0) else found.receptive_field or max(height, width)
    return round_up(SIDE + eaten, found.multiple_of)


def _middle(crop: Array, side: int) -> Array:
    """All of it where it is smaller."""
    top, left = (max(0, size - side) // 2 for size in crop.shape[1:3])
    return crop[:, top : top + side, left : left + side]


def _on(session: Session, image: Array, signs: np.random.Generator) -> Gains:
    """On one picture."""
    session.invoke(image)
    graph = session.graph
    values = {index: session.tensor(index) for index in activations(graph)}
    fields = {index: signs.choice(SIGNS, values[index].shape) for index in graph.outputs}
    samples = sum(each.size for each in fields.values())
    computed = {}
    for operator in reversed(graph.operators):
        if fields.keys().isdisjoint(operator.outputs):  # leads nowhere
            continue
        behind = [fields[index] if index in fields else np.zeros_like(values[index]) for index in operator.outputs]
        back = led_back(graph, operator, values, np.concatenate(behind, axis=-1))
        computed[operator.outputs[0]] = _power(back.computed) / samples
        for index, field in back.inputs.items():
            fields[index] = fields[index] + field if index in fields else field
    return Gains({index: _power(each) / samples for index, each in fields.items()}, computed)


def _power(field: Array) -> Array:
    """Sum of squares in each channel, float64 (C,)."""
    found: Array = np.square(field, dtype=np.float64).reshape(-1, field.shape[-1]).sum(axis=0)
    return found


def _mean(found: Sequence[Mapping[int, Array]]) -> dict[int, Array]:
    return {index: np.mean([each[index] for each in found], axis=0) for index in found[0]}


def with_importance(statistics: Mapping[int, TensorStatistics], found: Gains) -> dict[int, TensorStatistics]:
    """Statistics that know what their channels are worth at the output, where they were gathered channel by channel."""
    by_channel = {index: each.by_channel for index, each in statistics.items() if each.by_channel is not None}
    known = {
        index: dataclasses.replace(
            statistics[index], by_channel=dataclasses.replace(each, importance=found.held[index])
        )
        for index, each in by_channel.items()
        if index in found.held
    }
    return {**statistics, **known}


def of_rounded_weights(graph: Graph, statistics: Mapping[int, TensorStatistics], found: Gains) -> dict[int, float]:
    """Noise power at the output, mean over its samples, of each filter's weights rounded to nearest; by its operator.

    In expectation: errors of weights are independent of one another, so that only the variance of what they meet
    matters, and not how neighbours go together. Biases are taken to make up for means.
    """
    behind, exact = found.computed, scaled_image(graph)

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
