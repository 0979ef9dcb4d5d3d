"""What ``python -m quantize stock`` left: the crops, models without corrections, and how long conversions took."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octopix.errors import ConfigError, ResultError
from octopix.images import Array, to_unit
from octopix.records import from_json, parse

VERSION = 3
MODEL, NEAREST, RANGES = "stock.tflite", "nearest.tflite", "ranges.tflite"
CROPS, FACTS = "calibration.npz", "prepared.json"


@dataclass(frozen=True)
class Facts:
    """``prepared.json``; see `quantize.stock.Prepared`."""

    octopix_prepared: int
    model: str
    scheme: str
    octopix_seconds: float
    nearest_seconds: float
    ranges_seconds: float
    stock_seconds: float
    octopix_graph_sha256: str
    calibration_sha256: str
    created: str
    weights_sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """The files of a model."""

    facts: Facts
    crops: Array
    """uint8 (N, side, side, C)."""
    crops_path: Path
    stock: Path
    nearest: Path
    """Ours without adaptive rounding."""
    ranges: Path
    """Ours without corrections."""


def read_prepared(folder: Path, model: str) -> Prepared:
    """Read and check ``folder/model``.

    Raises:
        ConfigError: nothing there; the message names the command that makes it.
        ResultError: damaged, of another version or another model, or crops that are not those of the facts.
    """
    place = folder / model
    if not (place / FACTS).is_file():
        raise ConfigError(
            expected=f"{FACTS}, {CROPS}, {MODEL}, {NEAREST} and {RANGES} in {place}",
            got="none",
            do=f"run: python -m quantize stock --model {model} --out {folder}",
        )
    try:
        raw = parse((place / FACTS).read_bytes())
        with np.load(place / CROPS) as stored:
            crops = stored["crops"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _unusable(place, str(error), model) from error
    facts = from_json(Facts, raw, where=FACTS)
    if (facts.octopix_prepared, facts.model) != (VERSION, model):
        raise _unusable(place, f"version {facts.octopix_prepared} for {facts.model}", model)
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops_sha256(crops) != facts.calibration_sha256:
        raise _unusable(place, f"crops {crops.dtype} {crops.shape} that the facts do not know", model)
    return Prepared(facts, crops, *(place / name for name in (CROPS, MODEL, NEAREST, RANGES)))


def crops_sha256(crops: Array) -> str:
    """As cards have it: over the float32 tensors that a network sees, in order."""
    digest = hashlib.sha256()
    for crop in crops:
        digest.update(to_unit(crop).tobytes())
    return digest.hexdigest()


def _unusable(place: Path, got: str, model: str) -> ResultError:
    return ResultError(
        expected=f"what `python -m quantize stock` writes, version {VERSION}, for {model} in {place}",
        got=got,
        do=f"run: python -m quantize stock --model {model} --out {place.parent}",
    )
