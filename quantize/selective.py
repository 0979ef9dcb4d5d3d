"""Selective quantization: named layers stay in float, between a DEQUANTIZE and a QUANTIZE, all others are int8.

The scheme's name ends in ``~`` and eight digits of a hash over the names; the card holds the names themselves.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from octopix.errors import ConfigError
from octopix.graph import Graph, read_graph
from octopix.latency import measure_alternating
from octopix.margins import round_up
from octopix.runtime import open_session
from quantize.candidate import Candidate
from quantize.embed import with_ranges
from quantize.filters import KINDS, filters, with_constants
from quantize.mlir import quantize_int8

SIDE = 128
"""Pixels a side at which the cost in time is measured, as everywhere."""


@dataclass(frozen=True)
class Layer:
    """A convolution by the names users and the quantizer know it by."""

    name: str
    node: str
    """What the quantizer calls it: the tensor it writes."""
    operator: int
    place: int
    """Among all convolutions of the graph: 0 is the first to run."""


def layers(graph: Graph) -> tuple[Layer, ...]:
    """The convolutions, in order of execution.

    Args:
        graph: of a model from `quantize.filters.separated`.
    """
    convolutions = [each.index for each in graph.operators if each.name in KINDS]
    nodes = [(graph.tensors[each.output].name, each.operator.index) for each in filters(graph)]
    return tuple(Layer(node.partition(";")[0], node, index, convolutions.index(index)) for node, index in nodes)


def named(model: bytes, names: Collection[str]) -> tuple[Layer, ...]:
    """The layers of these names, in order of execution.

    Args:
        model: from `quantize.filters.separated`.
        names: of layers.

    Raises:
        ConfigError: a name that is none; the message lists all.
    """
    known = layers(read_graph(model))
    unknown = sorted(set(names) - {each.name for each in known})
    if unknown:
        raise ConfigError(
            expected=f"layers of this model ({', '.join(each.name for each in known)})",
            got=", ".join(unknown),
            do="correct KEEP_FLOAT=",
        )
    return tuple(each for each in known if each.name in names)


def mixed(candidate: Candidate, kept: Sequence[Layer]) -> bytes:
    """The int8 model with ``kept`` in float, on the float model's own constants."""
    graph = read_graph(candidate.float_model)
    float_constants = {index for each in kept for index in graph.operators[each.operator].inputs}
    changed = {index: values for index, values in candidate.constants.items() if index not in float_constants}
    model = with_ranges(with_constants(candidate.float_model, changed), candidate.ranges)
    return quantize_int8(model, keep_float=[each.node for each in kept])


@dataclass(frozen=True)
class Cost:
    """What layers in float cost in time: medians of runs in turns, one thread, at 1×128×128."""

    int8_ms: float
    mixed_ms: float

    @property
    def extra_ms(self) -> float:
        """Milliseconds more than the full-integer model."""
        return self.mixed_ms - self.int8_ms


def cost(int8: bytes, mixed_model: bytes, *, multiple_of: int = 1) -> Cost:
    """Time both in turns on noise.

    Args:
        int8: the full-integer ``.tflite``.
        mixed_model: the same with layers in float.
        multiple_of: what the sides of the network's input are multiples of.
    """
    calls = {}
    for name, model in (("int8", int8), ("mixed", mixed_model)):
        session = open_session(model, threads=1)
        side = round_up(SIDE, multiple_of)
        shape = (1, side, side, session.input_shape[3])
        session.invoke(np.random.default_rng(0).integers(0, 256, shape, np.uint8))  # places the input
        calls[name] = session.execute
    timed = measure_alternating(calls, runs=20, min_seconds=1.0)
    return Cost(timed["int8"].median_ms, timed["mixed"].median_ms)
