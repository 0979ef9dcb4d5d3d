"""The plots of one model's report."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.artifacts import FLOAT
from benchmarks.columns import fixed
from benchmarks.device_grid import latencies
from benchmarks.drawing import LIGHT, bars, beside, colour_of, frontier, label, new_figure, spread, wrapped
from benchmarks.material import Material
from benchmarks.suite import rows_by_set
from benchmarks.summary import quantize_rows
from octopix.latency import Latency, quantile
from octopix.results import QuantizeRow, Result

LEGEND_LETTERS, MARK_LETTERS = 60, 6
"""So many letters fit in one line of a legend, and so many are as wide as a mark with its gaps."""
NAMED = 5
"""So many images can have their names under a plot of this width."""
MOST_LAYERS = 24
"""So many bars are told apart; of more layers, those that cost most are shown."""
LONGEST = 28
"""Letters of a layer's name; of longer ones the end, where they differ."""


@dataclass(frozen=True)
class Plot:
    """One kind of plot; ``draw`` is only called for material that has what it shows."""

    name: str
    title: str
    explanation: str
    fits: Callable[[Material], bool]
    draw: Callable[[Material], Figure]


def _drop(material: Material) -> Figure:
    """Bars: drop over all sets, written at the right; marks: each set."""
    rows = _with_drop(material)
    sets = rows_by_set(quantize_rows(material.result))
    figure, (axis,) = new_figure(1.05 + 0.42 * len(rows))
    drops = np.array([row.drop_db or 0.0 for row in rows])
    bars(axis, _names(rows), drops, _colours(rows), digits=3)
    if len(sets) > 1:
        _mark_sets(axis, [row.scheme for row in rows], sets)
        columns = len(sets) if sum(len(name) + MARK_LETTERS for name in sets) <= LEGEND_LETTERS else 1
        figure.legend(loc="outside upper right", ncols=columns, frameon=False, labelcolor=LIGHT.ink, fontsize=9)
    label(axis, x="dB lost (smaller is better)")
    return figure


def _with_drop(material: Material) -> list[QuantizeRow]:
    return [row for row in material.summary.rows if row.drop_db is not None and row.scheme != FLOAT]


def _names(rows: Sequence[QuantizeRow]) -> list[str]:
    return [wrapped(row.scheme) for row in rows]


def _colours(rows: Sequence[QuantizeRow]) -> list[str]:
    return [colour_of(row.scheme) for row in rows]


def _mark_sets(axis: Axes, schemes: Sequence[str], sets: Mapping[str, Sequence[QuantizeRow]]) -> None:
    for (name, rows), marker in zip(sets.items(), itertools.cycle("osD^vP*X")):
        by_scheme = {row.scheme: row.drop_db or 0.0 for row in rows}
        values = [by_scheme[scheme] for scheme in schemes]
        (marks,) = axis.plot(
            values, range(len(schemes)), marker, label=name, color=LIGHT.ink, ms=5, ls="none", clip_on=False
        )
        marks.set(markerfacecolor=LIGHT.page, markeredgewidth=1.1)


def _timed(material: Material) -> list[tuple[QuantizeRow, Latency]]:
    return [(row, row.latency) for row in material.summary.rows if row.latency is not None]


def _latency(material: Material) -> Figure:
    """Bars: the median; lines: from the fastest run to the 95th percentile of the raw samples."""
    timed = _timed(material)
    rows = [row for row, _ in timed]
    figure, (axis,) = new_figure(1.0 + 0.42 * len(rows))
    medians = np.array([latency.median_ms for _, latency in timed])
    bars(axis, _names(rows), medians, _colours(rows), digits=2)
    for place, (_, latency) in enumerate(timed):
        axis.plot([latency.min_ms, latency.p95_ms], [place, place], color=LIGHT.ink, lw=1.2)
        middle = [quantile(latency.samples_ms, 0.25), quantile(latency.samples_ms, 0.75)]
        axis.plot(middle, [place, place], color=LIGHT.ink, lw=3.5, solid_capstyle="butt")
    label(axis, x="ms (smaller is better)")
    return figure


def _size(material: Material) -> Figure:
    """Bars: KiB of the file."""
    rows = [row for row in material.summary.rows if row.kib is not None]
    figure, (axis,) = new_figure(1.0 + 0.42 * len(rows))
    bars(axis, _names(rows), np.array([row.kib or 0.0 for row in rows]), _colours(rows), digits=0)
    label(axis, x="KiB (smaller is better)")
    return figure


def _per_image(material: Material) -> Figure:
    """Above: PSNR of every image, sorted by float32's; below: what int8 loses on it."""
    summary, result = material.summary, material.result
    assert summary.pick is not None  # `fits` said so
    assert summary.baseline is not None  # every result with ground truth has its row
    scheme, plain_name = summary.pick.row.scheme, summary.baseline.scheme
    reference, int8, plain = (_values(result, name) for name in (FLOAT, scheme, plain_name))
    order = np.argsort(reference)
    figure, (above, below) = new_figure(5.9, ratios=(3, 2))
    x = np.arange(len(order)) + 1
    size = float(np.clip(140 / len(order), 2.2, 7))
    above.plot(x, plain[order], ".", color=LIGHT.muted, ms=size, label=plain_name)
    above.plot(x, reference[order], "o", color=LIGHT.reference, ms=size + 1, mfc="none", mew=1, label=FLOAT)
    above.plot(x, int8[order], ".", color=LIGHT.int8, ms=size, label=scheme)
    figure.legend(loc="outside upper left", frameon=False, labelcolor=LIGHT.ink, fontsize=10, handletextpad=0.3)
    label(above, y="PSNR, dB")
    below.bar(x, (reference - int8)[order], color=LIGHT.int8, width=0.8)
    below.axhline(0, color=LIGHT.muted, linewidth=1)
    label(below, x="test images, from low to high PSNR", y="drop, dB")
    names = _image_names(result) if len(order) <= NAMED else []
    below.set_xticks(x[: len(names)], [names[place] for place in order[: len(names)]], fontsize=9)
    figure.align_ylabels()
    return figure


def _image_names(result: Result) -> list[str]:
    """Of the images that `_values` gives, in its order; without folders and suffixes."""
    rows = [row for row in quantize_rows(result) if row.scheme == FLOAT]
    return [Path(name).stem for row in rows for name, value in row.psnr_per_image.items() if value is not None]


def _values(result: Result, scheme: str) -> np.ndarray:
    """PSNR of every counted image of every set, in order."""
    rows = [row for row in quantize_rows(result) if row.scheme == scheme]
    return np.array([value for row in rows for value in row.psnr_per_image.values() if value is not None])


def _tradeoff(material: Material) -> Figure:
    """PSNR over latency, one dot per scheme, and the line of those that nothing beats in both."""
    timed = _rated(material)
    figure, (axis,) = new_figure(3.2)
    x = np.array([latency.median_ms for _, latency, _ in timed])
    y = np.array([psnr for _, _, psnr in timed])
    span = float(np.ptp(y)) or 0.1
    axis.set_xlim(0, x.max() * 1.75)
    bottom, top = y.min() - 0.15 * span, y.max() + 0.15 * span
    axis.set_ylim(bottom, top)
    front = frontier(x, y)
    axis.plot(x[front], y[front], color=LIGHT.third, lw=1.6, drawstyle="steps-post", label="Pareto front")
    line = 0.14 * (top - bottom)  # of text, of two lines where a scheme's name is long
    heights = spread(y, least=line, within=(bottom + line / 2, top - line / 2))
    for place, (row, _, _) in enumerate(timed):
        axis.plot(x[place], y[place], "o", color=colour_of(row.scheme), ms=8)
        axis.annotate(
            wrapped(row.scheme),
            (x[place], y[place]),
            (1.09 * x.max(), heights[place]),  # right of every dot, so that no label lies over one
            color=LIGHT.ink,
            fontsize=9,
            va="center",
            linespacing=0.95,
            arrowprops={"arrowstyle": "-", "color": LIGHT.muted, "lw": 0.7},
        )
    label(axis, x="median latency, ms (smaller is better)", y="PSNR, dB")
    return figure


def _rated(material: Material) -> list[tuple[QuantizeRow, Latency, float]]:
    return [(row, latency, row.psnr_db) for row, latency in _timed(material) if row.psnr_db is not None]


def _layers(material: Material) -> Figure:
    """Bars: drop of each layer alone; marks: gain where it alone stays float."""
    assert material.layers is not None  # `fits` said so
    every = material.layers.layers
    chosen = sorted(every, key=lambda layer: -max(layer.alone_drop_db or 0, layer.left_out_gain_db or 0))[:MOST_LAYERS]
    layers = [layer for layer in every if layer in chosen]
    figure, (axis,) = new_figure(1.2 + 0.25 * len(layers))
    names = [layer.name if len(layer.name) <= LONGEST else f"…{layer.name[1 - LONGEST :]}" for layer in layers]
    alone = np.array([layer.alone_drop_db or 0.0 for layer in layers])
    bars(axis, names, alone, [LIGHT.int8] * len(layers), digits=3, letters=8)
    tried = [(layer.left_out_gain_db, place) for place, layer in enumerate(layers)]
    gains = [(gain, place) for gain, place in tried if gain is not None]
    if gains:
        axis.plot(*zip(*gains, strict=True), "D", color=LIGHT.ink, mfc=LIGHT.page, ms=5, label="gain if left in float")
        figure.legend(loc="outside upper right", frameon=False, labelcolor=LIGHT.ink, fontsize=9)
    label(axis, x="dB (bar and number: drop of this layer alone)")
    return figure


def _devices(material: Material) -> Figure:
    """Bars: median latency of float32 and of the fastest int8 on each device."""
    found = latencies(material.summary, material.result, material.devices)
    figure, (axis,) = new_figure(0.9 + 0.5 * len(found))
    for place, (_, reference, int8) in enumerate(found):
        for value, colour, shift in ((reference, LIGHT.reference, -0.2), (int8, LIGHT.int8, 0.2)):
            if value is not None:
                axis.barh(place + shift, value, color=colour, height=0.36)
                beside(axis, place, "")
                axis.annotate(f" {fixed(value, 2)}", (value, place + shift), va="center", color=LIGHT.ink, fontsize=9)
    axis.set_yticks(range(len(found)), [name for name, _, _ in found])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.margins(x=0.18)
    label(axis, x="median ms: float32 above, fastest int8 below")
    return figure


PLOTS: Mapping[str, Plot] = {
    plot.name: plot
    for plot in (
        Plot(
            "drop",
            "Drop per scheme",
            "PSNR lost against float32. Marks are the single sets, where there are several.",
            lambda material: bool(_with_drop(material)),
            _drop,
        ),
        Plot(
            "latency",
            "Latency per scheme",
            "Bars are medians; thick lines hold the middle half of the raw samples, thin ones reach from the fastest "
            "to the 95th percentile.",
            lambda material: bool(_timed(material)),
            _latency,
        ),
        Plot("size", "Size per scheme", "Bytes of the file, card included.", lambda material: True, _size),
        Plot(
            "latency-quality",
            "Quality against latency",
            "Up and to the left is better; the green line joins the files that no other beats in both.",
            lambda material: bool(_rated(material)),
            _tradeoff,
        ),
        Plot(
            "psnr-per-image",
            "PSNR per image",
            "Every test image, sorted by float32's PSNR; below, what int8 loses on it.",
            lambda material: material.with_truth and None not in (material.summary.pick, material.summary.float_row),
            _per_image,
        ),
        Plot(
            "layers",
            "Sensitivity per layer",
            "What each layer costs if it alone is int8, and what is won if it alone stays float.",
            lambda material: material.layers is not None,
            _layers,
        ),
        Plot(
            "devices",
            "Devices side by side",
            "Median latency of one network call on every device that was measured.",
            lambda material: bool(material.devices),
            _devices,
        ),
    )
}
