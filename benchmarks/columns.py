"""The columns of every table, once for terminal, Markdown and HTML: a heading, a unit, and a row's text."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from octopix.results import QuantizeRow

NONE = "–"
"""Shown where a figure does not exist, such as the Flops of bicubic."""
NEGATIVE = "−"


class Titled(Protocol):
    """What a heading says."""

    @property
    def title(self) -> str:
        """The word."""

    @property
    def unit(self) -> str:
        """Its unit; empty where there is none."""

    @property
    def numeric(self) -> bool:
        """Whether the cells are numbers, which stand to the right."""


@dataclass(frozen=True)
class Head:
    """A heading alone, of a table whose cells are made elsewhere."""

    title: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Column:
    """One column."""

    title: str
    unit: str
    text: Callable[[QuantizeRow], str]
    numeric: bool = True


def fixed(value: float | None, digits: int) -> str:
    """A number with ``digits`` decimals, ``inf``, or ``NONE``; a true minus sign, and no minus before a zero."""
    if value is None:
        return NONE
    if math.isinf(value):
        return "inf" if value > 0 else f"{NEGATIVE}inf"
    text = f"{value:.{digits}f}"
    if not text.startswith("-"):
        return text
    return NEGATIVE + text[1:] if float(text) else text[1:]


def times(value: float | None) -> str:
    """A ratio, such as ``2.28×``."""
    return NONE if value is None else f"{value:.2f}×"


def shape_text(shape: Sequence[int]) -> str:
    """(1, H, W, C) as this field's documents write it: ``CxHxW``."""
    _, height, width, depth = shape
    return f"{depth}x{height}x{width}"


def _median(row: QuantizeRow) -> str:
    return NONE if row.latency is None else fixed(row.latency.median_ms, 2)


def _p95(row: QuantizeRow) -> str:
    return NONE if row.latency is None else fixed(row.latency.p95_ms, 2)


def _spread(row: QuantizeRow) -> str:
    return NONE if row.latency is None else f"{row.latency.stdev_ms / row.latency.mean_ms:.0%}"


def _runs(row: QuantizeRow) -> str:
    return NONE if row.latency is None else str(len(row.latency.samples_ms))


def _delegated(row: QuantizeRow) -> str:
    if row.facts is None or row.facts.operators is None or row.facts.operators_delegated is None:
        return NONE
    return f"{row.facts.operators_delegated} of {row.facts.operators}"


def _calibration(row: QuantizeRow) -> str:
    calibration = row.card.calibration if row.card is not None else None
    if calibration is None:
        return NONE
    return f"{calibration.calibrator}, {calibration.images} images of {calibration.source} ({calibration.sha256[:8]})"


def _validation(row: QuantizeRow) -> str:
    quality = row.card.validation if row.card is not None else None
    return NONE if quality is None else fixed(quality.drop, 3)


def _made(row: QuantizeRow) -> str:
    return NONE if row.card is None else row.card.created[:10] or NONE


SCHEME = Column("scheme", "", lambda row: row.scheme, numeric=False)

_PSNR = Column("PSNR", "dB", lambda row: fixed(row.psnr_db, 3))
_SSIM = Column("SSIM", "", lambda row: fixed(row.ssim, 4))
_DROP = Column("drop", "dB", lambda row: fixed(row.drop_db, 3))
_FIDELITY = Column("fidelity", "dB", lambda row: fixed(row.fidelity_db, 2))

MAIN: tuple[Column, ...] = (
    SCHEME,
    Column("Flops", "G", lambda row: fixed(row.flops_g, 3)),
    Column("Params", "M", lambda row: fixed(row.params_m, 4)),
    Column("size", "KiB", lambda row: fixed(row.kib, 1)),
    _PSNR,
    _SSIM,
    _DROP,
    _FIDELITY,
    Column("latency", "ms", _median),
    Column("speed", "×float32", lambda row: times(row.ratio_to_float32)),
    Column("shape", "", lambda row: NONE if row.latency is None else shape_text(row.shape)),
)
"""The table of `make quantize`."""

PER_SET: tuple[Column, ...] = (_PSNR, _SSIM, _DROP)
"""What is given again for each image set where there are several."""

FILES: tuple[Column, ...] = (
    SCHEME,
    Column("calibration", "", _calibration, numeric=False),
    Column("drop in validation", "dB", _validation),
    Column("on the delegate", "operators", _delegated),
    Column("p95", "ms", _p95),
    Column("spread", "stdev/mean", _spread),
    Column("runs", "", _runs),
    Column("made", "", _made),
    Column("graph SHA-256", "", lambda row: (row.graph_sha256 or NONE)[:12], numeric=False),
)
"""What each file says of itself, and how steadily it ran."""
