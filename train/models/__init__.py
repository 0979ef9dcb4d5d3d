"""The zoo: an explicit registry. A model is one file, one line here, one recipe."""

import importlib
from dataclasses import replace
from functools import partial
from typing import Any, cast

from octopix.card import Channels
from octopix.errors import ConfigError
from train.models.spec import ModelSpec


def _build(architecture: str, **options: Any) -> Any:
    """Call ``build`` of ``train.models.<architecture>``, imported only now: a misspelt name must not wait for Keras."""
    return importlib.import_module(f"train.models.{architecture}").build(**options)


def _super_resolution(
    title: str, architecture: str, scale: int, channels: Channels, parameters: int, **facts: Any
) -> ModelSpec:
    build = partial(_build, architecture, scale=scale)
    name, title = f"{architecture}_x{scale}", f"{title} ×{scale}"
    return ModelSpec(name, title, "super-resolution", scale, channels, 1, parameters, build, **facts)


def _enhancement(
    name: str, title: str, architecture: str, channels: Channels, parameters: int, **facts: Any
) -> ModelSpec:
    build = partial(_build, architecture)
    return ModelSpec(name, title, "enhancement", 1, channels, 1, parameters, build, **facts)


def _resnet50(name: str, title: str, parameters: int, *, skips: bool = False) -> ModelSpec:
    build = partial(_build, "resnet50", scale=4, skips=skips)
    slim = partial(build, thinner=16, most_blocks=2)
    return ModelSpec(name, title, "super-resolution", 4, "rgb", 32, parameters, build, slim=slim)


_FRAMES = {"degradation": "hevc-crf35", "lists": "bsds500"}
"""The QECNN protocol: frames of a video codec, trained on BSDS500 train only."""


def _blind(scale: int, parameters: int) -> ModelSpec:
    build = partial(_build, "lesrcnn", scale=scale, blind=True)
    name, title = f"lesrcnn_blind_x{scale}", f"LESRCNN blind ×{scale}"
    return ModelSpec(name, title, "super-resolution", scale, "rgb", 1, parameters, build, family="lesrcnn_blind")


_LISTED = (
    _super_resolution("ABPN", "abpn", 2, "rgb", 33_464),
    _super_resolution("ABPN", "abpn", 3, "rgb", 42_539),
    _super_resolution("ABPN", "abpn", 4, "rgb", 62_048),
    _super_resolution("Plain CNN", "cnn", 4, "y", 61_680),
    _super_resolution("ESPCN", "espcn", 2, "y", 21_284),
    _super_resolution("ESPCN", "espcn", 3, "y", 22_729),
    _super_resolution("ESPCN", "espcn", 4, "y", 24_752),
    _super_resolution("LESRCNN", "lesrcnn", 2, "rgb", 626_310),
    _super_resolution("LESRCNN", "lesrcnn", 3, "rgb", 810_950),
    _super_resolution("LESRCNN", "lesrcnn", 4, "rgb", 774_022),
    _blind(2, 626_310),
    _blind(3, 810_950),
    _blind(4, 774_022),
    _super_resolution("OctoNet", "octonet", 2, "rgb", 50_604),
    _enhancement("qecnn", "QECNN", "qecnn", "rgb", 1_389_123, slim=partial(_build, "qecnn", thinner=16), **_FRAMES),
    _enhancement("qecnn_separable", "QECNN, separable", "qecnn_separable", "rgb", 50_883, **_FRAMES),
    _enhancement("srcnn_jpeg20", "SRCNN against JPEG", "srcnn", "y", 8_129, degradation="jpeg20"),
    _resnet50("resnet50_x4", "ResNet-50 encoder ×4", 27_378_099),
    _resnet50("resnet50_skip_x4", "ResNet-50 encoder with skips ×4", 27_726_771, skips=True),
    _super_resolution(
        "SRResNet", "srresnet", 4, "rgb", 1_546_435, slim=partial(_build, "srresnet", scale=4, filters=8, blocks=3)
    ),
    ModelSpec(
        "unet_x2",
        "U-Net ×2",
        "super-resolution",
        2,
        "rgb",
        8,
        7_698_819,
        partial(_build, "unet"),
        enlarged=True,
        slim=partial(_build, "unet", thinner=16),
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _LISTED}


def _as_published(spec: ModelSpec) -> ModelSpec:
    """LESRCNN with its two upsampling branches, from the weights of the merged one."""
    build = partial(cast("partial[Any]", spec.build), merged=False)
    title = f"{spec.title}, published graph"
    return replace(spec, name=f"{spec.name}_published", title=title, family=spec.trained_as, build=build)


COMPARISONS: dict[str, ModelSpec] = {
    f"{spec.name}_published": _as_published(spec) for spec in _LISTED if spec.name.startswith("lesrcnn")
}
"""Graphs that can be quantized and measured beside the zoo's, but are not trained: their weights are a sibling's."""


def find_model(name: str) -> ModelSpec:
    """The registered model of that name, of the zoo or for comparison.

    Raises:
        ConfigError: unknown; the message lists what is known.
    """
    known = MODELS | COMPARISONS
    if name not in known:
        raise ConfigError(
            expected=f"a model of the zoo ({', '.join(sorted(MODELS))})",
            got=repr(name),
            do=f"correct MODEL=; for comparison there are {', '.join(sorted(COMPARISONS))}",
        )
    return known[name]


def find_family(name: str) -> tuple[ModelSpec, ...]:
    """The models that are trained together as ``name``, or together with the model ``name``; most are alone.

    Raises:
        ConfigError: unknown; the message lists what is known.
    """
    together = [spec.trained_as for spec in MODELS.values() if name in (spec.name, spec.family)]
    run = together[0] if together else find_model(name).trained_as
    return tuple(spec for spec in MODELS.values() if spec.trained_as == run)
