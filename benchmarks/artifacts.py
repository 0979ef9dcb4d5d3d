"""The ``.tflite`` files of one model, as `quantize` left them: found, checked and put in the order of the table."""

from dataclasses import dataclass
from pathlib import Path

from octopix.card import ModelCard, file_sha256, graph_sha256, read_card
from octopix.complexity import complexity
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from octopix.schema import naming, read_model_bytes

SIDE = 128
"""Flops and latency are given for a network input of this height and width."""

FLOAT = "float32"
ORDER = (FLOAT, "float16", "dynamic", "int16x8-", "int8-ptq-", "int8-qat")
"""First words of scheme names, in the order of the rows; others follow."""


@dataclass(frozen=True)
class Artifact:
    """One file that can be measured."""

    path: Path
    card: ModelCard
    kib: float
    macs: int
    """At ``SIDE`` × ``SIDE``."""
    parameters: int
    graph_sha256: str
    file_sha256: str

    @property
    def depth(self) -> int:
        """Channels of the network's input."""
        return 1 if self.card.channels == "y" else 3

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Network input that Flops and latency refer to, (1, H, W, C)."""
        return 1, SIDE, SIDE, self.depth


def find_artifacts(folder: Path, model: str) -> tuple[Artifact, ...]:
    """All artifacts of ``model`` in ``folder/model``, in the order of the table.

    Raises:
        ConfigError: there are none; the message names the command that makes them.
        ModelFileError: one of them is damaged, lacks its card, or belongs to another model; the message names it.
    """
    # pathlib's * matches hidden files too, and a killed run may leave one.
    paths = [path for path in sorted((folder / model).glob("*.tflite")) if not path.name.startswith(".")]
    if not paths:
        raise ConfigError(
            expected=f"{model}'s .tflite files in {folder / model}", got="none", do=f"run: make quantize MODEL={model}"
        )
    artifacts = tuple(sorted((_read(path) for path in paths), key=_place))
    _check_family(artifacts, model)
    return artifacts


def _read(path: Path) -> Artifact:
    content = read_model_bytes(path)
    with naming(path):
        cost = complexity(read_graph(content), height=SIDE, width=SIDE)
        card = read_card(content)
    return Artifact(
        path=path,
        card=card,
        kib=len(content) / 1024,
        macs=cost.macs,
        parameters=cost.parameters,
        graph_sha256=graph_sha256(content),
        file_sha256=file_sha256(content),
    )


def _place(artifact: Artifact) -> tuple[int, str]:
    scheme = artifact.card.scheme
    places = (place for place, start in enumerate(ORDER) if scheme.startswith(start))
    return next(places, len(ORDER)), scheme


def _check_family(artifacts: tuple[Artifact, ...], model: str) -> None:
    """One model, scale, kind of channels, one file of float weights, every scheme once; else rows do not compare."""
    first = artifacts[0]
    seen: dict[str, Path] = {}
    for artifact in artifacts:
        card = artifact.card
        if (card.model, card.scale, card.channels) != (model, first.card.scale, first.card.channels):
            raise ModelFileError(
                expected=f"{model} ×{first.card.scale} for {first.card.channels} in {artifact.path}",
                got=f"{card.model} ×{card.scale} for {card.channels}, as its card says",
                do="move the file to the folder of its model",
            )
        if card.weights_sha256 != first.card.weights_sha256:
            raise ModelFileError(
                expected=f"files made from the same float weights in {artifact.path.parent}",
                got=f"{first.path.name} and {artifact.path.name} of different ones",
                do=f"run: make quantize MODEL={model} again",
            )
        if card.scheme in seen:
            raise ModelFileError(
                expected=f"one file of scheme {card.scheme}",
                got=f"{seen[card.scheme].name} and {artifact.path.name}",
                do="delete one of them",
            )
        seen[card.scheme] = artifact.path
