"""PSNR against image number, sorted by what there is without a network: the figure of the QECNN document."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.artifacts import FLOAT
from benchmarks.drawing import LIGHT
from benchmarks.quality import BASELINES
from benchmarks.summary import psnr_of, quantize_rows
from octopix.errors import ResultError
from octopix.files import replacing
from octopix.results import QuantizeRow, Result

SIZE_IN, DPI = (7.2, 4.2), 150
COLOURS = (LIGHT.reference, LIGHT.int8, "#2a8f5b", "#8a4fbf")


def draw_by_image(results: Sequence[Result], path: Path, *, scheme: str = FLOAT) -> None:
    """Draw ``scheme`` of each result, and their common baseline, into a PNG.

    Args:
        results: of kind ``quantize``, measured on the same images by the same protocol.
        path: PNG to write.
        scheme: row of each result to show.

    Raises:
        ResultError: a result lacks the row, the baselines differ, or there are more results than colours.
    """
    if not 1 <= len(results) <= len(COLOURS):
        raise ResultError(expected=f"1 to {len(COLOURS)} results", got=str(len(results)), do="give fewer of them")
    shown = [_row(result, (scheme,)) for result in results]
    plain = _row(results[0], BASELINES)
    for result in results[1:]:
        _check_same(plain, _row(result, BASELINES))
    names = sorted(_counted([plain, *shown]), key=lambda name: plain.psnr_per_image[name] or 0.0)
    figure = _figure(plain, shown, names)
    with replacing(path) as part:
        figure.savefig(part, dpi=DPI, format="png")


def _row(result: Result, schemes: Sequence[str]) -> QuantizeRow:
    rows = [row for row in quantize_rows(result) if row.scheme in schemes]
    if not rows:
        raise ResultError(
            expected=f"a row of {' or '.join(schemes)} in each result", got="none", do="run make quantize with it"
        )
    if len(rows) > 1:
        raise ResultError(
            expected="results of one image set each",
            got=", ".join(row.image_set for row in rows),
            do="measure on one set",
        )
    return rows[0]


def _check_same(one: QuantizeRow, other: QuantizeRow) -> None:
    same = one.psnr_per_image.keys() == other.psnr_per_image.keys() and one.protocol == other.protocol
    if not same or abs(psnr_of(one) - psnr_of(other)) > 1e-9:
        raise ResultError(
            expected=f"results on the same images as {one.model}",
            got=f"{other.model} on others, or degraded in another way",
            do="measure both again on the same images",
        )


def _counted(rows: Sequence[QuantizeRow]) -> list[str]:
    return [name for name in rows[0].psnr_per_image if all(row.psnr_per_image[name] is not None for row in rows)]


def _figure(plain: QuantizeRow, shown: Sequence[QuantizeRow], names: Sequence[str]) -> Figure:
    figure = Figure(figsize=SIZE_IN, facecolor=LIGHT.page, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    numbers = np.arange(1, len(names) + 1)
    axis.plot(numbers, _values(plain, names), color=LIGHT.muted, lw=1.4, label=f"{plain.scheme} {plain.psnr_db:.3f} dB")
    for row, colour in zip(shown, COLOURS, strict=False):
        gain = psnr_of(row) - psnr_of(plain)
        label = f"{row.model} {row.psnr_db:.3f} dB ({gain:+.3f})"
        axis.plot(numbers, _values(row, names), color=colour, lw=1.1, label=label)
    axis.set_xlabel(f"image of {plain.image_set}, sorted by the PSNR of the {plain.scheme}")
    axis.set_ylabel(f"PSNR, dB (protocol {plain.protocol})")
    axis.grid(color=LIGHT.grid, lw=0.6)
    axis.legend(frameon=False)
    return figure


def _values(row: QuantizeRow, names: Sequence[str]) -> list[float]:
    return [row.psnr_per_image[name] or 0.0 for name in names]
