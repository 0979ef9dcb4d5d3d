"""Rooflines (Williams, Waterman and Patterson, CACM 2009): what networks reach, under what the machine can do.

Across: FLOPs (2 per multiply-accumulate) per byte moved, as `benchmarks.bench.cost` counts bytes. Up: billions of
multiply-accumulates per second. The slanted roof is the measured memory bandwidth, the level ones are the measured
convolutions in int8 and float32.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.bench.records import BenchResult, CellResult, Peaks
from benchmarks.drawing import LIGHT, colour_of, label, new_figure, png, spread, svg
from octopix.files import write_bytes

FOLDER = "plots"
HEIGHT_IN = 5.2
"""At least; more where there are many names."""
_LETTERS = 7.5
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
_LINE_IN, _FRAME_IN = 0.135, 1.2
"""Height of a name, and of what stands above and below the plot, in inches."""


def write_rooflines(result: BenchResult, folder: Path) -> tuple[Path, ...]:
    """One plot for each number of threads and each size, as PNG and as SVG that follows the page's theme."""
    written = []
    for peaks in result.peaks:
        for size, cells in _by_size(result, peaks.threads).items():
            figure = draw_roofline(peaks, cells, size)
            base = folder / FOLDER / f"roofline-{size}-{peaks.threads}"
            for suffix, content in ((".png", png(figure)), (".svg", svg(figure))):
                write_bytes(base.with_suffix(suffix), content)
                written.append(base.with_suffix(suffix))
    return tuple(written)


def draw_roofline(peaks: Peaks, cells: Sequence[CellResult], size: str) -> Figure:
    """Every cell a dot beside its model's name, under the roofs.

    Args:
        peaks: of the machine, with the cells' number of threads.
        cells: measured on the CPU, all with a cost.
        size: for the label.
    """
    figure, (axis,) = new_figure(max(HEIGHT_IN, _FRAME_IN + 1.2 * _LINE_IN * len(cells)))
    x = np.array([each.cost.intensity for each in cells if each.cost])
    y = np.array([each.gmacs for each in cells])
    low, high = x.min() / 1.5, x.max() * 10  # room for names at the right
    axis.set(xscale="log", yscale="log", xlim=(low, high))
    axis.set_ylim(min(y.min(), peaks.float32_gmacs) / 2, max(y.max(), peaks.int8_gmacs) * 1.6)
    axis.tick_params(which="minor", length=0)
    axis.xaxis.set_major_formatter(_PLAIN)
    axis.yaxis.set_major_formatter(_PLAIN)
    _roofs(axis, peaks, low, high)
    _dots(axis, cells, x, y)
    threads = "1 thread" if peaks.threads == 1 else f"{peaks.threads} threads"
    figure.legend(loc="outside upper right", frameon=False, labelcolor=LIGHT.ink, fontsize=_LETTERS + 1)
    label(axis, x="FLOPs per byte moved", y=f"GMAC/s at {size}, {threads}")
    return figure


def _by_size(result: BenchResult, threads: int) -> Mapping[str, list[CellResult]]:
    found: dict[str, list[CellResult]] = {}
    for each in result.cells:
        if each.cell.threads == threads and each.cell.delegate.startswith("cpu") and each.gmacs and each.cost:
            found.setdefault(f"{each.cell.height}x{each.cell.width}", []).append(each)
    return found


def _roofs(axis: Axes, peaks: Peaks, low: float, high: float) -> None:
    """Memory's slant up to the highest of the level roofs; each of them from where it is the lower."""
    roofs = (("int8", peaks.int8_gmacs, LIGHT.int8), ("float32", peaks.float32_gmacs, LIGHT.reference))
    for name, peak, colour in roofs:
        axis.plot([2 * peak / peaks.gbytes_per_s, high], [peak, peak], color=colour, lw=1.4)
        text = f"{name} {peak:.0f} GMAC/s"
        axis.annotate(text, (low, peak), (3, 3), textcoords="offset points", color=colour, fontsize=_LETTERS + 1)
    slant = np.array([low, 2 * max(peaks.int8_gmacs, peaks.float32_gmacs) / peaks.gbytes_per_s])
    name = f"memory {peaks.gbytes_per_s:.1f} GB/s"
    axis.plot(slant, peaks.gbytes_per_s * slant / 2, color=LIGHT.muted, lw=1.4, label=name)


def _dots(axis: Axes, cells: Sequence[CellResult], x: np.ndarray, y: np.ndarray) -> None:
    bottom, top = np.log10(axis.get_ylim())
    height = axis.get_figure().get_figheight() - _FRAME_IN  # type: ignore[union-attr]  # it is on one
    line = _LINE_IN / height * (top - bottom)
    places = spread(np.log10(y), least=line)
    heights = 10 ** (places + max(bottom + line / 2 - places.min(), 0))  # none below the plot
    column = axis.get_xlim()[1] / 4.4
    for each, across, up, beside in zip(cells, x, y, heights, strict=True):
        colour = colour_of(each.cell.scheme)
        axis.plot(across, up, "o", color=colour, ms=4.5)
        text = axis.annotate(each.cell.model, (across, up), (column, beside), va="center", fontsize=_LETTERS)
        text.set_color(colour)
        text.set_bbox({"facecolor": LIGHT.page, "edgecolor": "none", "pad": 0.6})
        axis.plot([across, column], [up, beside], color=colour, lw=0.4, alpha=0.6)
