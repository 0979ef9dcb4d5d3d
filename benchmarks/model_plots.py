"""The plots over all models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.drawing import LIGHT, bars, frontier, label, new_figure, spread
from benchmarks.material import Material
from benchmarks.summary import Summary
from octopix.results import QuantizeRow

Materials = Sequence[Material]


@dataclass(frozen=True)
class ModelPlot:
    """One kind of plot; ``draw`` is only called where there is something to show."""

    name: str
    title: str
    explanation: str
    fits: Callable[[Materials], bool]
    draw: Callable[[Materials], Figure]


@dataclass(frozen=True)
class _Point:
    """One file: what it wins over doing without a network, and how long it takes."""

    model: str
    group: str
    """``×2`` …, or enhancement: what compares."""
    int8: bool
    ms: float
    gain: float


def _picked(materials: Materials) -> list[tuple[Summary, QuantizeRow]]:
    return [(each.summary, each.summary.pick.row) for each in materials if each.summary.pick is not None]


def _dropped(materials: Materials) -> list[tuple[Summary, QuantizeRow]]:
    return [(summary, row) for summary, row in _picked(materials) if row.drop_db is not None]


def _drops(materials: Materials) -> Figure:
    pairs = sorted(_dropped(materials), key=lambda pair: -(pair[1].drop_db or 0))
    figure, (axis,) = new_figure(0.8 + 0.27 * len(pairs))
    names, drops = [summary.model for summary, _ in pairs], np.array([row.drop_db or 0.0 for _, row in pairs])
    bars(axis, names, drops, [LIGHT.int8] * len(pairs), digits=3, letters=9)
    label(axis, x="dB lost by the int8 file to ship (smaller is better)")
    return figure


def _sizes(materials: Materials) -> Figure:
    pairs = [(summary, row) for summary, row in _picked(materials) if summary.float_row and summary.float_row.kib]
    pairs.sort(key=lambda pair: -(pair[1].kib or 0))
    figure, (axis,) = new_figure(0.8 + 0.3 * len(pairs))
    places = np.arange(len(pairs))
    whole = [summary.float_row.kib if summary.float_row and summary.float_row.kib else 1.0 for summary, _ in pairs]
    axis.plot(whole, places, "o", color=LIGHT.reference, mfc="none", ms=6, label="float32")
    axis.plot([row.kib or 1.0 for _, row in pairs], places, "o", color=LIGHT.int8, ms=6, label="int8")
    axis.set_xscale("log")
    axis.set_yticks(places, [summary.model for summary, _ in pairs], fontsize=9)
    axis.invert_yaxis()
    figure.legend(loc="outside upper right", ncols=2, frameon=False, labelcolor=LIGHT.ink, fontsize=9)
    label(axis, x="KiB")
    return figure


def _points(materials: Materials) -> list[_Point]:
    """Files that are better than no network."""
    found = []
    for material in materials:
        summary, plain = material.summary, material.summary.baseline
        for row, int8 in ((summary.float_row, False), (summary.pick.row if summary.pick else None, True)):
            if row is None or row.latency is None or row.psnr_db is None or plain is None or plain.psnr_db is None:
                continue
            found.append(_Point(summary.model, _group(row), int8, row.latency.median_ms, row.psnr_db - plain.psnr_db))
    return [point for point in found if point.gain > 0]


def _group(row: QuantizeRow) -> str:
    scale = row.card.scale if row.card is not None else 1
    return f"×{scale}" if scale > 1 else "enhancement"


def _pareto(materials: Materials) -> Figure:
    """Gain over latency, one panel for each scale, with the front over all its files."""
    points = _points(materials)
    groups = sorted({point.group for point in points}, key=lambda group: (group == "enhancement", group))
    figure, axes = new_figure(0.5 + 1.9 * len(groups), ratios=(1,) * len(groups))
    right = max(point.ms for point in points)
    for axis, group in zip(axes, groups, strict=True):
        axis.set_xscale("log")
        _panel(axis, [point for point in points if point.group == group], right=right)
        axis.set_title(group, loc="left", color=LIGHT.ink, fontsize=10)
        label(axis, y="dB")
    axes[0].set_xlim(right=right * 1.3)
    label(axes[-1], x="median latency, ms (smaller is better)")
    return figure


def _panel(axis: Axes, points: Sequence[_Point], *, right: float) -> None:
    x, y = np.array([point.ms for point in points]), np.array([point.gain for point in points])
    front = frontier(x, y)
    axis.plot(x[front], y[front], color=LIGHT.third, lw=1.6, drawstyle="steps-post")
    for point in points:
        colour = LIGHT.int8 if point.int8 else LIGHT.reference
        axis.plot(point.ms, point.gain, "o", color=colour, mfc=colour if point.int8 else "none", ms=6)
    span = float(np.ptp(y)) or 0.2
    axis.set_ylim(y.min() - 0.2 * span, y.max() + 0.2 * span)
    models = {point.model: point for point in points}  # int8, which comes last, where there is one
    heights = spread(np.array([point.gain for point in models.values()]), least=0.15 * span)
    for point, height in zip(models.values(), heights, strict=True):
        axis.annotate(
            point.model,
            (point.ms, point.gain),
            (right * 1.5, float(height)),
            color=LIGHT.ink,
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": LIGHT.grid, "lw": 0.7},
        )


MODEL_PLOTS = (
    ModelPlot(
        "pareto",
        "Quality against latency",
        "PSNR won over doing without a network, against latency at an input of 128×128; float32 hollow, the int8 file "
        "filled. The green lines join the files that no other of their scale beats in both. Networks that win nothing "
        "are left out.",
        lambda materials: bool(_points(materials)),
        _pareto,
    ),
    ModelPlot(
        "drops",
        "Drop per model",
        "Of the int8 file to ship, against float32, over the model's test sets.",
        lambda materials: bool(_dropped(materials)),
        _drops,
    ),
    ModelPlot(
        "sizes",
        "Size per model",
        "Of the float32 file and the int8 file to ship.",
        lambda materials: bool(_picked(materials)),
        _sizes,
    ),
)
