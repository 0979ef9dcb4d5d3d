"""How far beyond a block of its input a network looks, to either side: what tiles lose at their borders."""

from dataclasses import dataclass

from octopix.graph import Graph
from octopix.receptive import geometry


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
    if found.before is None or found.after is None or found.scale is None:
        return None
    multiple = found.multiple_of
    return Margins(round_up(found.before, multiple), round_up(found.after, multiple), multiple)


def round_up(pixels: int, multiple: int) -> int:
    """The smallest multiple that is not less."""
    return pixels + -pixels % multiple
