"""Which layers int8 costs most in: what `quantize` left as ``sensitivity.json`` beside the artifacts, as a table."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.columns import fixed
from octopix.errors import ResultError
from octopix.records import from_json, parse

SENSITIVITY = "sensitivity.json"
VERSION = 1


@dataclass(frozen=True)
class Layer:
    """One layer; None where it was not tried."""

    name: str
    operator: str
    macs: int
    alone_drop_db: float | None = None
    """Drop where only this layer is quantized."""
    left_out_gain_db: float | None = None
    """What is won where this layer alone stays float."""


@dataclass(frozen=True)
class Sensitivity:
    """The layers of one model, in order of execution."""

    version: int
    model: str
    scheme: str
    images: int
    protocol: str
    base_psnr_db: float | None
    """Of the int8 model with all layers quantized, against what the drops are against."""
    layers: tuple[Layer, ...]
    image_set: str = ""
    float_sha256: str = ""
    """Graph of the float32 file that the layers are those of."""


def read_sensitivity(path: Path) -> Sensitivity | None:
    """The layers that stand in ``path``; None where there is no such file.

    Raises:
        ResultError: damaged, of another version, or without a layer.
    """
    if not path.exists():
        return None
    try:
        raw = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _misfit(path, str(error)) from error
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise _misfit(path, f"version {version!r}")
    found = from_json(Sensitivity, raw, where=path.name)
    if not found.layers:
        raise _misfit(path, "no layer")
    return found


def _misfit(path: Path, got: str) -> ResultError:
    return ResultError(
        expected=f"the sensitivity of layers, version {VERSION}, in {path}",
        got=got,
        do="run: python -m quantize sensitivity again, or delete the file",
    )


def layer_cells(found: Sensitivity) -> tuple[tuple[str, ...], ...]:
    """Name, operator, MACs, share, drop alone and gain left out of every layer, as texts."""
    total = sum(layer.macs for layer in found.layers) or 1
    return tuple(
        (
            layer.name,
            layer.operator,
            fixed(layer.macs / 1e6, 1),
            fixed(100 * layer.macs / total, 1),
            fixed(layer.alone_drop_db, 4),
            fixed(layer.left_out_gain_db, 4),
        )
        for layer in found.layers
    )
