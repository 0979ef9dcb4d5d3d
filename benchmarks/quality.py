"""PSNR, SSIM and fidelity of every artifact on every image of a test set.

An image is read and degraded once, then goes through all networks; images are shared out to threads, each with
interpreters of its own. Nothing here depends on the number of threads but the time.
"""

import math
import queue
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.artifacts import FLOAT, Artifact
from octopix.errors import DataError
from octopix.images import Array
from octopix.latency import available_cores
from octopix.metrics import SSIM_WINDOW, psnr, ssim
from octopix.protocols import Protocol
from octopix.resize import bicubic
from octopix.restore import Restorer, plane_bytes
from train.data.degradations import PairRef, PairSet, as_channels

BICUBIC, INPUT = "bicubic", "input"
BASELINES = (BICUBIC, INPUT)
"""Schemes of the row that is no network: the input upscaled by MATLAB's bicubic, or as it is at scale 1."""
MAX_WORKERS = 4
"""Every worker holds one interpreter per artifact and one image at a time; more cost memory and save little."""


@dataclass(frozen=True)
class Score:
    """Figures of one picture."""

    psnr_db: float | None
    """``math.inf`` where it equals the ground truth; None, as ``ssim``, where there is none."""
    ssim: float | None
    fidelity_db: float | None
    """PSNR against the float32 network's picture; ``math.inf`` where they are equal, None without one."""


Scores = Mapping[str, Mapping[str, Score]]
"""Scheme -> image name -> score."""


@dataclass(frozen=True)
class Mean:
    """Figures of one scheme over one set."""

    psnr_db: float | None
    ssim: float | None
    fidelity_db: float | None


@dataclass(frozen=True)
class Views:
    """One test image and what became of it, uint8 (H, W, C) in the network's channels."""

    truth: Array
    outputs: Mapping[str, Array]
    """Scheme -> picture; the baseline is among them."""


class Evaluator:
    """All artifacts of one model, with interpreters open. Not to be shared between threads."""

    def __init__(self, artifacts: Sequence[Artifact], protocol: Protocol, *, with_truth: bool = True) -> None:
        self._protocol, self._with_truth = protocol, with_truth
        self._card = artifacts[0].card
        self._restorers = {artifact.card.scheme: Restorer(artifact.path, tile="none") for artifact in artifacts}

    def views(self, ref: PairRef) -> Views:
        """Restore the picture by every artifact."""
        channels, scale = self._card.channels, self._card.scale
        degraded, truth = ref.read()
        network_input = as_channels(degraded, channels)
        outputs = {}
        if self._with_truth:
            self._check_size(ref, truth)
            name, plain = baseline(degraded, scale)
            outputs[name] = as_channels(plain, channels)
        for scheme, restorer in self._restorers.items():
            outputs[scheme] = plane_bytes(restorer.run_plane(network_input))
        return Views(truth=as_channels(truth, channels), outputs=outputs)

    def scores(self, ref: PairRef) -> Mapping[str, Score]:
        """Figures of every artifact, and of the baseline, on one image."""
        views, scale = self.views(ref), self._card.scale
        truth = self._protocol.compared(views.truth, scale) if self._with_truth else None
        planes = {scheme: self._protocol.compared(output, scale) for scheme, output in views.outputs.items()}
        reference = planes.get(FLOAT)
        return {
            scheme: Score(
                psnr_db=None if truth is None else psnr(truth, plane),
                ssim=None if truth is None else ssim(truth, plane),
                fidelity_db=None if reference is None or scheme in BASELINES else psnr(reference, plane),
            )
            for scheme, plane in planes.items()
        }

    def _check_size(self, ref: PairRef, truth: Array) -> None:
        least = SSIM_WINDOW + 2 * self._protocol.border(self._card.scale)
        if min(truth.shape[:2]) < least:
            raise DataError(
                expected=f"test images of at least {least}x{least} pixels after cropping",
                got=f"{ref.name} of {truth.shape[0]}x{truth.shape[1]}",
                do="take it out of the folder",
            )


def baseline(degraded: Array, scale: int) -> tuple[str, Array]:
    """Scheme and picture of doing without a network, uint8 like ``degraded``."""
    return (INPUT, degraded) if scale == 1 else (BICUBIC, bicubic(degraded, scale=scale))


def evaluate(
    artifacts: Sequence[Artifact],
    images: PairSet,
    protocol: Protocol,
    *,
    advance: Callable[[], None],
    with_truth: bool = True,
) -> Scores:
    """Scores of every artifact, and of the baseline, on every image of a set.

    Args:
        artifacts: of one model.
        images: the test set, degraded.
        protocol: how pictures become figures.
        advance: called after each image, from the calling thread.
        with_truth: compare with the pairs' ground truth; else fidelity is all there is, and no baseline.

    Raises:
        DataError: an image is too small for the protocol; the message names it.
        ImageError: an image cannot be read.
    """
    workers = min(available_cores(), MAX_WORKERS, len(images))
    free: queue.SimpleQueue[Evaluator] = queue.SimpleQueue()
    for _ in range(workers):
        free.put(Evaluator(artifacts, protocol, with_truth=with_truth))

    def score(ref: PairRef) -> Mapping[str, Score]:
        evaluator = free.get()
        try:
            return evaluator.scores(ref)
        finally:
            free.put(evaluator)

    found: dict[str, dict[str, Score]] = {}
    with ThreadPoolExecutor(workers) as pool:
        for ref, scores in zip(images.refs, _results(pool, score, images.refs), strict=True):
            for scheme, one in scores.items():
                found.setdefault(scheme, {})[ref.name] = one
            advance()
    return found


def _results(
    pool: ThreadPoolExecutor, score: Callable[[PairRef], Mapping[str, Score]], refs: Sequence[PairRef]
) -> Iterator[Mapping[str, Score]]:
    """Results in order; after an error, images that wait are not begun."""
    waiting = [pool.submit(score, ref) for ref in refs]
    try:
        for future in waiting:
            yield future.result()
    finally:
        for future in waiting:
            future.cancel()


def counted_images(scores: Scores) -> tuple[str, ...]:
    """Names of the images whose PSNR is finite in every row: only over these do means and drops exist.

    Without ground truth, all of them.

    A network or bicubic restores a flat grey picture exactly; one such image would make the mean of its set infinite.

    Raises:
        DataError: no image is left.
    """
    names = next(iter(scores.values()))
    counted = tuple(name for name in names if all(_counts(row[name].psnr_db) for row in scores.values()))
    if not counted:
        raise DataError(
            expected="test images with detail",
            got=f"{', '.join(names)}, restored without any error",
            do="give photographs",
        )
    return counted


def _counts(decibels: float | None) -> bool:
    return decibels is None or math.isfinite(decibels)


def mean_score(row: Mapping[str, Score], counted: Sequence[str]) -> Mean:
    """Unweighted means over the counted images."""
    chosen = [row[name] for name in counted]
    return Mean(
        psnr_db=mean([score.psnr_db for score in chosen]),
        ssim=mean([score.ssim for score in chosen]),
        fidelity_db=mean_fidelity([score.fidelity_db for score in chosen]),
    )


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that exist; None where none does."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def mean_fidelity(decibels: Sequence[float | None]) -> float | None:
    """Mean over the values that are finite, so that one identical picture does not make it infinite.

    ``math.inf`` where all pictures are identical; None where nothing was compared with float32.
    """
    known = [value for value in decibels if value is not None]
    finite = [value for value in known if math.isfinite(value)]
    return statistics.fmean(finite) if finite else math.inf if known else None
