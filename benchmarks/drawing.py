"""How plots are drawn: colours of light and dark pages, figures narrow enough for a phone, PNG and SVG of them."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.artifacts import FLOAT
from benchmarks.columns import fixed

WIDTH_IN, DPI = 4.6, 220
"""At this width 10-point letters are some 10 pixels high on a phone."""
INT8 = "int8"


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
    third: str


LIGHT = Theme("light", "#ffffff", "#1c2128", "#667080", "#e3e6ea", "#2f6fdb", "#d4570f", "#2a8f5b")
DARK = Theme("dark", "#171a20", "#e6e9ee", "#98a2b1", "#2c313a", "#7fb0ff", "#ff9d5c", "#5fca92")


def png(figure: Figure) -> bytes:
    """The figure as PNG. No software version or date inside: the same result gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, facecolor=LIGHT.page, metadata={"Software": None})
    return stream.getvalue()


def svg(figure: Figure) -> bytes:
    """A figure in the colours of ``LIGHT`` as SVG that takes those of ``DARK`` on a dark page.

    Letters are outlines, so that they look the same wherever the page is opened.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "octopix", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    for name, colour in _colours(LIGHT).items():
        text = text.replace(colour, f"var(--{name})")
    return text.replace("</style>", f"{_variables()}</style>", 1).encode()


def _variables() -> str:
    light, dark = (
        ";".join(f"--{name}:{colour}" for name, colour in _colours(theme).items()) for theme in (LIGHT, DARK)
    )
    return f"svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}"


def _colours(theme: Theme) -> dict[str, str]:
    return {name: value for name, value in asdict(theme).items() if name != "name"}


def new_figure(height: float, *, ratios: Sequence[int] = (1,)) -> tuple[Figure, list[Axes]]:
    """A figure of ``height`` inches with one axis for each of ``ratios``, one below the other."""
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})
    axes = [axis for (axis,) in grid]
    for axis in axes:
        axis.set_facecolor(LIGHT.page)
        axis.tick_params(colors=LIGHT.ink, labelsize=10, length=0)
        axis.grid(color=LIGHT.grid, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[:].set_visible(False)
    return figure, axes


def label(axis: Axes, *, x: str | None = None, y: str | None = None) -> None:
    """Say what the axes are, and their units."""
    if x:
        axis.set_xlabel(x, color=LIGHT.muted, fontsize=10)
    if y:
        axis.set_ylabel(y, color=LIGHT.muted, fontsize=10)


def colour_of(scheme: str) -> str:
    """Of all that stands for a scheme."""
    return LIGHT.int8 if scheme.startswith(INT8) else LIGHT.reference if scheme == FLOAT else LIGHT.muted


def wrapped(name: str) -> str:
    """A scheme in two lines where it has corrections; one line would take half of a plot."""
    calibrated, plus, corrections = name.partition("+")
    return f"{calibrated}\n{plus}{corrections}" if plus else name


def bars(
    axis: Axes, names: Sequence[str], values: np.ndarray, colours: Sequence[str], *, digits: int, letters: int = 10
) -> None:
    """Horizontal bars from above to below, their values written at the right."""
    places = np.arange(len(names))
    axis.barh(places, values, color=list(colours), height=0.62)
    for place, value in zip(places, values, strict=True):
        beside(axis, int(place), fixed(float(value), digits), letters=letters)
    axis.set_yticks(places, list(names), fontsize=letters)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.axvline(0, color=LIGHT.muted, linewidth=1)


def beside(axis: Axes, place: int, text: str, *, letters: int = 10) -> None:
    """Write at the right of a row of ``axis``."""
    where = axis.get_yaxis_transform()
    written = axis.annotate(text, (1.02, place), xycoords=where, va="center", annotation_clip=False)
    written.set(color=LIGHT.ink, fontsize=letters)


def spread(values: np.ndarray, *, least: float, within: tuple[float, float] = (-np.inf, np.inf)) -> np.ndarray:
    """Positions near ``values``, in the same order, at least ``least`` apart, so that labels do not overlap.

    All of them lie ``within`` these ends, where so many have room there.
    """
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values)) * least
    # Isotonic regression by its min-max formula: the closest non-decreasing sequence to what is left of the gaps.
    wanted = values[order] - steps
    count = len(wanted)
    means = np.array([[wanted[a : b + 1].mean() if b >= a else -np.inf for b in range(count)] for a in range(count)])
    fitted = np.array([min(means[: k + 1, b].max() for b in range(k, count)) for k in range(count)])
    placed = np.empty_like(values)
    placed[order] = np.clip(fitted, within[0], within[1] - steps[-1]) + steps
    return placed


def frontier(cost: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Indices that no other point beats in both (less ``cost``, more ``worth``), by rising cost: the Pareto front."""
    order = np.lexsort((-worth, cost))
    best = np.maximum.accumulate(worth[order])
    first = np.concatenate(([True], worth[order][1:] > best[:-1]))
    return np.asarray(order[first])
