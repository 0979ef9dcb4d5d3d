"""Three real pictures for a device: what the network sees, and the ground truth. None of them is a test image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from octopix.card import ModelCard
from octopix.errors import DataError
from octopix.images import Array
from octopix.metrics import psnr
from octopix.protocols import PROTOCOLS
from octopix.resize import bicubic
from train.data.degradations import degraded, find_degradation
from train.data.sources import images_for, locate

COUNT = 3
LEAST = 8
"""Pixels a side, below which a PSNR says nothing."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture in the network's channels, uint8 (h, w, C) and (h·scale, w·scale, C)."""

    name: str
    plane: Array
    """What `octopix run` is given."""
    truth: Array


@dataclass(frozen=True)
class SampleSet:
    """Pictures under the title of their set, and how they become a PSNR."""

    title: str
    protocol: str
    scale: int
    samples: tuple[Sample, ...]

    def psnr_db(self, outputs: Sequence[Array]) -> float:
        """Mean PSNR of ``outputs``, uint8 and one per sample, by the protocol."""
        protocol = PROTOCOLS[self.protocol]
        values = [
            psnr(protocol.compared(sample.truth, self.scale), protocol.compared(output, self.scale))
            for sample, output in zip(self.samples, outputs, strict=True)
        ]
        return sum(values) / len(values)


def choose_samples(card: ModelCard, data: Path | None, *, size: tuple[int, int]) -> SampleSet:
    """Centre parts of the first pictures of the validation list, degraded as the network's inputs are.

    Args:
        card: of the network.
        data: as for `train.data.sources.locate`.
        size: of the network's input, (height, width), at most: all parts have the same one, which the smallest picture
            may limit, so that one allocation serves.

    Raises:
        DataError: fewer than three pictures, or ones that are too small for any part.
    """
    images = images_for(locate(data), "validate")
    if len(images) < COUNT:
        raise DataError(expected=f"{COUNT} pictures in {images.title}", got=str(len(images)), do="add some")
    pairs = degraded(
        replace(images, refs=images.refs[:COUNT]), card.degradation, scale=card.scale, channels=card.channels
    )
    read = [(ref.name, *ref.read()) for ref in pairs.refs]
    height, width = _part_size(card, size, [plane.shape for _, plane, _ in read])
    samples = tuple(_centre(*each, size=(height, width), scale=card.scale) for each in read)
    protocol = find_degradation(card.degradation).protocol
    return SampleSet(f"{images.title}, {height}x{width} from the centre", protocol, card.scale, samples)


def network_plane(sample: Sample, card: ModelCard) -> Array:
    """What the network itself sees, uint8 (H, W, C): enlarged first where its card says so."""
    return bicubic(sample.plane, scale=card.scale) if card.enlarged else sample.plane


def _part_size(card: ModelCard, size: tuple[int, int], shapes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """The largest multiple that the network takes and every picture has, up to ``size``."""
    wanted = [side // card.scale for side in size] if card.enlarged else list(size)
    smallest = [min(shape[axis] for shape in shapes) for axis in (0, 1)]
    sides = [min(pair) // card.multiple_of * card.multiple_of for pair in zip(wanted, smallest, strict=True)]
    if min(sides) < LEAST:
        raise DataError(
            expected=f"pictures that leave at least {LEAST}x{LEAST} after degradation",
            got=f"{smallest[0]}x{smallest[1]}",
            do="give larger ones, or a larger --size",
        )
    return sides[0], sides[1]


def _centre(name: str, plane: Array, truth: Array, *, size: tuple[int, int], scale: int) -> Sample:
    top, left = ((have - want) // 2 for have, want in zip(plane.shape, size, strict=False))
    rows, columns = (slice(start, start + side) for start, side in zip((top, left), size, strict=True))
    large = (slice(part.start * scale, part.stop * scale) for part in (rows, columns))
    return Sample(name, plane[rows, columns], truth[tuple(large)])
