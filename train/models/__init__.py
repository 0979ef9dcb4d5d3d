"""The zoo: an explicit registry. A model is one file, one line here, one recipe."""

import importlib
from functools import partial
from typing import Any

from octopix.card import Channels
from octopix.errors import ConfigError
from train.models.spec import ModelSpec


def _build(architecture: str, **options: Any) -> Any:
    """Call ``build`` of ``train.models.<architecture>``, imported only now: a misspelt name must not wait for Keras."""
    return importlib.import_module(f"train.models.{architecture}").build(**options)


def _super_resolution(title: str, architecture: str, scale: int, channels: Channels, parameters: int) -> ModelSpec:
    build = partial(_build, architecture, scale=scale)
    name, title = f"{architecture}_x{scale}", f"{title} ×{scale}"
    return ModelSpec(name, title, "super-resolution", scale, channels, 1, parameters, build)


_LISTED = (
    _super_resolution("ABPN", "abpn", 2, "rgb", 33_464),
    _super_resolution("ABPN", "abpn", 3, "rgb", 42_539),
    _super_resolution("ABPN", "abpn", 4, "rgb", 62_048),
    _super_resolution("ESPCN", "espcn", 2, "y", 21_284),
    _super_resolution("ESPCN", "espcn", 3, "y", 22_729),
    _super_resolution("ESPCN", "espcn", 4, "y", 24_752),
    _super_resolution("LESRCNN", "lesrcnn", 2, "rgb", 626_310),
    _super_resolution("LESRCNN", "lesrcnn", 3, "rgb", 810_950),
    _super_resolution("LESRCNN", "lesrcnn", 4, "rgb", 774_022),
    _super_resolution("OctoNet", "octonet", 2, "rgb", 50_604),
)

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
