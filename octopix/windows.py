"""The plane a network sees, made of a picture one window at a time: the whole of it never lies in memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from octopix.images import Array
from octopix.resize import bicubic

_REACH = 4
"""Pixels of the picture around a window that its bicubic enlargement cannot reach beyond: two, and rounding."""


@dataclass(frozen=True, eq=False)
class Source:
    """A picture as a network sees it.

    Enlarging windows gives bit for bit what enlarging the whole gives for uint8 and uint16 (see `octopix.resize`), and
    the same up to float32's last digit for floats.
    """

    pixels: Array
    """(H, W, C)."""
    view: Callable[[Array], Array] = lambda pixels: pixels
    """What turns pixels, each by itself, into the plane's: (h, w, C) to (h, w, channels of the network)."""
    enlarged: int = 1
    """How many times the network's plane is as large, by MATLAB's bicubic."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the plane."""
        height, width = self.pixels.shape[:2]
        return height * self.enlarged, width * self.enlarged

    def window(self, top: int, left: int, height: int, width: int) -> Array:
        """A part of the plane, (height, width, channels); beyond its lower and right edge, the edge is repeated."""
        rows = slice(top, min(top + height, self.size[0]))
        columns = slice(left, min(left + width, self.size[1]))
        inside = self._enlarged(rows, columns) if self.enlarged > 1 else self.view(self.pixels[rows, columns])
        below, right = height - inside.shape[0], width - inside.shape[1]
        if below or right:
            inside = np.pad(inside, ((0, below), (0, right), (0, 0)), mode="edge")
        return np.ascontiguousarray(inside)

    def _enlarged(self, rows: slice, columns: slice) -> Array:
        (first, high), (second, wide) = (
            self._around(part, length) for part, length in zip((rows, columns), self.pixels.shape[:2], strict=True)
        )
        large = bicubic(self.view(self.pixels[high, wide]), scale=self.enlarged)
        return large[first : first + rows.stop - rows.start, second : second + columns.stop - columns.start]

    def _around(self, part: slice, length: int) -> tuple[int, slice]:
        """Where in its enlargement a part begins, and what of the picture is to be enlarged for it."""
        low = max(part.start // self.enlarged - _REACH, 0)
        high = min(-(-part.stop // self.enlarged) + _REACH, length)
        return part.start - low * self.enlarged, slice(low, high)
