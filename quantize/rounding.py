"""Weights rounded to int8 so that a layer's *output* stays what it was, not each weight for itself.

The error of a convolution is a quadratic form of its weights' errors, e·H·eᵀ with H the covariance of the values that
the kernel sees. Rounding to nearest ignores all of H but its diagonal. Here weights are rounded one after the other,
each error made up for by the weights still to come (Frantar et al., "GPTQ", ICLR 2023, after Hassibi's optimal brain
surgeon), then single weights are moved by whole levels while that lowers the error (the objective of Nagel et al., "Up
or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020, solved by coordinate descent).

Rounded weights stay floats, whole multiples of their channel's scale max|w| / 127, and one of each channel is at ±127:
the quantizer then finds just that scale and just those integers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

Array = npt.NDArray[Any]

LEVELS = 127
"""TFLite's int8 weights are symmetric and narrow: -127..127."""

SMALLEST = 1e-12
"""Scale of a channel whose weights are all zero."""

DAMPING = 1e-3
"""Of H's mean diagonal, added to all of it: directions that the images never showed count a little, too."""

SWEEPS = 20
"""Of coordinate descent at most."""

SETTLED = 1e-4
"""Descent ends when no larger fraction of the weights moves in a sweep."""

BLOCK = 128
"""Columns; of the order that keeps a block's part of the Hessian in the cache."""


@dataclass(frozen=True)
class Moments:
    """What the kernel of a layer sees: d values around n places, by the float model (x) and by the int8 model (z).

    Where a layer is taken for itself, the int8 model is taken to see what the float model sees.
    """

    covariance: Array
    """float64 (d, d) of z; empty where nothing but means was gathered."""
    cross: Array | None
    """float64 (d, d), covariance of x with z; None where z is taken to be x."""
    mean: Array
    """float64 (d,) of x."""
    mean_int8: Array
    """float64 (d,) of z."""

    @property
    def knows_more_than_means(self) -> bool:
        """Whether weights can be solved for."""
        return self.covariance.size > 0

    def about_zero(self) -> "Moments":
        """Second moments in place of covariances, for a layer whose bias stays: the mean error counts, too."""
        zero = np.zeros_like(self.mean)
        return Moments(
            covariance=self.covariance + np.outer(self.mean_int8, self.mean_int8),
            cross=None if self.cross is None else self.cross + np.outer(self.mean, self.mean_int8),
            mean=zero,
            mean_int8=zero,
        )

    def rescaled(self, factors: Array) -> "Moments":
        """Of values multiplied by factors (d,)."""
        square = np.outer(factors, factors) if self.knows_more_than_means else np.ones(())
        return Moments(
            covariance=self.covariance * square,
            cross=None if self.cross is None else self.cross * square,
            mean=self.mean * factors,
            mean_int8=self.mean_int8 * factors,
        )


def nearest(weights: Array) -> Array:
    """Each of (outputs, d) rounded for itself: what the quantizer does."""
    scales = _scales(weights)
    return _snapped(weights / scales) * scales


def best_rounding(weights: Array, moments: Moments) -> Array:
    """Rounded weights whose output on the int8 model's values is closest to the float layer's on the float model's.

    So the layer makes up for what the int8 layers in front of it got wrong, too, where moments tell of both models.

    Args:
        weights: float64 (outputs, d).
        moments: of the layer's inputs.

    Returns:
        float64 (outputs, d), each row whole multiples of a scale.
    """
    damping = np.diag(np.full(len(moments.mean), _damping(moments.covariance)))
    hessian = moments.covariance + damping
    wanted = weights
    if moments.cross is not None:
        wanted = np.linalg.solve(hessian, (weights @ (moments.cross + damping)).T).T
    scales = _scales(wanted)
    loudest = np.abs(wanted).argmax(axis=1)
    levels = _in_sequence(wanted, scales, hessian)
    rows = np.arange(len(levels))
    levels[rows, loudest] = LEVELS * np.sign(wanted[rows, loudest])
    return _descended(levels, wanted, scales, hessian, fixed=loudest) * scales


def best_bias(bias: Array, weights: Array, rounded: Array, moments: Moments) -> Array:
    """The bias with which the rounded layer has the float layer's mean output.

    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, with measured
    means.
    """
    best: Array = bias + weights @ moments.mean - rounded @ moments.mean_int8
    return best


def _damping(covariance: Array) -> float:
    return max(DAMPING * float(np.mean(np.diag(covariance))), SMALLEST)


def _scales(weights: Array) -> Array:
    """(outputs, 1)."""
    loudest: Array = np.abs(weights).max(axis=1, keepdims=True)
    return np.maximum(loudest, SMALLEST) / LEVELS


def _snapped(levels: Array) -> Array:
    snapped: Array = np.clip(np.rint(levels), -LEVELS, LEVELS)
    return snapped


def _in_sequence(wanted: Array, scales: Array, hessian: Array) -> Array:
    """GPTQ: inputs in order of their energy; all outputs at once, since they share the Hessian."""
    order = np.argsort(-np.diag(hessian))
    factor = _inverse_factor(hessian[np.ix_(order, order)])
    rest, levels = wanted[:, order], np.empty_like(wanted)
    for block in _blocks(len(order)):
        errors = np.empty_like(rest[:, block])
        for at, place in enumerate(range(block.start, block.stop)):
            levels[:, order[place]] = _snapped(rest[:, place] / scales[:, 0])
            errors[:, at] = (rest[:, place] - levels[:, order[place]] * scales[:, 0]) / factor[place, place]
            inside = slice(place + 1, block.stop)
            rest[:, inside] -= np.outer(errors[:, at], factor[place, inside])
        rest[:, block.stop :] -= errors @ factor[block, block.stop :]
    return levels


def _blocks(size: int) -> list[slice]:
    """Columns that are worked on together, so that the rest is updated by one matrix product for all of them."""
    return [slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK)]


def _inverse_factor(hessian: Array) -> Array:
    """Upper triangular R with RᵀR the inverse of ``hessian``, which itself is never inverted."""
    backwards = np.linalg.cholesky(hessian[::-1, ::-1])
    inverse, _ = lapack.dtrtri(backwards, lower=True)
    factor: Array = inverse[::-1, ::-1]
    return factor


def _descended(levels: Array, wanted: Array, scales: Array, hessian: Array, *, fixed: Array) -> Array:
    """Move single weights by whole levels while the error falls; ``fixed`` names one per row that stays."""
    slope = (levels * scales - wanted) @ hessian
    for _ in range(SWEEPS):
        before = levels.copy()
        for block in _blocks(levels.shape[1]):
            _descend_block(levels, slope, scales, hessian, block=block, fixed=fixed)
        if np.count_nonzero(levels != before) <= SETTLED * levels.size:
            break
    return levels


def _descend_block(levels: Array, slope: Array, scales: Array, hessian: Array, *, block: slice, fixed: Array) -> None:
    """One visit to every column of a block; ``levels`` and ``slope`` are changed in place."""
    inside, near = slope[:, block].copy(), hessian[block, block]
    steps = np.zeros_like(inside)
    for at, column in enumerate(range(block.start, block.stop)):
        now = levels[:, column]
        best = _snapped(now - inside[:, at] / (scales[:, 0] * near[at, at]))
        steps[:, at] = np.where(fixed == column, 0, best - now)
        if steps[:, at].any():
            levels[:, column] += steps[:, at]
            inside += (steps[:, at] * scales[:, 0])[:, None] * near[at]
    if steps.any():
        slope += (steps * scales) @ hessian[block]
