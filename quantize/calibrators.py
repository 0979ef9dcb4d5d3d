"""Calibrators: from a tensor's statistics to the range that int8 shall cover.

A calibrator is a function from `quantize.statistics.TensorStatistics` to ``(lo, hi)`` with lo ≤ 0 ≤ hi, as TFLite
needs zero to be exact. What lies outside saturates. Pure NumPy; adding one is a function and a line in ``CALIBRATORS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from quantize.statistics import TensorStatistics

Array = npt.NDArray[Any]
Range = tuple[float, float]
Calibrator = Callable[["TensorStatistics"], Range]

LEVELS = 255
"""Steps between the 256 values of an 8-bit integer."""

PERCENTILE = 99.99
"""99.9 lost 3 dB on LESRCNN: a restoration network's rare large activations are edges, not noise."""

COARSE = 0.9 ** np.arange(24)
"""Fractions of the full range that a search tries first: 1 down to 0.09, 10 % apart."""

FINE = np.linspace(0.9, 1.1, 9)
"""Factors around the best coarse fraction: 2.5 % apart, where the error's minimum is flat."""


def minmax(statistics: TensorStatistics) -> Range:
    """The exact extremes: nothing saturates on the calibration images."""
    return with_zero(statistics.minimum, statistics.maximum)


def moving(statistics: TensorStatistics) -> Range:
    """Mean over the images of each image's extremes: one odd image does not decide (Jacob et al., 2018)."""
    return with_zero(statistics.mean_minimum, statistics.mean_maximum)


def percentile(statistics: TensorStatistics) -> Range:
    """The central ``PERCENTILE`` % of the values, the rest split evenly between the two sides."""
    tail = (100 - PERCENTILE) / 2
    lo, hi = np.percentile(statistics.sample, (tail, 100 - tail))
    return with_zero(float(lo), float(hi))


def mse(statistics: TensorStatistics) -> Range:
    """The range with the least mean squared int8 error on the sampled values.

    Rounding error falls and saturation error grows as the range shrinks; both are measured, not modelled. First both
    sides shrink together, then each side alone. One-sided tensors (after a ReLU) keep 0 as their end. Where it is known
    what channels are worth at the output, errors count as much.
    """
    sample, importances = statistics.sample, statistics.importances
    full = with_zero(statistics.minimum, statistics.maximum)
    return _search(full, lambda bounds: quantization_mse(sample, bounds, importances))


def entropy(statistics: TensorStatistics) -> Range:
    """The range whose int8 histogram diverges least from the float one (Kullback–Leibler; Migacz, GTC 2017).

    Zeros are left out: int8 holds them exactly, and behind a ReLU they would outweigh everything else.
    """
    full = with_zero(statistics.minimum, statistics.maximum)
    counts, edges = np.histogram(statistics.sample[statistics.sample != 0], bins=8 * (LEVELS + 1), range=full)
    return _search(full, lambda bounds: _divergence(counts, (edges[:-1] + edges[1:]) / 2, bounds))


CALIBRATORS: dict[str, Calibrator] = {
    "minmax": minmax,
    "moving": moving,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}


def per_tensor(choice: Mapping[str, Calibrator], *, otherwise: Calibrator) -> Calibrator:
    """A calibrator for each tensor: ``choice`` by the tensor's name, up to a ``;`` in it, else ``otherwise``."""

    def chosen(statistics: TensorStatistics) -> Range:
        return choice.get(statistics.name.partition(";")[0], otherwise)(statistics)

    return chosen


def with_zero(lo: float, hi: float) -> Range:
    """The range, widened to hold zero."""
    return min(lo, 0.0), max(hi, 0.0)


def quantize_like_int8(values: Array, bounds: Range) -> Array:
    """``values`` after a round trip through int8: scale (hi − lo)/255, zero point rounded to an integer, as in TFLite.

    Args:
        values: float32, any shape.
        bounds: (lo, hi) with lo ≤ 0 ≤ hi and lo < hi.
    """
    step = np.float32((bounds[1] - bounds[0]) / LEVELS)
    zero = round(-bounds[0] / float(step))
    levels = values * (1 / step)
    np.rint(levels, out=levels)
    np.clip(levels, -zero, LEVELS - zero, out=levels)
    levels *= step
    return levels


def quantization_mse(values: Array, bounds: Range, importances: Array | None = None) -> float:
    """Mean squared error of int8 with this range, each value's weighted by its importance."""
    error = quantize_like_int8(values, bounds)
    error -= values
    weighted = error if importances is None else error * importances
    return float(np.dot(weighted, error)) / max(1, error.size)


def _search(full: Range, cost: Callable[[Range], float]) -> Range:
    """Least cost over ranges inside ``full``; each end stays where it is zero."""
    best = _best(((full[0] * f, full[1] * f) for f in COARSE), cost)
    if full[0] < 0 < full[1]:
        best = _best(((best[0], full[1] * f) for f in COARSE), cost, best)
        best = _best(((full[0] * f, best[1]) for f in COARSE), cost, best)
        best = _best(((max(full[0], best[0] * f), best[1]) for f in FINE), cost, best)
    return _best(((best[0], min(full[1], best[1] * f)) for f in FINE), cost, best)


def _best(candidates: Iterable[Range], cost: Callable[[Range], float], *more: Range) -> Range:
    return min((*more, *candidates), key=cost)


def _divergence(counts: Array, centres: Array, bounds: Range) -> float:
    """KL divergence (nats) of the histogram from its int8 version, which spreads each level over its filled bins."""
    levels = np.rint(np.clip(centres, *bounds) / ((bounds[1] - bounds[0]) / LEVELS)).astype(np.int64)
    levels -= levels.min()
    inside = (centres >= bounds[0]) & (centres <= bounds[1])
    filled = inside & (counts > 0)
    clipped = np.where(inside, counts, 0).astype(np.float64)
    first, last = np.flatnonzero(inside)[[0, -1]]
    clipped[first] += counts[:first].sum()
    clipped[last] += counts[last + 1 :].sum()
    mass = np.bincount(levels[filled], counts[filled], minlength=levels.max() + 1)
    bins = np.bincount(levels[filled], minlength=levels.max() + 1)
    spread = np.where(filled, mass[levels] / np.maximum(bins[levels], 1), 0)
    p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1)
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-9))))
