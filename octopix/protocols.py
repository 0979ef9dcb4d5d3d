"""Protocols: which planes of two pictures are compared, and how many border pixels do not count.

What was done to the network's input belongs to the model (its card says it), not to the protocol.
`benchmarks/README.md` explains them to readers of figures. A new one is one entry of ``PROTOCOLS``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from octopix.images import Array, luma_bytes, shave


@dataclass(frozen=True)
class Protocol:
    """How pictures become figures. All pictures and planes are uint8."""

    name: str
    title: str
    """One sentence for captions."""
    plane: Callable[[Array], Array]
    """Picture (H, W, C), RGB, grey or luma, to the plane or planes that are compared."""
    border: Callable[[int], int]
    """Scale to the pixels that do not count on each side."""

    def compared(self, picture: Array, scale: int) -> Array:
        """The part of ``picture``, (H, W, C) uint8, that PSNR and SSIM are taken over."""
        return shave(self.plane(picture), self.border(scale))


PROTOCOLS: dict[str, Protocol] = {
    "y": Protocol(
        name="y",
        title="BT.601 luma rounded to 8 bits, border shaved by the scale (the whole frame at scale 1)",
        plane=luma_bytes,
        border=lambda scale: 0 if scale == 1 else scale,
    ),
    "rgb": Protocol(
        name="rgb",
        title="all channels of the whole frame",
        plane=lambda picture: picture,
        border=lambda scale: 0,
    ),
}
