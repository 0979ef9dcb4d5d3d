"""Comparing two pictures, or two models; two results are compared in `octopix.verdict`."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from octopix.bundle import ZIP
from octopix.errors import ConfigError, ImageError
from octopix.files import is_folder
from octopix.images import Array, Picture, read_picture
from octopix.metrics import SSIM_WINDOW, fsim, mse, nrmse, psnr, ssim
from octopix.restore import Restorer
from octopix.schema import IDENTIFIER
from octopix.summary import ModelSummary, summarise

FileKind = Literal["picture", "model", "result", "bundle"]


@dataclass(frozen=True)
class PictureComparison:
    """Image B against reference A, over all pixels and channels at their own depth."""

    psnr_db: float
    """``math.inf`` for identical pixels."""
    ssim: float | None
    """None for pictures smaller than SSIM's window."""
    fsim: float | None
    """None for pictures that are too small for its filters, or both flat."""
    mse: float
    """In squared grey levels of the pictures' depth."""
    nrmse: float | None
    """None where the reference is black."""
    peak: int
    """255, or 65535 for 16-bit pictures."""
    alpha_identical: bool | None
    """None where neither has alpha. Alpha is not part of the other figures."""


@dataclass(frozen=True)
class Fidelity:
    """Output of model B against output of model A on one picture, both as whole 8- or 16-bit pictures."""

    image: str
    psnr_db: float
    largest_difference: int
    """In grey levels."""


@dataclass(frozen=True)
class ModelComparison:
    """Two models side by side."""

    a: ModelSummary
    b: ModelSummary
    fidelity: tuple[Fidelity, ...]
    """Empty where no pictures were given."""

    @property
    def mean_psnr_db(self) -> float | None:
        """Mean over the pictures whose outputs differ; ``inf`` if none does; None without pictures."""
        finite = [entry.psnr_db for entry in self.fidelity if math.isfinite(entry.psnr_db)]
        return statistics.fmean(finite) if finite else math.inf if self.fidelity else None

    @property
    def operator_changes(self) -> Mapping[str, tuple[int, int]]:
        """Operators whose number differs: name -> (count in A, count in B)."""
        a, b = self.a.operator_counts, self.b.operator_counts
        counts = {name: (a.get(name, 0), b.get(name, 0)) for name in sorted({*a, *b})}
        return {name: pair for name, pair in counts.items() if pair[0] != pair[1]}


def kind_of(path: Path) -> FileKind:
    """What a file is, by content; by suffix where the content is damaged beyond telling.

    Raises:
        ConfigError: the file cannot be read.
    """
    if is_folder(path):
        return "bundle"
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ConfigError(
            expected=f"a readable file at {path}", got=error.strerror or str(error), do="check the path"
        ) from error
    if head.startswith(ZIP):
        return "bundle"
    if head[4:8] == IDENTIFIER or path.suffix == ".tflite":
        return "model"
    if head.lstrip()[:1] in (b"{", b"[") or path.suffix == ".json":
        return "result"
    return "picture"


def compare_pictures(a: Picture, b: Picture) -> PictureComparison:
    """Compare picture ``b`` with reference ``a``.

    Raises:
        ImageError: different sizes, channels or depths.
    """
    left, right = a.pixels, b.pixels
    if left.shape != right.shape or left.dtype != right.dtype:
        raise ImageError(
            expected=f"two pictures of one size, colour and depth: {left.shape} of {left.dtype}",
            got=f"{right.shape} of {right.dtype}",
            do="crop or convert one of them",
        )
    peak = int(np.iinfo(left.dtype).max)
    return PictureComparison(
        psnr_db=psnr(left, right, peak=peak),
        ssim=ssim(left, right, peak=peak) if min(left.shape[:2]) >= SSIM_WINDOW else None,
        fsim=_fsim(left, right, peak),
        mse=mse(left, right),
        nrmse=nrmse(left, right) if left.any() else None,
        peak=peak,
        alpha_identical=_same_alpha(a, b),
    )


def _fsim(left: Array, right: Array, peak: int) -> float | None:
    try:
        return fsim(left, right, peak=peak)
    except ImageError:
        return None


def compare_models(
    a: Path, b: Path, *, images: Sequence[Path] = (), threads: int = 1, runtime: str | None = None
) -> ModelComparison:
    """Compare model ``b`` with model ``a``; with ``images``, run both on them.

    Raises:
        ModelFileError: damaged, foreign, or, with ``images``, without a card.
        ImageError: a picture cannot be read, or the outputs differ in size.
    """
    summaries = summarise(a), summarise(b)
    if not images:
        return ModelComparison(*summaries, fidelity=())
    first, second = (Restorer(path, threads=threads, runtime=runtime) for path in (a, b))
    return ModelComparison(*summaries, fidelity=tuple(_fidelity(path, first, second) for path in images))


def _fidelity(path: Path, a: Restorer, b: Restorer) -> Fidelity:
    picture = read_picture(path)
    outputs = a.restore(picture), b.restore(picture)
    found = compare_pictures(*outputs)  # first, since it refuses outputs of two sizes
    difference = np.subtract(outputs[1].pixels, outputs[0].pixels, dtype=np.int32)
    return Fidelity(
        image=path.name,
        psnr_db=found.psnr_db,
        largest_difference=int(np.abs(difference).max()),
    )


def _same_alpha(a: Picture, b: Picture) -> bool | None:
    if a.alpha is None and b.alpha is None:
        return None
    return a.alpha is not None and b.alpha is not None and bool(np.array_equal(a.alpha, b.alpha))
