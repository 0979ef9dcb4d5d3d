"""Training that starts from weights that others learned: another model of the zoo, or ImageNet's ResNet-50."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from octopix.errors import ConfigError, DataError
from train.collapsible import CollapsibleConv2D
from train.forms import Models, collapsed, layers
from train.models import find_family
from train.weights import read_weights, weights_sha256

Array = npt.NDArray[np.float32]


IMAGENET = "imagenet"
"""The name that stands for ImageNet's weights of ResNet-50 in a recipe."""


def started(models: Models, name: str) -> str:
    """Fill what fits from what a recipe calls its start; says in words what was filled.

    Raises:
        ConfigError: unknown, not trained yet, or nothing fits.
        ModelFileError: a damaged file.
    """
    return start_from_imagenet(models) if name == IMAGENET else start_from_zoo(models, name)


def start_from_imagenet(models: Models) -> str:
    """Fill the encoder of `train.models.resnet50`; without a network it stays random, and the answer says so.

    Raises:
        ConfigError: no layer in common.
    """
    from train.imagenet import imagenet_weights

    try:
        arrays = imagenet_weights()
    except DataError as error:
        return f"nothing from ImageNet, the weights stay random: {error.got}"
    filled = start_from(models, arrays, "ImageNet's ResNet-50")
    return f"{filled} of {len(collapsed(models))} variables from ImageNet's ResNet-50 of tf_keras.applications"


def start_from_zoo(models: Models, name: str) -> str:
    """Fill what fits from the committed weights of the model or family ``name``; says in words what was filled.

    Raises:
        ConfigError: unknown, not trained yet, or nothing fits.
        ModelFileError: a damaged file.
    """
    path = find_family(name)[0].weights
    arrays, _ = read_weights(path)
    filled = start_from(models, arrays, path.name)
    return f"{filled} of {len(collapsed(models))} variables from {name}, sha256 {weights_sha256(path)[:16]}"


def start_from(models: Models, arrays: Mapping[str, Array], source: str) -> int:
    """Fill every variable for which ``arrays`` has one of the same name and, deployed, the same shape.

    Returns:
        How many of the deployable networks' variables were filled.

    Raises:
        ConfigError: none, or a richer form that cannot express them.
    """
    filled: set[str] = set()
    for layer in layers(models):
        if isinstance(layer, CollapsibleConv2D):
            filled |= layer.start_from(arrays)
            continue
        for weight in layer.weights:
            if weight.name in arrays and arrays[weight.name].shape == tuple(weight.shape):
                weight.assign(arrays[weight.name])
                filled.add(weight.name)
    if not filled:
        raise ConfigError(
            expected=f"weights to start from that have variables in common with {models[0].name}",
            got=f"{source}, which has none",
            do="correct `start` of the recipe, or leave it out",
        )
    return len(filled)
