"""From a float model to checked ``.tflite`` files with cards: one call for all schemes."""

import dataclasses
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from octopix.card import ModelCard
from octopix.errors import OctopixError
from octopix.files import write_bytes
from quantize.checks import check
from quantize.embed import embed_card
from quantize.methods import METHODS
from quantize.schemes import Scheme, parse_scheme
from quantize.workbench import Subject, Watch, Workbench, load_subject
from train.data.sources import DataHome

BASELINE = "float32"
"""Always written, first: every drop is measured against it."""


@dataclass(frozen=True)
class Artifact:
    """One written model."""

    path: Path
    card: ModelCard
    kib: float
    """File size in KiB (1024 bytes)."""
    seconds: float
    """From float model to written file, validation included; what schemes share counts for the first that needs it."""


def quantize(
    subject: str | Subject,
    schemes: Iterable[str | Scheme],
    *,
    home: DataHome,
    out: Path = Path("artifacts"),
    quick: bool = False,
    watch: Watch | None = None,
) -> tuple[Artifact, ...]:
    """Make, check, validate and write ``out/<model>/<scheme>.tflite`` for each scheme.

    float32 is always among them. A scheme that fails leaves no file, and the files of those before it stay.

    Args:
        subject: a name of the zoo, or a float model with its spec.
        schemes: scheme names or decoded schemes.
        home: where calibration and validation images come from.
        out: folder of artifacts.
        quick: few validation images, short training: to see the chain work, not for figures.
        watch: told of the progress.

    Raises:
        OctopixError: unknown names, unusable images or weights, a conversion that fails its check, no place to write.
    """
    chosen = [parse_scheme(scheme) if isinstance(scheme, str) else scheme for scheme in schemes]
    bench = Workbench(load_subject(subject) if isinstance(subject, str) else subject, home, quick)
    if watch is not None:
        bench.watch = watch
    folder = out / bench.subject.spec.name
    _prepare(bench, chosen, folder)
    return tuple(_make(bench, scheme, folder) for scheme in dict.fromkeys((parse_scheme(BASELINE), *chosen)))


def _prepare(bench: Workbench, schemes: Iterable[Scheme], folder: Path) -> None:
    """Meet now what would otherwise end minutes of work: a folder that cannot be written, images that cannot serve."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK):
        raise _unwritable(folder, "permission denied")
    _ = bench.validation_images
    if any(scheme.kind == "int8-qat" for scheme in schemes):
        _ = bench.patches


def _make(bench: Workbench, scheme: Scheme, folder: Path) -> Artifact:
    """One scheme, from float model to file."""
    began = time.perf_counter()
    bench.watch(scheme.name, 0, 0)
    made = METHODS[scheme.kind](bench, scheme)
    check(made.model, scheme.kind)
    quality = bench.quality(made.model, scheme, watch=bench.watch)
    card = bench.card(scheme, training=made.training)
    card = dataclasses.replace(card, validation=quality, corrections=made.corrections)
    content = embed_card(made.model, card)
    path = folder / f"{scheme.name}.tflite"
    write_bytes(path, content)
    return Artifact(path, card, len(content) / 1024, time.perf_counter() - began)


def _unwritable(folder: Path, got: str) -> OctopixError:
    return OctopixError(
        expected=f"a writable folder {folder}", got=got, do="choose another output folder, or mend its permissions"
    )
