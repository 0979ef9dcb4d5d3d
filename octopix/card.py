"""ModelCard: what one needs to know to use a ``.tflite``, carried inside the file itself.

The card is UTF-8 JSON in a metadata buffer named ``octopix.card``, padded with spaces to a multiple of ``CARD_BLOCK``
bytes and put at the very end of the file. So nothing else moves when a card is rewritten, even a longer one, and
``graph_sha256``, taken over the file without that block, names the network, whatever its card says.
`quantize` writes cards with TensorFlow's schema; this module reads them with octopix's own reader.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from octopix import schema
from octopix.errors import ModelFileError, ResultError
from octopix.records import from_json, parse

Item = TypeVar("Item")

METADATA_NAME = "octopix.card"
CARD_BLOCK = 4096
CARD_VERSION = 1

# Outputs are named after model and scheme: a file from elsewhere must not choose their folder.
_FILE_NAME = re.compile(r"[A-Za-z0-9_+~-][A-Za-z0-9_+~.-]*")

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
class Fidelity:
    """How close a quantized model's output is to the float model's, where no ground truth was given."""

    image_set: str
    images: int
    fidelity: float | None
    """PSNR of one against the other in dB, over all channels of whole 8-bit outputs; None where they are identical."""


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
    degradation: str = "bicubic"
    """What the network undoes, by its name in `train.data.degradations`."""
    enlarged: bool = False
    """The network is 1:1: whoever runs it first enlarges the picture ``scale`` times by MATLAB's bicubic."""
    corrections: tuple[str, ...] = ()
    float_layers: tuple[str, ...] = ()
    """Layers of an int8 model that stayed in float, for what 8 bits cost there."""
    calibration: Calibration | None = None
    validation: Quality | None = None
    faithful: Fidelity | None = None
    """In place of ``validation``, for a model of a user's without ground truth."""
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
    def from_json(cls, text: str | bytes) -> "ModelCard":
        """Read a card back.

        Raises:
            ModelFileError: not a card, or of a version this octopix does not know.
        """
        try:
            raw = parse(text)
            version = raw["card_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise _bad_card(f"text that is no card ({error})") from error
        if version != CARD_VERSION:
            raise _bad_card(f"card version {version!r}")
        unknown = sorted(raw.keys() - {entry.name for entry in dataclasses.fields(cls)})
        if unknown:
            raise _bad_card(f"unknown fields ({', '.join(unknown)})")
        try:
            return _checked(from_json(cls, raw, where="card"))
        except ResultError as error:
            raise _bad_card(f"fields that do not fit ({error.expected}, got {error.got})") from error


def full_integer_first(found: Sequence[Item], card_of: Callable[[Item], ModelCard | None]) -> list[Item]:
    """Of int8 files those without layers in float, which a selective scheme leaves; all, where there is no such."""
    whole = [each for each in found if (card := card_of(each)) is None or not card.float_layers]
    return whole or list(found)


def best_int8(found: Sequence[Item], card_of: Callable[[Item], ModelCard | None]) -> Item:
    """Which int8 file to ship: the least drop on the validation list; files without that figure come last.

    Args:
        found: at least one; of equals the first is taken.
        card_of: a file's card, None where it has none.
    """

    def drop(each: Item) -> float:
        card = card_of(each)
        return math.inf if card is None or card.validation is None else card.validation.drop

    return min(full_integer_first(found, card_of), key=drop)


def card_block(card: ModelCard) -> bytes:
    """The card as it stands in the file: JSON padded with spaces to a multiple of ``CARD_BLOCK``."""
    text = card.to_json().encode()
    return text + b" " * (-len(text) % CARD_BLOCK)


def read_card(source: Path | bytes) -> ModelCard:
    """The card inside a ``.tflite`` file, or inside its bytes.

    Raises:
        ModelFileError: no TFLite model, a damaged one, one without a card, or with one this octopix cannot read.
    """
    card = find_card(source)
    if card is None:
        raise ModelFileError(
            expected="a .tflite that octopix's quantize wrote",
            got="a model without a card" + ("" if isinstance(source, bytes) else f" in {source}"),
            do="run it through `make quantize`, which records what the network takes and gives",
        )
    return card


def find_card(source: Path | bytes) -> ModelCard | None:
    """The card inside a ``.tflite``, or None where there is none.

    Raises:
        ModelFileError: no TFLite model, a damaged one, or one whose card this octopix cannot read.
    """
    raw = schema.read_model_bytes(source)
    with schema.naming(source):
        block = _find_block(raw)
        return None if block is None else ModelCard.from_json(raw[block.start : block.stop])


def graph_sha256(source: Path | bytes) -> str:
    """SHA-256 (hex) of a ``.tflite`` without its card's block and the number that says how long that is.

    Two files have the same one if they hold the same network, whatever their cards say. Without a card it is the
    hash of the file; putting a card in packs the file anew and so changes it once.

    Raises:
        ModelFileError: no TFLite model, or a damaged one.
    """
    raw = schema.read_model_bytes(source)
    with schema.naming(source):
        block = _find_block(raw)
    if block is None:
        return hashlib.sha256(raw).hexdigest()
    view = memoryview(raw)
    digest = hashlib.sha256(view[: block.start - block.prefix])
    digest.update(view[block.stop :])
    return digest.hexdigest()


def file_sha256(source: Path | bytes) -> str:
    """SHA-256 (hex) of all bytes of a model file, to guard a transfer.

    Raises:
        ModelFileError: the file cannot be read.
    """
    return hashlib.sha256(schema.read_model_bytes(source)).hexdigest()


def _find_block(raw: bytes) -> schema.Block | None:
    blocks = [block for name, block in schema.metadata(schema.root(raw)) if name == METADATA_NAME]
    if not blocks:
        return None
    if len(blocks) > 1 or blocks[0] is None:
        raise _bad_card(f"{len(blocks)} entries of that name, or an empty one")
    return blocks[0]


def _checked(card: ModelCard) -> ModelCard:
    """The card, if its users can rely on it: what they divide by is a count, what they name files by is a name."""
    counts = {"scale": card.scale, "multiple_of": card.multiple_of, "receptive_field": card.receptive_field}
    names = {"model": card.model, "scheme": card.scheme}
    wrong = [f"{name} {value!r}" for name, value in counts.items() if value < 1]
    wrong += [f"{name} {value!r}" for name, value in names.items() if not _FILE_NAME.fullmatch(value)]
    if wrong:
        raise _bad_card(", ".join(wrong))
    return card


def _bad_card(got: str) -> ModelFileError:
    return ModelFileError(
        expected=f"an octopix model card of version {CARD_VERSION}",
        got=got,
        do="write the model again with this version's `make quantize`, or update octopix",
    )
