"""Which tiles are fastest: tried, not guessed.

Small tiles lose most of themselves to their margins, large ones fall out of the processor's caches, and whether several
interpreters of one thread beat one of several threads depends on the network and on the machine.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from octopix.margins import Margins, round_up

_LEAST, _MOST = 64, 1024
_WORSE = 1.15
"""Where a tile takes so many times as long per pixel as the best smaller one, still larger ones are not tried."""
_CLOSE = 0.97
"""Ways are as fast as each other within these bounds; then the one of least memory is taken."""


@dataclass(frozen=True)
class Way:
    """Tiles of so many pixels a side, for so many interpreters at the same time."""

    side: int
    interpreters: int


def sides(margins: Margins) -> tuple[int, ...]:
    """Sides of tiles that are worth trying, smallest first: the smallest keeps a ninth of its area."""
    side = max(_LEAST, margins.overlap * 3 // 2)
    found = [round_up(side, margins.multiple)]
    while 2 * side <= max(_MOST, 4 * margins.overlap):
        side *= 2
        found.append(round_up(side, margins.multiple))
    return tuple(found)


def fastest(ways: Sequence[Way], seconds: Callable[[Way], float]) -> Way:
    """The way that takes least time per pixel that is kept.

    Args:
        ways: at least one, by growing side. A single one is not measured.
        seconds: measures one; the unit does not matter.
    """
    if len(ways) == 1:
        return ways[0]
    taken: dict[Way, float] = {}
    for count in dict.fromkeys(way.interpreters for way in ways):
        least = math.inf
        for way in (each for each in ways if each.interpreters == count):
            taken[way] = seconds(way)
            if taken[way] > _WORSE * least:
                break
            least = min(least, taken[way])
    enough = min(taken.values()) / _CLOSE
    return min((way for way in taken if taken[way] <= enough), key=lambda way: way.side * way.interpreters)
