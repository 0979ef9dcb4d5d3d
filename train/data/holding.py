"""Of a folder that a user gives for calibration, a fixed quarter is held back: it judges what the others taught."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

HELD_BACK = 4
"""Every so many-th item is held back."""


def held_back(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """(those that teach, those that judge), in their order; fewer than `HELD_BACK` items have no judge."""
    judges = tuple(items[HELD_BACK - 1 :: HELD_BACK])
    return tuple(item for place, item in enumerate(items) if place % HELD_BACK != HELD_BACK - 1), judges
