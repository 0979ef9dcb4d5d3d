"""Pictures that come with a user's own model: a folder of network inputs, and perhaps one of ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.artifacts import Artifact
from octopix.errors import ConfigError, DataError
from octopix.protocols import PROTOCOLS, Protocol
from train.data.degradations import DEGRADATIONS, Pair, PairRef, PairSet
from train.data.holding import HELD_BACK, held_back
from train.data.pairs import paired_folders
from train.data.sources import ImageRef, file_ref, image_files


@dataclass(frozen=True)
class Own:
    """What a user's pictures are measured as."""

    images: PairSet
    """Without ground truth each picture stands in for its own, and is not compared with."""
    with_truth: bool
    protocol: Protocol
    notes: tuple[str, ...]


def own_images(artifacts: Sequence[Artifact], inputs: Path | None, reference: Path | None) -> Own | None:
    """The pictures of ``inputs``, with their twins in ``reference``; None where no folder is given nor needed.

    Of the folder that the ranges were read from, only the quarter that was held back then.

    Args:
        artifacts: of one model.
        inputs: what the network meets.
        reference: ground truth under the same names (suffixes may differ), ``scale`` times as large.

    Raises:
        ConfigError: a reference without inputs, or neither for a model whose task is not known.
        DataError: no pictures there, or some without a twin.
    """
    card = artifacts[0].card
    if inputs is None:
        _check_none(card.model, card.degradation, reference)
        return None
    for name, folder in (("--inputs", inputs), ("--reference", reference)):
        if folder is not None and not folder.is_dir():
            raise DataError(expected=f"a folder for {name}", got=f"{folder}, which is none", do="correct the path")
    refs = _alone(inputs) if reference is None else paired_folders(reference, inputs, scale=card.scale)
    title, notes = f"folder {inputs.resolve().name}", []
    if _calibrated_on(artifacts, inputs) and len(refs) >= HELD_BACK:
        refs, title = held_back(refs)[1], f"{title}, the quarter held back from calibration"
        notes.append("the int8 files were judged on these pictures when they were made; others would be a fairer test")
    if reference is None:
        notes.append("no ground truth was given, so the figures are fidelity to float32 alone")
    return Own(
        images=PairSet(inputs.resolve().name, title, refs),
        with_truth=reference is not None,
        protocol=PROTOCOLS["y" if card.scale > 1 and reference is not None else "rgb"],
        notes=tuple(notes),
    )


def _check_none(model: str, degradation: str, reference: Path | None) -> None:
    if reference is not None:
        raise ConfigError(
            expected="--inputs with --reference", got="the reference alone", do="name the folder of network inputs"
        )
    if degradation not in DEGRADATIONS:
        raise ConfigError(
            expected=f"pictures for {model}, as nobody but you knows what it mends",
            got="no --inputs",
            do="give --inputs FOLDER, and --reference FOLDER if there is ground truth",
        )


def _calibrated_on(artifacts: Sequence[Artifact], inputs: Path) -> bool:
    calibrations = [artifact.card.calibration for artifact in artifacts]
    return any(found is not None and found.source == inputs.resolve().name for found in calibrations)


def _alone(inputs: Path) -> tuple[PairRef, ...]:
    files = image_files(inputs)
    if not files:
        raise DataError(expected=f"images in {inputs}", got="none", do="correct --inputs")
    return tuple(_standing_in(file_ref(path, inputs)) for path in files)


def _standing_in(ref: ImageRef) -> PairRef:
    def read() -> Pair:
        with ref.named():
            picture = ref.read()
        return picture, picture

    return PairRef(ref.name, read)
