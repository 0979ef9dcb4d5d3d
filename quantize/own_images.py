"""Images that come with a user's model: a folder of network inputs, and perhaps one of ground truth.

Every fourth picture, by name, is held back: it validates, the others calibrate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from octopix.card import Channels, Fidelity
from octopix.errors import DataError
from octopix.images import Array
from octopix.protocols import PROTOCOLS, Protocol
from quantize.calibration_set import CalibrationSet, cut_from
from quantize.validation import Validation, fidelity, middle, run, validation_of
from train.data.degradations import as_channels
from train.data.holding import HELD_BACK, held_back
from train.data.pairs import paired_folders
from train.data.sources import file_ref, image_files
from train.models.spec import ModelSpec

USUAL = 48
"""Sides in pixels that are always enough; smaller pictures serve where they hold the receptive field."""


@dataclass(frozen=True)
class Faithfulness:
    """What the float model makes of pictures without ground truth: what its relatives are measured against."""

    image_set: str
    pairs: tuple[tuple[Array, Array], ...]
    """Each picture, uint8 (h, w, C), twice."""
    float_outputs: tuple[Array, ...]
    protocol: Protocol

    def cropped(self, multiple_of: int, float_model: bytes) -> "Faithfulness":
        """The middle of every picture; see `quantize.validation.Validation.cropped`."""
        middles = [middle(pair, 1, multiple_of)[0] for pair in self.pairs]
        pairs = tuple((each, each) for each in middles)
        return Faithfulness(self.image_set, pairs, tuple(run(float_model, pairs, self.protocol)), self.protocol)

    def quality(self, model: bytes, *, watch: Callable[[int], None] | None = None) -> Fidelity:
        """How close a model with a card comes to the float model."""
        outputs = run(model, self.pairs, self.protocol, watch=watch)
        return Fidelity(self.image_set, len(self.pairs), fidelity(outputs, self.float_outputs))


@dataclass(frozen=True)
class OwnImages:
    """A calibration folder and what may stand beside it, in memory, in the network's channels."""

    name: str
    """The folder's."""
    calibrate: tuple[Array, ...]
    """uint8 (h, w, C), as the network meets them."""
    validate: tuple[Array, ...]
    truths: tuple[Array, ...] | None
    """Ground truth of ``validate``; None where there is none."""

    def crops(self, spec: ModelSpec, receptive_field: int) -> CalibrationSet:
        """Crops that ranges come from.

        Raises:
            DataError: pictures that are too small for the network, or flat.
        """
        largest, least = max(min(each.shape[:2]) for each in self.calibrate), min(receptive_field, USUAL)
        if largest < least:
            raise DataError(
                expected=f"calibration images of at least {least} pixels a side, what the network looks at",
                got=f"{largest} pixels in the largest",
                do="calibrate on larger images",
            )
        return cut_from(
            self.calibrate, self.name, self.name, multiple_of=spec.multiple_of, receptive_field=receptive_field
        )

    def validation(self, spec: ModelSpec, float_model: bytes) -> Validation | Faithfulness:
        """The held-back pictures and the float model's outputs.

        With ground truth by the protocol of the zoo's models of the same task; without, over all there is.
        """
        name = f"{self.name}-validate"
        if self.truths is not None:
            protocol = PROTOCOLS["y" if spec.task == "super-resolution" else "rgb"]
            return validation_of(
                name, tuple(zip(self.validate, self.truths, strict=True)), spec.scale, protocol, float_model
            )
        protocol, pairs = PROTOCOLS["rgb"], tuple((each, each) for each in self.validate)
        return Faithfulness(name, pairs, tuple(run(float_model, pairs, protocol)), protocol)


def read_own(
    calibration: Path, reference: Path | None, *, channels: Channels, scale: int, few: int | None
) -> OwnImages:
    """Read both folders.

    Args:
        calibration: network inputs.
        reference: ground truth under the same names, ``scale`` times as large.
        channels: the network's.
        scale: output over input.
        few: validate on at most so many pictures.

    Raises:
        DataError: too few pictures; names or sizes that do not fit.
        ImageError: a damaged picture; the message names it.
    """
    if reference is None:
        given = [_read(path, calibration, channels) for path in image_files(calibration)]
        truths: list[Array] | None = None
    else:
        pairs = [ref.read() for ref in paired_folders(reference, calibration, scale=scale)]
        given = [as_channels(poor, channels) for poor, _ in pairs]
        truths = [as_channels(good, channels) for _, good in pairs]
    if len(given) < HELD_BACK:
        raise DataError(
            expected=f"at least {HELD_BACK} images in {calibration}, of which a quarter is held back for validation",
            got=str(len(given)),
            do="add images like those the network will meet",
        )
    calibrate, validate = held_back(given)
    return OwnImages(
        name=calibration.resolve().name,
        calibrate=calibrate,
        validate=validate[:few],
        truths=None if truths is None else held_back(truths)[1][:few],
    )


def _read(path: Path, root: Path, channels: Channels) -> Array:
    ref = file_ref(path, root)
    with ref.named():
        return as_channels(ref.read(), channels)
