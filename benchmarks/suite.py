"""One run over all artifacts of a model: quality on every test set, latency in turns, made into result rows.

A row is one scheme on one image set. What belongs to the file alone (size, Flops, latency, card) stands in each of
its rows.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.artifacts import FLOAT, Artifact
from benchmarks.latency import Timing, time_all
from benchmarks.own import Own
from benchmarks.quality import BASELINES, Scores, counted_images, evaluate, mean, mean_fidelity, mean_score
from octopix.complexity import FLOPS_PER_MAC
from octopix.conditions import read_conditions
from octopix.errors import DataError
from octopix.protocols import Protocol
from octopix.results import QuantizeRow, Result
from train.data.degradations import PairSet, degraded
from train.data.sources import ImageSet

FLOPS_CONVENTION = "2*MAC"
QUICK_IMAGES = 4
QUICK = "quick"
"""Begins what `--quick` adds to the titles of sets, so that such figures are not taken for full ones."""

Stage = Callable[[str, int], Callable[[], None]]
"""(what begins, number of steps) to the call that counts one step: how a progress bar watches."""


Images = TypeVar("Images", ImageSet, PairSet)


@dataclass(frozen=True)
class Measured:
    """A result and what the report needs besides: the pairs, to cut crops from."""

    result: Result
    sets: tuple[PairSet, ...]


def measure_model(
    artifacts: Sequence[Artifact], sets: Sequence[ImageSet], protocol: Protocol, *, quick: bool, stage: Stage
) -> Measured:
    """Latency first, while nothing else of ours runs; then quality on every set.

    Args:
        artifacts: of one model, from `benchmarks.artifacts.find_artifacts`.
        sets: test sets; with ``quick`` only the first ``QUICK_IMAGES`` of each. Titles say what was quick.
        protocol: how pictures become figures.
        quick: fewer images and samples.
        stage: told what begins and each step of it.

    Raises:
        DataError: there is no test set, or one cannot serve.
        ImageError: a test image cannot be read.
    """
    if not sets:
        raise DataError(
            expected="a test set (Set5, Set14 or BSDS500/val) beside the sets for training",
            got="none of them",
            do="add one to the folder, or leave DATA= and OCTOPIX_DATA out to test on the built-in photographs",
        )
    card = artifacts[0].card
    used = tuple(
        degraded(first_images(images) if quick else images, card.degradation, scale=card.scale) for images in sets
    )
    return _measure(artifacts, used, protocol, quick=quick, stage=stage)


def measure_own(artifacts: Sequence[Artifact], own: Own, protocol: Protocol, *, quick: bool, stage: Stage) -> Measured:
    """`measure_model` on a user's pictures, with ground truth or without."""
    used = (first_images(own.images) if quick else own.images,)
    measured = _measure(artifacts, used, protocol, quick=quick, stage=stage, with_truth=own.with_truth)
    return dataclasses.replace(measured, result=dataclasses.replace(measured.result, notes=own.notes))


def _measure(
    artifacts: Sequence[Artifact],
    used: tuple[PairSet, ...],
    protocol: Protocol,
    *,
    quick: bool,
    stage: Stage,
    with_truth: bool = True,
) -> Measured:
    conditions = read_conditions()
    advance = stage("latency", 1)
    timings = time_all(artifacts, used[0].refs[0], quick=quick)
    advance()
    rows: list[QuantizeRow] = []
    for images in used:
        advance = stage(images.title, len(images))
        scores = evaluate(artifacts, images, protocol, advance=advance, with_truth=with_truth)
        rows += _set_rows(artifacts, images, protocol, scores, timings)
    return Measured(Result(kind="quantize", rows=tuple(rows), conditions=conditions), used)


def first_images(images: Images) -> Images:
    """What ``--quick`` takes of a set, under a title that says so."""
    mark = QUICK if len(images) <= QUICK_IMAGES else f"{QUICK}: first {QUICK_IMAGES}"
    return dataclasses.replace(images, title=f"{images.title} ({mark})", refs=images.refs[:QUICK_IMAGES])


def _set_rows(
    artifacts: Sequence[Artifact],
    images: PairSet,
    protocol: Protocol,
    scores: Scores,
    timings: Mapping[str, Timing],
) -> list[QuantizeRow]:
    counted = counted_images(scores)
    first = artifacts[0]
    reference = mean_score(scores[FLOAT], counted).psnr_db if FLOAT in scores else None

    def row(scheme: str) -> QuantizeRow:
        found = mean_score(scores[scheme], counted)
        against = None if scheme in BASELINES else reference
        return QuantizeRow(
            model=first.card.model,
            scheme=scheme,
            image_set=images.title,
            protocol=protocol.name,
            psnr_db=found.psnr_db,
            ssim=found.ssim,
            shape=first.shape,
            flops_convention=FLOPS_CONVENTION,
            drop_db=None if against is None or found.psnr_db is None else against - found.psnr_db,
            fidelity_db=found.fidelity_db,
            psnr_per_image={name: score.psnr_db if name in counted else None for name, score in scores[scheme].items()},
            ssim_per_image={name: score.ssim for name, score in scores[scheme].items() if score.ssim is not None},
        )

    plain = [row(scheme) for scheme in BASELINES if scheme in scores]
    return [*plain, *(_with_file(row(artifact.card.scheme), artifact, timings) for artifact in artifacts)]


def _with_file(row: QuantizeRow, artifact: Artifact, timings: Mapping[str, Timing]) -> QuantizeRow:
    timing, reference = timings[row.scheme], timings.get(FLOAT)
    ratio = None if reference is None else reference.latency.median_ms / timing.latency.median_ms
    return dataclasses.replace(
        row,
        flops_g=artifact.macs * FLOPS_PER_MAC[FLOPS_CONVENTION] / 1e9,
        params_m=artifact.parameters / 1e6,
        kib=artifact.kib,
        latency=timing.latency,
        ratio_to_float32=ratio,
        facts=timing.facts,
        graph_sha256=artifact.graph_sha256,
        file_sha256=artifact.file_sha256,
        card=artifact.card,
    )


def rows_by_set(rows: Sequence[QuantizeRow]) -> Mapping[str, tuple[QuantizeRow, ...]]:
    """Rows of each image set, sets and rows in their order."""
    names = dict.fromkeys(row.image_set for row in rows)
    return {name: tuple(row for row in rows if row.image_set == name) for name in names}


def mean_rows(rows: Sequence[QuantizeRow]) -> tuple[QuantizeRow, ...]:
    """One row per scheme: the unweighted mean of the sets' means.

    Rows of a single set come back as they are.
    """
    schemes = dict.fromkeys(row.scheme for row in rows)
    return tuple(_mean_row([row for row in rows if row.scheme == scheme]) for scheme in schemes)


def _mean_row(rows: Sequence[QuantizeRow]) -> QuantizeRow:
    return dataclasses.replace(
        rows[0],
        image_set=mean_title([row.image_set for row in rows]),
        psnr_db=mean([row.psnr_db for row in rows]),
        ssim=mean([row.ssim for row in rows]),
        drop_db=mean([row.drop_db for row in rows]),
        fidelity_db=mean_fidelity([row.fidelity_db for row in rows]),
    )


def mean_title(names: Sequence[str]) -> str:
    """What the rows over all sets are called."""
    return names[0] if len(names) == 1 else f"mean of {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
