"""From the best weights of a run to the committed file of the zoo."""

from pathlib import Path

from train.equalization import equalize
from train.models.spec import ModelSpec
from train.weights import load_weights, save_weights


def publish(spec: ModelSpec, best: Path) -> None:
    """Write ``best`` to the zoo's weights of ``spec``, equalized, with its history.

    Raises:
        ModelFileError: damaged weights, or those of another architecture.
    """
    model = spec.build()
    history = load_weights(model, best)
    equalize(model)
    save_weights(model, spec.weights, history)
