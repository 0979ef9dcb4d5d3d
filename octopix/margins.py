"""How far beyond a block of its input a network looks, to either side: what tiles lose at their borders."""

import math
from dataclasses import dataclass
from fractions import Fraction

from octopix.graph import Graph, Operator

# The same walk that gives the receptive field's width; here, both its ends are wanted.
from octopix.receptive import Windows, _Frame, _frame, _look, _reach, _Step, geometry
from octopix.shapes import Sizes, infer, takes_any_size

_PROBE = 3840  # pixels a side for models that take any size: a multiple of all usual strides and dilations


@dataclass(frozen=True)
class Margins:
    """How far the outputs of a block of ``multiple`` × ``multiple`` input pixels look beyond that block.

    In input pixels, the larger of the two dimensions, rounded up to multiples of ``multiple``, which is the network's
    total stride.
    """

    before: int
    after: int
    multiple: int

    @property
    def overlap(self) -> int:
        """What two neighbouring tiles share, at least."""
        return self.before + self.after


def margins(graph: Graph) -> Margins | None:
    """The margins of a network; None if an output pixel depends on the whole picture, or no bound is known.

    Raises:
        ModelFileError: as `octopix.receptive.geometry`.
    """
    found = geometry(graph)
    if found.receptive_field is None or found.scale is None:
        return None
    multiple = found.multiple_of
    probe = _PROBE if takes_any_size(graph.tensors[graph.inputs[0]]) else None
    sizes = infer(graph, height=probe, width=probe)
    before = after = 0
    for axis in (1, 2):
        path = _path(graph, sizes, axis)
        for position in range(math.ceil(multiple * found.scale)):
            low, high = _reach(graph, path, position)
            before, after = max(before, -low), max(after, high - multiple + 1)
    return Margins(round_up(before, multiple), round_up(after, multiple), multiple)


def round_up(pixels: int, multiple: int) -> int:
    """The smallest multiple that is not less."""
    return pixels + -pixels % multiple


def _path(graph: Graph, sizes: Sizes, axis: int) -> list[tuple[Operator, Windows]]:
    frames = {graph.inputs[0]: _Frame(Fraction(1))}
    path: list[tuple[Operator, Windows]] = []
    for operator in graph.operators:
        data = {index: frames[index] for index in operator.inputs if index in frames}
        if data and not sizes.values.keys() >= set(operator.outputs):
            step = _Step(graph, sizes, operator, axis, data)
            windows = _look(step)
            frames |= dict.fromkeys(operator.outputs, _frame(step, windows))
            path.append((operator, windows or {}))
    return path
