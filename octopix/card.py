"""ModelCard: what one needs to know to use a ``.tflite``, carried inside the file itself.

The card is UTF-8 JSON in a metadata buffer named ``octopix.card``. It is padded with spaces to a
multiple of ``CARD_BLOCK`` bytes, so that a card can be rewritten in place, and ``graph_sha256`` can be taken
over the file with that block blanked: the hash names the network, whatever its card says.
`quantize` writes cards with TensorFlow's schema; this module reads them with octopix's own reader.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from octopix.errors import ModelFileError

METADATA_NAME = "octopix.card"
CARD_BLOCK = 4096
CARD_VERSION = 1

Channels = Literal["y", "rgb"]
Task = Literal["super-resolution", "enhancement"]


@dataclass(frozen=True)
class Calibration:
    """The images the activation ranges were read from."""

    calibrator: str
    images: int
    sha256: str
    """SHA-256 over the raw calibration tensors in order."""
    source: str
    """Name of the committed list, or of the user's folder."""


@dataclass(frozen=True)
class Quality:
    """PSNR in dB of the float and of the quantized model, both outputs rounded to 8 bits first."""

    image_set: str
    images: int
    protocol: str
    psnr_float: float
    psnr: float
    fidelity: float | None
    """PSNR of this model's output against the float model's; None where they are identical."""

    @property
    def drop(self) -> float:
        """dB lost against float; positive is a loss."""
        return self.psnr_float - self.psnr


@dataclass(frozen=True)
class ModelCard:
    """What a ``.tflite`` needs to be used.

    ``value_range`` is that of the *float* network's input and output; full-integer models carry the
    exact mapping (scale 1/255, zero point 0) in their tensors.
    """

    model: str
    scheme: str
    task: Task
    scale: int
    channels: Channels
    multiple_of: int
    receptive_field: int
    """Input pixels, in one dimension, that one output pixel depends on."""
    value_range: tuple[float, float] = (0.0, 1.0)
    corrections: tuple[str, ...] = ()
    calibration: Calibration | None = None
    validation: Quality | None = None
    weights_sha256: str | None = None
    training: str | None = None
    """Recipe and initialisation the float weights come from, in one line."""
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    """ISO date."""
    card_version: int = CARD_VERSION

    def to_json(self) -> str:
        """One line of strict JSON."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelCard":
        """Read a card back.

        Raises:
            ModelFileError: not a card, or of a version this octopix does not know.
        """
        try:
            raw = json.loads(text)
            version = raw["card_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise _bad_card(f"text that is no card ({error})") from error
        if version != CARD_VERSION:
            raise _bad_card(f"card version {version}")
        try:
            return cls(**_nested(raw))
        except TypeError as error:
            raise _bad_card(f"fields that do not fit ({error})") from error


def card_block(card: ModelCard) -> bytes:
    """The card as it stands in the file: JSON padded with spaces to a multiple of ``CARD_BLOCK``."""
    text = card.to_json().encode()
    return text + b" " * (-len(text) % CARD_BLOCK)


def _nested(raw: dict[str, Any]) -> dict[str, Any]:
    calibration, validation = raw["calibration"], raw["validation"]
    return raw | {
        "value_range": tuple(raw["value_range"]),
        "corrections": tuple(raw["corrections"]),
        "calibration": None if calibration is None else Calibration(**calibration),
        "validation": None if validation is None else Quality(**validation),
    }


def _bad_card(got: str) -> ModelFileError:
    return ModelFileError(
        expected=f"an octopix model card of version {CARD_VERSION}",
        got=got,
        do="write the model again with this version's `make quantize`, or update octopix",
    )
