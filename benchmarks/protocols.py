"""Protocols: what exactly a figure was measured on. `benchmarks/README.md` explains them to readers of figures.

A protocol says how the network's input is made of the ground truth, which plane is compared, and how many border
pixels do not count. A new one is one entry of ``PROTOCOLS``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from octopix.images import Array, luma_bytes, shave
from train.data.degradations import bicubic_pair


@dataclass(frozen=True)
class Protocol:
    """How pictures become figures. All pictures and planes are uint8."""

    name: str
    title: str
    """One sentence for captions."""
    degrade: Callable[[Array, int], tuple[Array, Array]]
    """Ground truth (H, W, C) and scale to the pair (network input, ground truth that fits it)."""
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
        title="BT.601 luma rounded to 8 bits, border shaved by the scale, LR by MATLAB's bicubic",
        degrade=bicubic_pair,
        plane=luma_bytes,
        border=lambda scale: scale,
    ),
}
