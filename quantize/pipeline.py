"""From a float model to checked ``.tflite`` files with cards: one call for all schemes."""

import dataclasses
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from octopix.card import Fidelity, ModelCard, Quality
from octopix.errors import ConfigError, OctopixError
from octopix.files import write_bytes
from quantize.checks import check
from quantize.embed import embed_card
from quantize.filters import separated
from quantize.methods import METHODS
from quantize.progress import Watch
from quantize.schemes import Scheme, parse_scheme
from quantize.selective import named
from quantize.workbench import Subject, Workbench, load_subject
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
    found = load_subject(subject) if isinstance(subject, str) else subject
    bench, folder = open_bench(found, home, out, quick=quick, watch=watch)
    if any(scheme.kind == "int8-qat" for scheme in chosen):
        _ = bench.patches
    for scheme in (each for each in chosen if each.keep_float):
        named(separated(bench.float_model), scheme.keep_float)
    return tuple(
        written(measured(bench, scheme), folder) for scheme in dict.fromkeys((parse_scheme(BASELINE), *chosen))
    )


def open_bench(
    subject: Subject, home: DataHome, out: Path, *, quick: bool, watch: Watch | None
) -> tuple[Workbench, Path]:
    """The bench, and the folder its artifacts go to.

    Meets now what would otherwise end minutes of work: a folder that cannot be written, images that cannot serve.
    """
    folder = out / subject.spec.name
    bench = Workbench(subject, home, folder=folder, quick=quick)
    if watch is not None:
        bench.watch = watch
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK):
        raise _unwritable(folder, "permission denied")
    if subject.own is None:
        _ = bench.validation_images
    return bench, folder


@dataclass(frozen=True)
class Measured:
    """A checked model on its way to a file."""

    content: bytes
    """``.tflite`` with its card."""
    card: ModelCard
    seconds: float
    """From float model to card."""
    leftover: Path | None = None
    """See `quantize.methods.Made`."""

    @property
    def drop(self) -> float:
        """dB lost on the validation list."""
        if self.card.validation is None:
            raise ConfigError(expected="ground truth to measure a drop on", got="none", do="give REFERENCE=")
        return self.card.validation.drop


def measured(bench: Workbench, scheme: Scheme) -> Measured:
    """One scheme, from float model to checked and validated bytes."""
    began = time.perf_counter()
    bench.watch(scheme.name, 0, 0)
    made = METHODS[scheme.kind](bench, scheme)
    check(made.model, scheme.kind, left_in_float=made.left_in_float)
    quality = bench.quality(made.model, scheme, watch=bench.watch)
    card = bench.card(scheme, training=made.training)
    card = dataclasses.replace(
        card,
        corrections=made.corrections,
        validation=quality if isinstance(quality, Quality) else None,
        faithful=quality if isinstance(quality, Fidelity) else None,
    )
    return Measured(embed_card(made.model, card), card, time.perf_counter() - began, made.leftover)


def written(found: Measured, folder: Path) -> Artifact:
    """Put a model in its place."""
    path = folder / f"{found.card.scheme}.tflite"
    write_bytes(path, found.content)
    tidy(found)
    return Artifact(path, found.card, len(found.content) / 1024, found.seconds)


def tidy(found: Measured) -> None:
    """Throw away what only an interrupted training would need."""
    if found.leftover is not None:
        found.leftover.unlink(missing_ok=True)


def _unwritable(folder: Path, got: str) -> OctopixError:
    return OctopixError(
        expected=f"a writable folder {folder}", got=got, do="choose another output folder, or mend its permissions"
    )
