"""Which files of a model go to a device: float32, float16 and the best int8, or those that are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from octopix.card import ModelCard, best_int8, file_sha256, graph_sha256, read_card
from octopix.errors import ConfigError
from octopix.graph import read_graph
from octopix.schema import naming, read_model_bytes
from octopix.summary import count

FLOATS = ("float32", "float16")
BEST = "int8"
"""Stands for the best of the schemes that begin with it."""
DEFAULT = (*FLOATS, BEST)


@dataclass(frozen=True)
class ModelFile:
    """One ``.tflite``, and what is counted on these very bytes."""

    path: Path
    card: ModelCard
    kib: float
    macs: int | None
    """At the size that is timed; None where an operator cannot be counted."""
    parameters: int | None
    graph_sha256: str
    file_sha256: str

    @property
    def channels(self) -> int:
        """Of input and output."""
        return 1 if self.card.channels == "y" else 3


def read_model_file(path: Path, *, size: tuple[int, int]) -> ModelFile:
    """Read a file and count it for a network input of ``size`` (height, width).

    Raises:
        ModelFileError: damaged, foreign, or without a card.
    """
    content = read_model_bytes(path)
    with naming(path):
        cost, card = count(read_graph(content), size), read_card(content)
    return ModelFile(
        path=path,
        card=card,
        kib=len(content) / 1024,
        macs=cost.macs if cost else None,
        parameters=cost.parameters if cost else None,
        graph_sha256=graph_sha256(content),
        file_sha256=file_sha256(content),
    )


def choose_files(
    folder: Path, model: str, *, schemes: Sequence[str] = DEFAULT, size: tuple[int, int]
) -> tuple[ModelFile, ...]:
    """The files of ``folder/model`` to measure, in the order of ``schemes``; those of ``DEFAULT`` that exist.

    Args:
        folder: ``artifacts``.
        model: a folder in it.
        schemes: names; ``int8`` stands for the best int8.
        size: of the network input that is timed, (height, width).

    Raises:
        ConfigError: none of them is there, or one that was asked for by name is not.
        ModelFileError: one is damaged, or has no card.
    """
    there = {path.stem: path for path in sorted((folder / model).glob("*.tflite")) if not path.name.startswith(".")}
    chosen: dict[str, ModelFile] = {}
    for scheme in schemes:
        names = [name for name in there if name.startswith(f"{BEST}-")] if scheme == BEST else [scheme]
        found = [read_model_file(there[name], size=size) for name in names if name in there]
        if found:
            best = best_int8(found, lambda file: file.card)
            chosen[best.card.scheme] = best
        elif schemes != DEFAULT:
            raise _lacking(folder / model, scheme, model)
    if not chosen:
        raise _lacking(folder / model, " or ".join(schemes), model)
    return tuple(chosen.values())


def _lacking(folder: Path, scheme: str, model: str) -> ConfigError:
    return ConfigError(
        expected=f"{scheme} as .tflite in {folder}", got="no such file", do=f"run: make quantize MODEL={model}"
    )
