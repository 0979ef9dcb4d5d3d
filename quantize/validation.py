"""What a scheme costs in dB on the validation list: the figure in the card, and what choices are made by.

Protocol ``y``: network input is LR luma rounded to 8 bits; the output is rounded to 8 bits, shaved by the scale and
compared with the luma of the ground truth. Test images are never opened here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from octopix.card import Quality
from octopix.errors import DataError
from octopix.images import Array, luma_bytes, shave
from octopix.metrics import psnr
from octopix.restore import Restorer, plane_bytes
from train.data.degradations import network_pair
from train.data.sources import ImageSet
from train.models.spec import ModelSpec

PROTOCOL = "y"


@dataclass(frozen=True)
class Validation:
    """Pairs of the validation list, and what the float model makes of them."""

    image_set: str
    scale: int
    pairs: tuple[tuple[Array, Array], ...]
    """(input, ground truth), uint8 (h, w, C) in the network's channels."""
    float_outputs: tuple[Array, ...]
    """uint8 (H, W) luma, shaved."""

    @property
    def psnr_float(self) -> float:
        """The float model's mean over the images, dB."""
        return self.psnr(self.float_outputs)

    def psnr(self, outputs: Sequence[Array]) -> float:
        """Mean over the images of outputs against ground truth, dB.

        Raises:
            DataError: every output equals its ground truth, as flat pictures do.
        """
        truths = (_comparable(truth, self.scale) for _, truth in self.pairs)
        mean = _mean([psnr(truth, output) for truth, output in zip(truths, outputs, strict=True)])
        if mean is None:
            raise DataError(
                expected=f"validation photographs with detail in {self.image_set}",
                got="pictures that any model restores exactly",
                do="validate on images like those the model will meet",
            )
        return mean

    def quality(self, model: bytes, *, watch: Callable[[int], None] | None = None) -> Quality:
        """PSNR, drop and fidelity of a model with a card."""
        outputs = run(model, self.pairs, self.scale, watch=watch)
        fidelity = _mean([psnr(theirs, ours) for ours, theirs in zip(outputs, self.float_outputs, strict=True)])
        return Quality(
            image_set=self.image_set,
            images=len(self.pairs),
            protocol=PROTOCOL,
            psnr_float=self.psnr_float,
            psnr=self.psnr(outputs),
            fidelity=fidelity,
        )


def validation_on(images: ImageSet, spec: ModelSpec, float_model: bytes) -> Validation:
    """Prepare the pairs and run the float model once.

    Args:
        images: the validation list.
        spec: the model's.
        float_model: float32 ``.tflite`` with a card.
    """
    pairs = tuple(network_pair(ref.read(), scale=spec.scale, channels=spec.channels) for ref in images.refs)
    return Validation(images.name, spec.scale, pairs, tuple(run(float_model, pairs, spec.scale)))


def run(
    model: bytes, pairs: Sequence[tuple[Array, Array]], scale: int, *, watch: Callable[[int], None] | None = None
) -> list[Array]:
    """Outputs as they are compared: uint8 luma (H, W), shaved by the scale."""
    restorer = Restorer(model, threads=1)
    outputs = []
    for done, (image, _) in enumerate(pairs, start=1):
        outputs.append(_comparable(plane_bytes(restorer.run_plane(image)), scale))
        if watch is not None:
            watch(done)
    return outputs


def _comparable(image: Array, scale: int) -> Array:
    return shave(luma_bytes(image), scale)


def _mean(decibels: Sequence[float]) -> float | None:
    """Unweighted mean over the images that differ (identical ones have no finite PSNR); None if none does."""
    finite = [value for value in decibels if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None
