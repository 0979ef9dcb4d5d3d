"""Weights that others published, brought into the zoo's form: to check an architecture, or to quantize them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from octopix.errors import ConfigError
from train import lesrcnn_checkpoint
from train.models.spec import ModelSpec
from train.torch_checkpoint import read_checkpoint
from train.weights import assign_weights, save_arrays

Array = npt.NDArray[np.float32]
Converter = Callable[[Mapping[str, Array]], dict[str, Array]]

CONVERTERS: Mapping[str, Converter] = {
    "lesrcnn_blind": lesrcnn_checkpoint.convert_blind,
    **{f"lesrcnn_x{scale}": partial(lesrcnn_checkpoint.convert, scale=scale) for scale in (2, 3, 4)},
}
"""By model or family: from published tensors to our weights."""


def import_checkpoint(path: Path, specs: Sequence[ModelSpec], out: Path) -> int:
    """Write the checkpoint's weights to ``out`` as safetensors; returns the number of values the checkpoint held.

    Args:
        path: as its authors published it.
        specs: the model, or all models of the family, that share these weights.
        out: safetensors file.

    Raises:
        ConfigError: no checkpoint of this model is known, or there is no such file.
        ModelFileError: not a checkpoint that can be read safely, or not of this model.
    """
    name = specs[0].trained_as
    if name not in CONVERTERS:
        known = ", ".join(CONVERTERS)
        raise ConfigError(expected=f"a model with a known checkpoint ({known})", got=name, do="correct --model")
    if not path.is_file():
        raise ConfigError(expected=f"a checkpoint at {path}", got="no such file", do="correct the path")
    tensors = read_checkpoint(path)
    arrays = CONVERTERS[name](tensors)
    for spec in specs:
        assign_weights(spec.build(), arrays, path.name)  # they fit
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    save_arrays(arrays, out, {"model": name, "initialisation": f"imported from {path.name}, sha256 {digest}"})
    return sum(tensor.size for tensor in tensors.values())
