"""A flatbuffer builder that aligns constants as TFLite's schema asks: kernels read weights in place, as CPU vectors."""

from typing import Any

import flatbuffers
import numpy.typing as npt

ALIGNMENT = 16
"""Bytes, of a buffer's content in the file."""


class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers ships no types
    """Aligns vectors of bytes, which the code generated from TFLite's schema leaves unaligned."""

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802  # overrides
        """Write an array and return its position."""
        if x.dtype.itemsize != 1:
            return int(super().CreateNumpyVector(x))
        self.StartVector(1, x.size, ALIGNMENT)
        self.head -= x.size
        self.Bytes[self.head : self.head + x.size] = x.tobytes()
        return int(self.EndVector())
