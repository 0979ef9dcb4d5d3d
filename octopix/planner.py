"""How a picture is to go through a network: whole or in which tiles, by how many interpreters, within which memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from octopix.errors import ConfigError, ModelFileError
from octopix.footprint import working_bytes
from octopix.graph import Graph, Operator
from octopix.margins import Margins, margins, round_up
from octopix.runtime import Session
from octopix.shapes import takes_any_size
from octopix.tile_size import Way, sides
from octopix.tiling import Layout, Size, balanced, layout, whole

MEMORY_MIB = 384
"""What the interpreters may take together where the user sets no limit; more, where the smallest tile takes more."""
_TRIED_FROM = 1 << 21
"""Pixels a picture has at least for tile sizes to be tried: smaller ones are done before that pays."""
_SMALL = 32
"""Pixels a side that cost next to nothing to run, and are enough for the paddings of all but the strangest networks."""
_WEIGHTED = frozenset(("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"))
_RESIZING = frozenset(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"))

Tile = int | Literal["auto", "none"]
Choose = Callable[[Sequence[Way], Margins], Way]
"""Finds the fastest of some ways to tile."""


@dataclass(frozen=True)
class Wish:
    """What the user asks for.

    Raises:
        ConfigError: a tile or a limit of less than 1, or another word.
    """

    tile: Tile = "auto"
    """Pixels a side (rounded up to what the network takes), ``none`` for the whole picture, or ``auto``."""
    memory_mib: int | None = None
    """Limit for all interpreters together, by estimate, where ``tile`` is ``auto``."""
    threads: int = 1
    """Of one interpreter, or interpreters of one."""

    def __post_init__(self) -> None:
        if self.tile not in ("auto", "none") and (not isinstance(self.tile, int) or self.tile < 1):
            raise ConfigError(
                expected="tiles of 1 or more pixels a side, auto or none", got=repr(self.tile), do="give one of them"
            )
        if self.memory_mib is not None and self.memory_mib < 1:
            raise ConfigError(expected="a memory limit of 1 MiB or more", got=f"{self.memory_mib}", do="give more")


@dataclass(frozen=True)
class Plan:
    """Tiles of a picture, and how many interpreters share them; ``exact`` as in `octopix.tiling.Tiling`."""

    layout: Layout
    overlap: int
    interpreters: int
    exact: bool


class Planner:
    """Plans for one network.

    Args:
        session: of that network; is resized once if that shows whether it can be.
        multiple_of: the card's.
        wish: what the user asks for.
        choose: measures ways to tile.
    """

    def __init__(self, session: Session, *, multiple_of: int, wish: Wish, choose: Choose) -> None:
        self._session = session
        self._graph: Graph = session.graph
        self._multiple_of = multiple_of
        self._wish = wish
        self._choose = choose

    def plan(self, size: Size) -> Plan:
        """The plan for a picture of this size.

        Raises:
            ConfigError: a tile that is too small for this network, or tiles for one that looks at its whole input; a
                memory limit that is too small for any tile.
            ModelFileError: the graph contradicts itself.
        """
        padded = (round_up(size[0], self._multiple_of), round_up(size[1], self._multiple_of))
        tiled = self._is_to_be_tiled(padded)
        own = self._only_size if tiled or padded != self._session.input_shape[1:3] else None
        if own is not None:
            return self._plan_fixed(size, own)
        if not tiled:
            return Plan(whole(padded), 0, 1, exact=padded == size)
        way, kept = (self._fastest if self._wish.tile == "auto" else self._given), self._known_margins
        tile = balanced(padded, way.side, kept) if self._wish.tile == "auto" else (way.side, way.side)
        cut = layout(padded, tile, kept)
        exact = padded == size and (len(cut) == 1 or _blind_to_size(self._graph))
        return Plan(cut, kept.overlap, min(way.interpreters, len(cut)), exact)

    def _plan_fixed(self, size: Size, own: Size) -> Plan:
        """Tiles of the one size that a file takes."""
        kept = self._margins
        if kept is None or kept.overlap >= min(own):  # no exact way: neighbours share half of each
            quarter = min(own) // 4 // self._multiple_of * self._multiple_of
            kept = Margins(quarter, quarter, self._multiple_of)
        height, width = (
            side + round_up(max(length - side, 0), kept.multiple) for length, side in zip(size, own, strict=True)
        )
        return Plan(layout((height, width), own, kept), kept.overlap, 1, exact=size == own)

    def _is_to_be_tiled(self, padded: Size) -> bool:
        if isinstance(self._wish.tile, int):
            return self._wish.tile < max(padded)
        worth_trying = math.prod(padded) >= _TRIED_FROM and _blind_to_size(self._graph)
        enough = self._bytes(padded) <= self._limit and not worth_trying
        return self._wish.tile == "auto" and not enough and self._margins is not None

    @cached_property
    def _given(self) -> Way:
        """The user's tile."""
        side = round_up(int(self._wish.tile), self._multiple_of)
        found = self._known_margins
        if side <= found.overlap:
            raise ConfigError(
                expected=f"tiles of more than {found.overlap} pixels a side: what this network loses at their borders",
                got=f"{side}",
                do=f"give {round_up(2 * found.overlap, found.multiple)} or more",
            )
        return self._choose([Way(side, count) for count in self._counts], found)

    @cached_property
    def _fastest(self) -> Way:
        """The fastest tile within the memory limit."""
        all_sides = sides(self._known_margins)
        ways = [
            Way(side, count)
            for count in self._counts
            for side in all_sides
            if self._bytes((side, side)) * count <= self._limit
        ]
        if not ways and self._wish.memory_mib is not None:
            least = math.ceil(self._bytes((all_sides[0], all_sides[0])) / 2**20)
            raise ConfigError(
                expected=f"at least {least} MiB for one tile of this network",
                got=f"a limit of {self._wish.memory_mib} MiB",
                do="raise the limit, or give the tile's side",
            )
        return self._choose(ways or [Way(all_sides[0], 1)], self._known_margins)

    @property
    def _counts(self) -> tuple[int, ...]:
        """Numbers of interpreters to try."""
        return (1, self._wish.threads) if self._wish.threads > 1 and self._session.parallel else (1,)

    @cached_property
    def _margins(self) -> Margins | None:
        """The network's, at strides that suit the card, too."""
        found = margins(self._graph)
        if found is None:
            return None
        multiple = math.lcm(found.multiple, self._multiple_of)
        return Margins(round_up(found.before, multiple), round_up(found.after, multiple), multiple)

    @property
    def _known_margins(self) -> Margins:
        if self._margins is None:
            raise ConfigError(
                expected="a network whose pixels depend on a neighbourhood",
                got=f"tiles of {self._wish.tile} for one that looks at the whole picture",
                do="give `none` or `auto` for the tile",
            )
        return self._margins

    @property
    def _limit(self) -> int:
        return (self._wish.memory_mib or MEMORY_MIB) * 2**20

    def _bytes(self, size: Size) -> int:
        """What one interpreter needs; 0 where the graph does not tell."""
        try:
            return working_bytes(self._graph, height=size[0], width=size[1])
        except ModelFileError:
            return 0

    @cached_property
    def _only_size(self) -> Size | None:
        """The one size of a file that cannot be resized; None for others."""
        tensor = self._graph.tensors[self._graph.inputs[0]]
        if takes_any_size(tensor):
            return None
        own = (tensor.shape[1], tensor.shape[2])
        return None if self._grows(own) else own

    def _grows(self, own: Size) -> bool:
        """Whether the output's size follows the input's, seen by a run: sizes may stand in a file as constants."""
        height, width = (self._another(side) for side in own)
        before, out = self._session.input_shape, self._graph.tensors[self._graph.outputs[0]].shape
        try:
            seen = self._session.run([np.zeros((1, height, width, before[3]), self._session.input_dtype)])[0].shape
        except ModelFileError:
            self._session.resize(before)
            return False
        return len(seen) == 4 and (seen[1] * own[0], seen[2] * own[1]) == (out[1] * height, out[2] * width)

    def _another(self, side: int) -> int:
        """A small side other than a file's own."""
        small = round_up(_SMALL, self._multiple_of)
        return small if small != side else small + self._multiple_of


def _blind_to_size(graph: Graph) -> bool:
    """Whether each pixel is computed the same way in any tile.

    Not where activations are quantized by their range in the tile (``dynamic``: integer weights meet floats), and not
    where positions are computed in floats from the tile's size.
    """
    return not any(operator.name in _RESIZING or _measures_range(graph, operator) for operator in graph.operators)


def _measures_range(graph: Graph, operator: Operator) -> bool:
    if operator.name not in _WEIGHTED:
        return False
    dtypes = {graph.tensors[index].dtype for index in operator.inputs if index >= 0}
    return "float32" in dtypes and bool(dtypes & {"int8", "int4", "uint8"})
