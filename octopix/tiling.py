"""Where to cut a picture, so that the pieces of a network's result are those of the whole.

A tile is a part of what the network sees. Its origin is a multiple of the network's total stride, as the picture's is,
so that strided operators meet the pixels at the same phase. Near its cut sides the network meets zero padding in place
of pixels; whatever depends on that is thrown away and taken from the neighbour. At the picture's own borders the tile
ends, too, so that padding is there what it is for the whole. All tiles of a picture have one size: the last of a row or
a column is shifted inwards.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from octopix.margins import Margins, round_up

Size = tuple[int, int]
"""(height, width) in pixels of the network's input."""


@dataclass(frozen=True)
class Span:
    """A tile along one dimension: it begins at ``origin``, and of it ``start`` to ``stop`` are kept."""

    origin: int
    start: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """The tiles of one picture: every row of tiles with every column of tiles."""

    tile: Size
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[tuple[Span, Span]]:
        return itertools.product(self.rows, self.columns)


@dataclass(frozen=True)
class Tiling:
    """What is done with a picture of a certain size. Pixels are those of the network's input."""

    tiles: int
    tile: Size
    """(height, width) of each, or of the whole picture; with what is added to reach a size the network takes."""
    overlap: int
    """Pixels that neighbours share, at least; 0 where there is one tile."""
    interpreters: int
    """How many work on the tiles at the same time."""
    exact: bool
    """Whether the result is what the network makes of the picture as a whole and as it is: bit for bit for integer
    networks on the CPU, within 1e-5 for float ones. Not where edges were repeated to reach a size the network takes,
    where a file that cannot be resized has another size than the picture, or where tiles are joined whose numbers
    depend on their size or content, as those of ``dynamic`` networks do."""


def whole(size: Size) -> Layout:
    """One tile for all of a picture."""
    return Layout(size, (Span(0, 0, size[0]),), (Span(0, 0, size[1]),))


def layout(size: Size, tile: Size, margins: Margins) -> Layout:
    """Tiles for a picture of multiples of ``margins.multiple``; a tile larger than the picture is cut down to it."""
    height, width = (min(pair) for pair in zip(size, tile, strict=True))
    return Layout((height, width), spans(size[0], height, margins), spans(size[1], width, margins))


def balanced(size: Size, side: int, margins: Margins) -> Size:
    """The smallest tile that cuts a picture into no more pieces than tiles of ``side`` do."""
    height, width = (_balanced(length, side, margins) for length in size)
    return height, width


def spans(length: int, side: int, margins: Margins) -> tuple[Span, ...]:
    """Tiles of ``side`` pixels along ``length`` pixels.

    Args:
        length: a multiple of the stride, or longer than ``side`` by one.
        side: more than ``margins.overlap``, unless it is enough for all.
    """
    if length <= side:
        return (Span(0, 0, length),)
    step = side - margins.overlap
    origins = [*range(0, length - side, step), length - side]
    stops = [*(origin + side - margins.after for origin in origins[:-1]), length]
    return tuple(map(Span, origins, [0, *stops[:-1]], stops))


def _balanced(length: int, side: int, margins: Margins) -> int:
    count = len(spans(length, side, margins))
    return min(length, round_up(math.ceil((length + (count - 1) * margins.overlap) / count), margins.multiple))
