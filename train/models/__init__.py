"""The zoo: an explicit registry. A model is one file, one line here, one recipe."""

import importlib
from functools import partial
from typing import Any

from octopix.errors import ConfigError
from train.models.spec import ModelSpec


def _build(architecture: str, **options: Any) -> Any:
    """Call ``build`` of ``train.models.<architecture>``, imported only now: a misspelt name must not wait for Keras."""
    return importlib.import_module(f"train.models.{architecture}").build(**options)


_LISTED = (ModelSpec("espcn_x4", "ESPCN ×4", "super-resolution", 4, "y", 1, 24_752, partial(_build, "espcn", scale=4)),)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _LISTED}


def find_model(name: str) -> ModelSpec:
    """The registered model of that name.

    Raises:
        ConfigError: unknown; the message lists what is known.
    """
    if name not in MODELS:
        raise ConfigError(
            expected=f"a model of the zoo ({', '.join(sorted(MODELS))})", got=repr(name), do="correct MODEL="
        )
    return MODELS[name]
