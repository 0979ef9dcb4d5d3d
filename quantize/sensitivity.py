"""Where the loss comes from: each layer alone in int8, and each layer alone in float.

Two figures per layer, both fidelity on calibration crops that nothing was learned from: of a model in which only this
layer is int8, and of the full int8 model with this one layer left in float. The first tells how hard a layer is to
quantize, the second what leaving it out would win.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from octopix.complexity import complexity
from octopix.graph import Graph, read_graph
from quantize.corrections import Candidate, Judge
from quantize.embed import with_ranges
from quantize.filters import filters, with_constants
from quantize.mlir import quantize_int8


@dataclass(frozen=True)
class LayerSensitivity:
    """One convolution."""

    operator: int
    name: str
    macs_share: float
    """Of the network's multiply-accumulates."""
    fidelity_alone: float
    """dB, with int8 in this layer only; infinite where the output is the float model's."""
    gain_in_float: float
    """dB of fidelity won where this layer alone stays float."""


def sensitivity(
    candidate: Candidate, judge: Judge, *, watch: Callable[[int, int], None] = lambda done, total: None
) -> tuple[LayerSensitivity, ...]:
    """Every convolution, in order of execution.

    Args:
        candidate: ranges and constants of the int8 model.
        judge: of the same float model.
        watch: told layers done and their number.
    """
    graph = read_graph(candidate.float_model)
    nodes = _nodes(graph)
    work = complexity(graph)
    everything = judge.error(candidate.int8)
    layers = filters(graph)
    found = []
    for done, each in enumerate(layers, start=1):
        index = each.operator.index
        others = nodes.keys() - {index}
        alone, without = (judge.error(_mixed(candidate, graph, nodes, kept)) for kept in (others, {index}))
        found.append(
            LayerSensitivity(
                operator=index,
                name=nodes[index].partition(";")[0],
                macs_share=work.per_operator[index].macs / work.macs,
                fidelity_alone=_decibels(1, alone),
                gain_in_float=_decibels(everything, without),
            )
        )
        watch(done, len(layers))
    return tuple(found)


def _mixed(candidate: Candidate, graph: Graph, nodes: Mapping[int, str], kept: Collection[int]) -> bytes:
    """The int8 model with the operators ``kept`` in float, on the float model's own constants."""
    float_constants = {index for operator in kept for index in graph.operators[operator].inputs}
    changed = {index: values for index, values in candidate.constants.items() if index not in float_constants}
    model = with_ranges(with_constants(candidate.float_model, changed), candidate.ranges)
    return quantize_int8(model, keep_float=[nodes[operator] for operator in kept])


def _nodes(graph: Graph) -> dict[int, str]:
    """The quantizer calls operators by the name of what they write."""
    return {operator.index: graph.tensors[operator.outputs[0]].name for operator in graph.operators}


def _decibels(signal: float, error: float) -> float:
    return 10 * math.log10(signal / error) if error > 0 else math.inf
