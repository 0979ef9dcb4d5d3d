"""``python -m train --list``: what the zoo holds."""

import argparse
import json
from pathlib import Path
from typing import Any

from octopix.errors import ConfigError
from train.models import MODELS
from train.models.spec import ModelSpec
from train.quiet import native_noise_dropped
from train.recipe import read_recipe
from train.weights import read_weights, weights_sha256

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "benchmarks" / "results" / "zoo.json"
"""What `python -m benchmarks` measured of the committed weights on test sets."""

MACS = ROOT / "train" / "models" / "macs.json"
"""By model: `train.complexity.macs_per_output_megapixel`. Building every network takes a minute, so it was done once;
a model that is not there is built."""


def run(options: argparse.Namespace) -> list[str]:
    """One line a model, or JSON.

    Raises:
        ConfigError: damaged figures, or a recipe that cannot be read.
        ModelFileError: damaged weights.
    """
    if options.json:
        figures, macs = _figures(), _read(MACS)
        return [json.dumps([_row(spec, figures, macs) for spec in MODELS.values()], indent=2)]
    return [_line(spec) for spec in MODELS.values()]


def _line(spec: ModelSpec) -> str:
    state = _place(spec.weights) if spec.weights.exists() else f"untrained: make train MODEL={spec.trained_as}"
    return f"{spec.name:<16} {spec.parameters:>10,} parameters   {state}"


def _row(spec: ModelSpec, figures: dict[str, Any], macs: dict[str, int]) -> dict[str, Any]:
    trained = spec.weights.exists()
    return {
        "name": spec.name,
        "title": spec.title,
        "task": spec.task,
        "scale": spec.scale,
        "channels": spec.channels,
        "degradation": spec.degradation,
        "enlarged": spec.enlarged,
        "multiple_of": spec.multiple_of,
        "parameters": spec.parameters,
        "macs_per_output_megapixel": macs.get(spec.name) or _macs(spec),
        "recipe": _place(spec.recipe),
        "weights": _place(spec.weights) if trained else None,
        "initialisation": _initialisation(spec),
        "float": _of_these_weights(spec, figures.get(spec.name)) if trained else None,
    }


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


def _macs(spec: ModelSpec) -> int:
    with native_noise_dropped():
        from train.complexity import macs_per_output_megapixel

        return macs_per_output_megapixel(spec)


def _initialisation(spec: ModelSpec) -> str:
    """That of the committed weights, or the one the recipe promises."""
    if spec.weights.exists():
        return read_weights(spec.weights)[1].get("initialisation", "unknown")
    recipe = read_recipe(spec.recipe, model=spec.trained_as)
    return f"{recipe.initialisation}; starts from {recipe.start}" if recipe.start else recipe.initialisation


def _of_these_weights(spec: ModelSpec, entry: Any) -> dict[str, Any] | None:
    """Test set -> protocol, PSNR (dB) and SSIM; None where they were not measured, or of other weights."""
    if entry is None or entry.get("weights_sha256") not in (None, weights_sha256(spec.weights)):
        return None
    wanted = ("protocol", "psnr", "ssim")
    try:
        return {name: {key: found[key] for key in wanted} for name, found in entry["float32"].items()}
    except (KeyError, TypeError) as error:
        raise _damaged(FIGURES, error) from error


def _figures() -> dict[str, Any]:
    try:
        found = _read(FIGURES)["models"] if FIGURES.exists() else {}
        return dict(found)
    except (KeyError, TypeError) as error:
        raise _damaged(FIGURES, error) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ConfigError:
    return ConfigError(expected=f"figures by model in {path.name}", got=str(error), do="restore the file")
