"""Which files of one network are compared, and proof that they belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.artifacts import FLOAT as FLOAT_SCHEME
from benchmarks.artifacts import Artifact
from benchmarks.peers.contenders import FLOAT, NEAREST, OURS, RANGES, STOCK
from benchmarks.peers.prepared import Prepared
from octopix.card import best_int8
from octopix.errors import ConfigError, ModelFileError

PTQ = "int8-ptq-"


@dataclass(frozen=True)
class Subject:
    """What is compared: files of one network, and what belongs to them."""

    reference: Artifact
    ours: Artifact
    prepared: Prepared

    @property
    def given(self) -> Mapping[str, Path]:
        """Contender -> file that needs no conversion here."""
        return {
            FLOAT: self.reference.path,
            OURS: self.ours.path,
            NEAREST: self.prepared.nearest,
            RANGES: self.prepared.ranges,
            STOCK: self.prepared.stock,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: seconds that belong to another conversion than the file."""
        facts = self.prepared.facts
        if facts.octopix_graph_sha256 == self.ours.graph_sha256:
            return ()
        return (f"our seconds are those of {facts.scheme} as it is converted today; the file is not the same bytes",)


def subject_of(artifacts: Sequence[Artifact], prepared: Prepared) -> Subject:
    """Choose our post-training int8 by the cards' validation, and check that all files belong together.

    Raises:
        ConfigError: float32 or a post-training int8 is not there.
        ModelFileError: files of other weights or other calibration crops than the prepared ones.
    """
    floats = [each for each in artifacts if each.card.scheme == FLOAT_SCHEME]
    found = [each for each in artifacts if each.card.scheme.startswith(PTQ) and "~" not in each.card.scheme]
    if not floats or not found:
        model = artifacts[0].card.model
        schemes = f"{FLOAT_SCHEME},{prepared.facts.scheme}"
        raise ConfigError(
            expected=f"{FLOAT_SCHEME}.tflite and an {PTQ}….tflite",
            got=", ".join(each.card.scheme for each in artifacts),
            do=f"run: make quantize MODEL={model} SCHEME={schemes}",
        )
    ours = best_int8(found, lambda artifact: artifact.card)
    _check_family(floats[0], ours, prepared)
    return Subject(floats[0], ours, prepared)


def _check_family(reference: Artifact, ours: Artifact, prepared: Prepared) -> None:
    facts, calibration = prepared.facts, ours.card.calibration
    seen = (reference.card.weights_sha256, calibration.sha256 if calibration else None)
    if seen != (facts.weights_sha256, facts.calibration_sha256):
        raise ModelFileError(
            expected=f"{ours.path} of the weights and calibration crops of {prepared.stock.parent}",
            got="a file of others",
            do=f"make both again: make quantize MODEL={facts.model}, then python -m quantize stock --model …",
        )
