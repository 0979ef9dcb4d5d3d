"""From the best weights of a run to the committed file of the zoo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from train.equalization import equalize
from train.models.spec import ModelSpec
from train.weights import load_weights, save_arrays

Array = npt.NDArray[np.float32]


def publish(specs: Sequence[ModelSpec], best: Path) -> None:
    """Write ``best`` to the zoo's weights of the model or family ``specs``, equalized, with its history.

    Raises:
        ModelFileError: damaged weights, or those of another architecture.
    """
    arrays: dict[str, Array] = {}
    for spec in specs:
        model = spec.build()
        history = load_weights(model, best)
        equalize(model)
        arrays = _merged(arrays, {weight.name: weight.numpy() for weight in model.weights})
    save_arrays(arrays, specs[0].weights, history)


def _merged(first: dict[str, Array], second: dict[str, Array]) -> dict[str, Array]:
    """Both; what siblings have in common must still be the same after each was equalized."""
    unlike = [name for name in first.keys() & second.keys() if not np.array_equal(first[name], second[name])]
    if unlike:
        raise ValueError(f"siblings whose common weights {unlike} are rescaled differently")
    return first | second
