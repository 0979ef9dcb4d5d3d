"""Channels of a float ``.tflite`` rescaled so that 8 bits hold them well; the function stays the same.

A channel may be multiplied by any factor > 0 where it is made if whatever reads it divides by the same factor (Nagel et
al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019). ReLU and PReLU let factors
through. So does addition, if all that is added carries the same ones: residual networks are one large knot of tensors
that share their factors. So does a shuffle of channels into pixels, if all pixels of a channel carry the same one.

All activations of a tensor share one scale. Rounding therefore adds the same noise to every channel, and a channel
that does not fill the range has more of it than it need have: factor 1 / (its largest value). Weights would rather have
factors that make the next kernel's input channels equally loud. `by_strength` mixes the two, whatever the channels are
worth; `quantize.quietest` weighs both by the noise that reaches the output. What serves a network best is measured.
"""

import math
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.graph import Graph, Operator, read_graph
from quantize.filters import Filter, filters, with_constants

Array = npt.NDArray[Any]

HOMOGENEOUS = frozenset({"RELU", "PRELU", "LEAKY_RELU", "ADD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR"})
"""Operators f with f(a·x) = a·f(x) per channel, a > 0, as long as all their activations carry the same factors."""

SHUFFLE = "DEPTH_TO_SPACE"
"""Turns channels (row, column, c), c running fastest, into pixels of channel c."""

FUSED = frozenset({"NONE", "RELU"})
"""Activations inside of operators, of the same kind."""

WIDEST = 1e3
"""A factor lies between 1/1000 and 1000: channels that are silent on the images do not blow up."""


@dataclass(frozen=True)
class Knot:
    """Tensors that must share their factors, with the filters that write to them and those that read them."""

    tensors: frozenset[int]
    writers: tuple[Filter, ...]
    readers: tuple[Filter, ...]
    channels: int
    """Factors it has. In front of a shuffle they repeat: every tensor's channels are a multiple of this."""


@dataclass(frozen=True)
class Equalized:
    """A model with its channels rescaled."""

    model: bytes
    factors: Mapping[int, Array]
    """float32 (C,) by tensor number, of every tensor of `knots`: what its channels were multiplied by."""


Rule = Callable[[Knot, Sequence[Filter]], Array]
"""From a knot, and its readers as the knots behind it have left them, to float32 factors, as many as it has."""


def equalized(model: bytes, rule: Rule) -> Equalized:
    """Rescale every knot.

    Args:
        model: float ``.tflite`` from `quantize.filters.separated`.
        rule: finds the factors.
    """
    graph = read_graph(model)
    current = {each.operator.index: each for each in filters(graph)}
    used: dict[int, Array] = {}
    for knot in reversed(knots(graph)):  # from the end: a writer may be a reader of the knot before
        readers, writers = ([current[each.operator.index] for each in side] for side in (knot.readers, knot.writers))
        factors = rule(knot, readers)
        current |= {each.operator.index: each for each in _rescaled(writers, readers, factors)}
        used |= {index: _repeated(factors, graph.tensors[index].shape[-1]) for index in knot.tensors}
    changed = [each.replaced(weights=each.weights, bias=each.bias) for each in current.values()] if used else []
    return Equalized(with_constants(model, dict(ChainMap(*changed))), used)


def by_strength(peaks: Mapping[int, Array], strength: float) -> Rule:
    """The rule by loudness alone.

    Args:
        peaks: largest magnitude of each channel, (C,), by tensor number; of every tensor of `knots`.
        strength: 1 fills the activations' range with every channel, 0 makes the readers' channels equally loud.
    """

    def rule(knot: Knot, readers: Sequence[Filter]) -> Array:
        loudest = np.max([peaks[index].reshape(-1, knot.channels).max(axis=0) for index in knot.tensors], axis=0)
        return _factors(readers, loudest, strength)

    return rule


def knots(graph: Graph) -> tuple[Knot, ...]:
    """The knots whose factors are free: written by convolutions, read by convolutions, nothing else.

    Where one channel is added to many, there is no factor for each.
    """
    known = {each.operator.index: each for each in filters(graph)}
    groups = _Groups(len(graph.tensors))
    for operator in graph.operators:
        if operator.name in HOMOGENEOUS or operator.name == SHUFFLE:
            groups.join(_activations(graph, operator))
    bound = {groups.of(index) for index in (*graph.inputs, *graph.outputs)}
    for operator in graph.operators:
        bound |= {groups.of(index) for index in _bound_by(graph, operator, known)}
    activations = {index for each in known.values() for index in (each.image, each.output)}
    members: dict[int, set[int]] = {}
    for index in sorted({*activations, *(i for each in graph.operators for i in _activations(graph, each))}):
        members.setdefault(groups.of(index), set()).add(index)
    found = [_knot(graph, tensors, known.values()) for group, tensors in members.items() if group not in bound]
    return tuple(sorted((each for each in found if each.readers), key=lambda each: min(each.tensors)))


def _knot(graph: Graph, tensors: Collection[int], known: Collection[Filter]) -> Knot:
    return Knot(
        tensors=frozenset(tensors),
        writers=tuple(each for each in known if each.output in tensors),
        readers=tuple(each for each in known if each.image in tensors),
        channels=math.gcd(*(graph.tensors[index].shape[-1] for index in tensors)),
    )


def _bound_by(graph: Graph, operator: Operator, known: Mapping[int, Filter]) -> list[int]:
    """Activations of an operator through which no factor passes."""
    free = operator.options.get("activation", "NONE") in FUSED
    if operator.index in known:
        each = known[operator.index]
        if each.depthwise:  # it would have to hand factors on from one knot to the next
            return [each.image, each.output]
        return [] if free else [each.output]
    if operator.name == SHUFFLE or (operator.name in HOMOGENEOUS and free and _is_by_channel(graph, operator)):
        return []
    return list(_activations(graph, operator))


def _is_by_channel(graph: Graph, operator: Operator) -> bool:
    """Whether each channel is made of the same one of every operand; constants are added to all alike."""
    widths = {graph.tensors[index].shape[-1:] for index in _activations(graph, operator)}
    adds_a_constant = operator.name == "ADD" and any(graph.tensors[index].is_constant for index in operator.inputs)
    return len(widths) == 1 and () not in widths and not adds_a_constant


def _activations(graph: Graph, operator: Operator) -> tuple[int, ...]:
    """Tensors of an operator that are no constants."""
    found = (*operator.inputs, *operator.outputs)
    return tuple(index for index in found if index >= 0 and not graph.tensors[index].is_constant)


def _factors(readers: Iterable[Filter], peaks: Array, strength: float) -> Array:
    """One per channel, geometric mean 1 over the channels that live."""
    energies = [_energy(each).reshape(-1, len(peaks)).mean(axis=0) for each in readers]
    loudness = np.sqrt(np.mean(energies, axis=0))
    alive = (peaks > 0) & (loudness > 0)
    if not alive.any():
        return np.ones(len(peaks), np.float32)
    logs = (1 - strength) * np.log(loudness[alive]) - strength * np.log(peaks[alive])
    factors = np.ones(len(peaks))
    factors[alive] = np.exp(np.clip(logs - logs.mean(), -np.log(WIDEST), np.log(WIDEST)))
    return factors.astype(np.float32)


def _energy(each: Filter) -> Array:
    """Mean square of the weights of each input channel."""
    energy: Array = np.mean(np.square(each.weights, dtype=np.float64), axis=(0, 1, 2))
    return energy


def _rescaled(writers: Sequence[Filter], readers: Sequence[Filter], factors: Array) -> Iterable[Filter]:
    """With new constants. Inside of a residual block a filter is reader and writer of one knot."""
    found = {each.operator.index: each for each in (*writers, *readers)}
    for index in (each.operator.index for each in readers):
        before = found[index].weights
        found[index] = replace(found[index], weights=before / _repeated(factors, before.shape[3]))
    for index in (each.operator.index for each in writers):
        grown = _repeated(factors, len(found[index].bias))
        weights, bias = found[index].weights * grown[:, None, None, None], found[index].bias * grown
        found[index] = replace(found[index], weights=weights, bias=bias)
    return found.values()


def _repeated(factors: Array, channels: int) -> Array:
    """For a tensor with so many channels."""
    return np.tile(factors, channels // len(factors))


class _Groups:
    """Disjoint sets of numbers."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def of(self, index: int) -> int:
        while self._parent[index] != index:
            index = self._parent[index]
        return index

    def join(self, indices: Iterable[int]) -> None:
        first, *others = (self.of(index) for index in indices)
        for other in others:
            self._parent[self.of(other)] = first
