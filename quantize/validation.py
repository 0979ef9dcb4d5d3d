"""What a scheme costs in dB on the validation list: the figure in the card, and what choices are made by.

By the protocol of the model's degradation (`octopix.protocols`); inputs and outputs are rounded to 8 bits. Test images
are never opened here.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from octopix.card import Quality
from octopix.errors import DataError
from octopix.images import Array
from octopix.metrics import psnr
from octopix.protocols import PROTOCOLS, Protocol
from octopix.restore import Restorer, plane_bytes
from train.data.degradations import find_degradation
from train.data.sources import ImageSet
from train.models.spec import ModelSpec
from train.pipeline import load_pictures

SIDE = 128
"""Pixels a side of the crops that stand for whole pictures where many models are judged."""


@dataclass(frozen=True)
class Validation:
    """Pairs of the validation list, and what the float model makes of them."""

    image_set: str
    scale: int
    protocol: Protocol
    pairs: tuple[tuple[Array, Array], ...]
    """(picture to restore, ground truth), uint8 (h, w, C) in the network's channels; only the pictures that count."""
    float_outputs: tuple[Array, ...]
    """The planes that are compared, uint8."""

    @property
    def psnr_float(self) -> float:
        """The float model's mean over the images, dB."""
        return self.psnr(self.float_outputs)

    def cropped(self, multiple_of: int, float_model: bytes) -> "Validation":
        """The middle of every picture, `SIDE` pixels a side of the network's or less.

        Args:
            multiple_of: the network's.
            float_model: float32 ``.tflite`` with a card.

        Raises:
            DataError: no middle has detail.
        """
        pairs = [middle(pair, self.scale, multiple_of) for pair in self.pairs]
        return validation_of(self.image_set, pairs, self.scale, self.protocol, float_model)

    def psnr(self, outputs: Sequence[Array]) -> float:
        """Mean over the images of outputs against ground truth, dB.

        Raises:
            DataError: an output equals its ground truth, though the float model's did not.
        """
        truths = (self.protocol.compared(truth, self.scale) for _, truth in self.pairs)
        mean = statistics.fmean(psnr(truth, output) for truth, output in zip(truths, outputs, strict=True))
        if math.isinf(mean):
            raise _no_detail(self.image_set)
        return mean

    def quality(self, model: bytes, *, watch: Callable[[int], None] | None = None) -> Quality:
        """PSNR, drop and fidelity of a model with a card."""
        outputs = run(model, self.pairs, self.protocol, watch=watch)
        return Quality(
            image_set=self.image_set,
            images=len(self.pairs),
            protocol=self.protocol.name,
            psnr_float=self.psnr_float,
            psnr=self.psnr(outputs),
            fidelity=fidelity(outputs, self.float_outputs),
        )


def middle(pair: tuple[Array, Array], scale: int, multiple_of: int) -> tuple[Array, Array]:
    """The middle of a picture and the same part of its ground truth, ``scale`` times as large.

    Args:
        pair: uint8 (h, w, C) each.
        scale: of the second over the first.
        multiple_of: what the crop's sides are multiples of.
    """
    poor, good = pair
    sides = [min(SIDE, length) // multiple_of * multiple_of for length in poor.shape[:2]]
    top, left = ((length - side) // 2 for length, side in zip(poor.shape[:2], sides, strict=True))
    height, width = sides
    rows, columns = (slice(scale * start, scale * (start + side)) for start, side in ((top, height), (left, width)))
    return poor[top : top + height, left : left + width], good[rows, columns]


def fidelity(outputs: Sequence[Array], float_outputs: Sequence[Array]) -> float | None:
    """Mean PSNR, dB, of uint8 outputs against the float model's, over those that differ; None where none does."""
    decibels = [psnr(theirs, ours) for ours, theirs in zip(outputs, float_outputs, strict=True)]
    differing = [value for value in decibels if math.isfinite(value)]
    return statistics.fmean(differing) if differing else None


def validation_on(images: ImageSet, spec: ModelSpec, float_model: bytes) -> Validation:
    """Prepare the pairs, run the float model once, and fix which pictures count, for every model the same.

    Flat pictures tell nothing about an upscaler, yet their PSNR (60 dB and more, or infinite) would outweigh the
    photographs' in any mean.

    Args:
        images: the validation list.
        spec: the model's.
        float_model: float32 ``.tflite`` with a card.

    Raises:
        DataError: no picture counts.
    """
    protocol = PROTOCOLS[find_degradation(spec.degradation).protocol]
    return validation_of(images.name, load_pictures(spec, images), spec.scale, protocol, float_model)


def validation_of(
    name: str, pairs: Sequence[tuple[Array, Array]], scale: int, protocol: Protocol, float_model: bytes
) -> Validation:
    """`validation_on` of pictures in memory, (picture to restore, ground truth), in the network's channels."""
    outputs = run(float_model, pairs, protocol)
    counted = [
        (pair, output)
        for pair, output in zip(pairs, outputs, strict=True)
        if _counts(protocol.compared(pair[1], scale), output)
    ]
    if not counted:
        raise _no_detail(name)
    return Validation(
        image_set=name,
        scale=scale,
        protocol=protocol,
        pairs=tuple(pair for pair, _ in counted),
        float_outputs=tuple(output for _, output in counted),
    )


def run(
    model: bytes,
    pairs: Sequence[tuple[Array, Array]],
    protocol: Protocol,
    *,
    watch: Callable[[int], None] | None = None,
) -> list[Array]:
    """Outputs as they are compared: the planes of the protocol, uint8, borders shaved."""
    restorer = Restorer(model, threads=1, tile="none")  # tiles change what `dynamic` models compute
    outputs = []
    for done, (image, _) in enumerate(pairs, start=1):
        outputs.append(protocol.compared(plane_bytes(restorer.run_plane(image)), restorer.card.scale))
        if watch is not None:
            watch(done)
    return outputs


def _counts(wanted: Array, float_output: Array) -> bool:
    """Whether there is detail to restore, and the float model's PSNR is finite."""
    return bool(wanted.min() < wanted.max()) and not np.array_equal(wanted, float_output)


def _no_detail(image_set: str) -> DataError:
    return DataError(
        expected=f"validation photographs with detail in {image_set}",
        got="pictures that are flat or restored exactly",
        do="validate on images like those the model will meet",
    )
