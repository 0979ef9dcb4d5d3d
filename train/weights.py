"""Float weights as safetensors: names, arrays and a few words of history, and no code to execute on loading."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from octopix.errors import ConfigError, ModelFileError
from octopix.files import write_bytes
from train.models import MODELS, find_family

if TYPE_CHECKING:
    import tf_keras


def save_weights(model: "tf_keras.Model", path: Path, history: Mapping[str, str]) -> None:
    """Write every weight under its variable's name (``features/kernel:0``), with ``history`` as metadata."""
    save_arrays({weight.name: np.asarray(weight.numpy(), np.float32) for weight in model.weights}, path, history)


def save_arrays(arrays: Mapping[str, np.ndarray], path: Path, history: Mapping[str, str]) -> None:
    """Write weights by name; what was there before stays until the new file is whole.

    Raises:
        OctopixError: it cannot be written, for instance because the disk is full.
    """
    write_bytes(path, save(dict(arrays), metadata=dict(history)))


def load_weights(model: "tf_keras.Model", path: Path) -> dict[str, str]:
    """Fill ``model`` from ``path`` and return the metadata.

    Raises:
        ConfigError: no such file.
        ModelFileError: damaged, or of another architecture; the message names the first weight that does not fit.
    """
    arrays, history = read_weights(path)
    assign_weights(model, arrays, path.name)
    return history


def assign_weights(model: "tf_keras.Model", arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Fill ``model`` with ``arrays``, which must be its weights by name, neither fewer nor more.

    What belongs to the siblings of a model of a family, which share its file, may stand there too.

    Raises:
        ModelFileError: see `load_weights`.
    """
    expected = {weight.name: tuple(weight.shape) for weight in model.weights}
    found = {name: array.shape for name, array in arrays.items()}
    if found.keys() > expected.keys():
        found = {name: shape for name, shape in found.items() if name in expected or name not in _siblings(model.name)}
    if expected != found:
        name = min(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise ModelFileError(
            expected=f"weights of {model.name}, {name} of shape {expected.get(name)}",
            got=f"{source}, {name} of shape {found.get(name)}",
            do="use the weights of this architecture, or train it again",
        )
    for weight in model.weights:
        weight.assign(arrays[weight.name])


@cache
def _siblings(name: str) -> frozenset[str]:
    """Names of all weights of the zoo's models that share a file with the model ``name``, if it is one of these."""
    family = find_family(name) if name in MODELS else ()
    return frozenset(weight.name for spec in family for weight in spec.build().weights)


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays, float32 even where the file stores float16, and metadata of a weights file."""
    if not path.is_file():
        raise ConfigError(
            expected=f"float weights at {path.name}",
            got="no such file",
            do=f"train them first: make train MODEL={path.stem}",
        )
    try:
        with safe_open(path, "numpy") as file:
            names = file.keys()
            arrays = {name: np.asarray(file.get_tensor(name), np.float32) for name in names}
            return arrays, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            expected=f"a whole safetensors file at {path.name}", got=str(error), do="restore it, or train again"
        ) from error


def describe_training(history: Mapping[str, str]) -> str:
    """Where weights come from, in one line for a model card."""
    recipe = json.loads(history.get("recipe", "{}"))
    seed = f"seed {recipe['seed']}, " if "seed" in recipe else ""
    steps = f", step {history['step']}, validation {history['validation_psnr']} dB" if "step" in history else ""
    images = f", images: {history['images']}" if "images" in history else ""
    return f"{seed}initialisation {history.get('initialisation', 'unknown')}{steps}{images}"


def weights_sha256(path: Path) -> str:
    """SHA-256 over names, types, shapes and values by name: what a model card records of its float weights.

    Not over the file's bytes: safetensors writes its metadata in another order each time.
    """
    digest = hashlib.sha256()
    for name, array in sorted(read_weights(path)[0].items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
