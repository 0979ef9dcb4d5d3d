"""The plots of a report, drawn for light and for dark pages, narrow enough to be read on a phone."""

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.artifacts import FLOAT
from benchmarks.columns import fixed
from benchmarks.suite import rows_by_set
from benchmarks.summary import INT8, Summary, quantize_rows
from octopix.results import QuantizeRow, Result

WIDTH_IN, DPI = 4.6, 220
"""At this width 10-point letters are some 10 pixels high on a phone."""


LEGEND_LETTERS, MARK_LETTERS = 60, 6
"""So many letters fit in one line of a legend, and so many are as wide as a mark with its gaps."""
NAMED = 5
"""So many images can have their names under a plot of this width."""


@dataclass(frozen=True)
class Theme:
    """Colours of one kind of page; blue and orange can be told apart by nearly everyone."""

    name: str
    page: str
    ink: str
    muted: str
    grid: str
    reference: str
    int8: str


LIGHT = Theme("light", "#ffffff", "#1c2128", "#667080", "#e3e6ea", "#2f6fdb", "#d4570f")
DARK = Theme("dark", "#171a20", "#e6e9ee", "#98a2b1", "#2c313a", "#7fb0ff", "#ff9d5c")
THEMES = (LIGHT, DARK)


@dataclass(frozen=True)
class Plot:
    """One kind of plot; ``draw`` is only called for results that have what it shows."""

    name: str
    title: str
    explanation: str
    fits: Callable[[Summary], bool]
    draw: Callable[[Summary, Result, Theme], Figure]


def render(plot: Plot, summary: Summary, result: Result, theme: Theme) -> bytes:
    """The plot as PNG."""
    figure = plot.draw(summary, result, theme)
    stream = io.BytesIO()
    # No software version or date inside: the same result gives the same bytes.
    figure.savefig(stream, format="png", dpi=DPI, facecolor=theme.page, metadata={"Software": None})
    return stream.getvalue()


def _figure(theme: Theme, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    FigureCanvasAgg(figure)
    ratios = (3, 2)[:rows]
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})
    axes = [axis for (axis,) in grid]
    for axis in axes:
        axis.set_facecolor(theme.page)
        axis.tick_params(colors=theme.ink, labelsize=10, length=0)
        axis.grid(color=theme.grid, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[:].set_visible(False)
    return figure, axes


def _label(axis: Axes, theme: Theme, *, x: str | None = None, y: str | None = None) -> None:
    if x:
        axis.set_xlabel(x, color=theme.muted, fontsize=10)
    if y:
        axis.set_ylabel(y, color=theme.muted, fontsize=10)


def _colour(scheme: str, theme: Theme) -> str:
    return theme.int8 if scheme.startswith(INT8) else theme.reference if scheme == FLOAT else theme.muted


def _drop(summary: Summary, result: Result, theme: Theme) -> Figure:
    """Bars: drop over all sets, written at the right; marks: each set."""
    rows = [row for row in summary.rows if row.drop_db is not None and row.scheme != FLOAT]
    sets = rows_by_set(quantize_rows(result))
    figure, (axis,) = _figure(theme, 1.05 + 0.36 * len(rows))
    drops, places = np.array([row.drop_db or 0.0 for row in rows]), np.arange(len(rows))
    axis.barh(places, drops, color=[_colour(row.scheme, theme) for row in rows], height=0.62)
    if len(sets) > 1:
        _mark_sets(axis, theme, [row.scheme for row in rows], sets)
        columns = len(sets) if sum(len(name) + MARK_LETTERS for name in sets) <= LEGEND_LETTERS else 1
        figure.legend(loc="outside upper right", ncols=columns, frameon=False, labelcolor=theme.ink, fontsize=9)
    beside = axis.get_yaxis_transform()
    for place, drop in zip(places, drops, strict=True):
        text = axis.annotate(fixed(drop, 3), (1.02, place), xycoords=beside, va="center", annotation_clip=False)
        text.set(color=theme.ink, fontsize=10)
    axis.set_yticks(places, [row.scheme for row in rows])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.axvline(0, color=theme.muted, linewidth=1)
    _label(axis, theme, x="dB lost against float32 (smaller is better)")
    return figure


def _mark_sets(axis: Axes, theme: Theme, schemes: Sequence[str], sets: Mapping[str, Sequence[QuantizeRow]]) -> None:
    for (name, rows), marker in zip(sets.items(), itertools.cycle("osD^vP*X")):
        by_scheme = {row.scheme: row.drop_db or 0.0 for row in rows}
        values = [by_scheme[scheme] for scheme in schemes]
        (marks,) = axis.plot(
            values, range(len(schemes)), marker, label=name, color=theme.ink, ms=5, ls="none", clip_on=False
        )
        marks.set(markerfacecolor=theme.page, markeredgewidth=1.1)


def _per_image(summary: Summary, result: Result, theme: Theme) -> Figure:
    """Above: PSNR of every image, sorted by float32's; below: what int8 loses on it."""
    assert summary.pick is not None  # `fits` said so
    scheme = summary.pick.row.scheme
    assert summary.baseline is not None  # every result has its row
    baseline = summary.baseline.scheme
    reference, int8, plain = (_values(result, name) for name in (FLOAT, scheme, baseline))
    order = np.argsort(reference)
    figure, (above, below) = _figure(theme, 5.9, rows=2)
    x = np.arange(len(order)) + 1
    size = float(np.clip(140 / len(order), 2.2, 7))
    above.plot(x, plain[order], ".", color=theme.muted, ms=size, label=baseline)
    above.plot(x, reference[order], "o", color=theme.reference, ms=size + 1, mfc="none", mew=1, label=FLOAT)
    above.plot(x, int8[order], ".", color=theme.int8, ms=size, label=scheme)
    above.legend(loc="upper left", frameon=False, labelcolor=theme.ink, fontsize=10, handletextpad=0.3)
    _label(above, theme, y="PSNR, dB")
    drops = (reference - int8)[order]
    below.bar(x, drops, color=theme.int8, width=0.8)
    below.axhline(0, color=theme.muted, linewidth=1)
    _label(below, theme, x="test images, from low to high PSNR", y="drop, dB")
    names = _names(result) if len(order) <= NAMED else []
    below.set_xticks(x[: len(names)], [names[place] for place in order[: len(names)]], fontsize=9)
    figure.align_ylabels()
    return figure


def _names(result: Result) -> list[str]:
    """Of the images that `_values` gives, in its order; without folders and suffixes."""
    rows = [row for row in quantize_rows(result) if row.scheme == FLOAT]
    return [Path(name).stem for row in rows for name, value in row.psnr_per_image.items() if value is not None]


def _values(result: Result, scheme: str) -> np.ndarray:
    """PSNR of every counted image of every set, in order."""
    rows = [row for row in quantize_rows(result) if row.scheme == scheme]
    return np.array([value for row in rows for value in row.psnr_per_image.values() if value is not None])


def _tradeoff(summary: Summary, result: Result, theme: Theme) -> Figure:
    """PSNR over latency, one dot per scheme."""
    rows = [row for row in summary.rows if row.latency is not None]
    figure, (axis,) = _figure(theme, 3.2)
    x = np.array([_median(row) for row in rows])
    y = np.array([row.psnr_db for row in rows])
    span = float(np.ptp(y)) or 0.1
    axis.set_xlim(0, x.max() * 1.5)
    axis.set_ylim(y.min() - 0.15 * span, y.max() + 0.15 * span)
    heights = spread(y, least=0.085 * 1.3 * span)
    for place, row in enumerate(rows):
        colour = _colour(row.scheme, theme)
        axis.plot(x[place], y[place], "o", color=colour, ms=8)
        axis.annotate(
            row.scheme,
            (x[place], y[place]),
            (1.09 * x.max(), heights[place]),  # right of every dot, so that no label lies over one
            color=theme.ink,
            fontsize=10,
            va="center",
            arrowprops={"arrowstyle": "-", "color": theme.muted, "lw": 0.7},
        )
    _label(axis, theme, x="median latency, ms (smaller is better)", y="PSNR, dB")
    return figure


def _median(row: QuantizeRow) -> float:
    return row.latency.median_ms if row.latency is not None else float("nan")


def spread(values: np.ndarray, *, least: float) -> np.ndarray:
    """Positions near ``values``, in the same order, at least ``least`` apart, so that labels do not overlap."""
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values)) * least
    # Isotonic regression by its min-max formula: the closest non-decreasing sequence to what is left of the gaps.
    wanted = values[order] - steps
    count = len(wanted)
    means = np.array([[wanted[a : b + 1].mean() if b >= a else -np.inf for b in range(count)] for a in range(count)])
    fitted = np.array([min(means[: k + 1, b].max() for b in range(k, count)) for k in range(count)])
    placed = np.empty_like(values)
    placed[order] = fitted + steps
    return placed


PLOTS: Mapping[str, Plot] = {
    plot.name: plot
    for plot in (
        Plot(
            "drop",
            "Drop per scheme",
            "PSNR lost against float32. Marks are the single sets, where there are several.",
            lambda summary: any(row.drop_db is not None and row.scheme != FLOAT for row in summary.rows),
            _drop,
        ),
        Plot(
            "latency-quality",
            "Latency against quality",
            "Up and to the left is better.",
            lambda summary: any(row.latency is not None for row in summary.rows),
            _tradeoff,
        ),
        Plot(
            "psnr-per-image",
            "PSNR per image",
            "Every test image, sorted by float32's PSNR; below, what int8 loses on it.",
            lambda summary: summary.pick is not None and summary.float_row is not None,
            _per_image,
        ),
    )
}
