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
"""Of coordinate descent at most; it ends when nothing moves, on the networks tried after 5 to 15."""


@dataclass(frozen=True)
class Moments:
    """What the kernel of a layer sees: d values around n places, by the float model (x) and by the int8 model (z)."""

    covariance: Array
    """float64 (d, d) of z."""
    cross: Array
    """float64 (d, d), covariance of x with z."""
    mean: Array
    """float64 (d,) of x."""
    mean_int8: Array
    """float64 (d,) of z."""

    def alone(self) -> "Moments":
        """As if the float model saw the int8 model's values: for a layer that shall only mend what it breaks itself."""
        return Moments(self.covariance, self.covariance, self.mean_int8, self.mean_int8)

    def about_zero(self) -> "Moments":
        """Second moments in place of covariances, for a layer whose bias stays: the mean error counts, too."""
        zero = np.zeros_like(self.mean)
        return Moments(
            covariance=self.covariance + np.outer(self.mean_int8, self.mean_int8),
            cross=self.cross + np.outer(self.mean, self.mean_int8),
            mean=zero,
            mean_int8=zero,
        )


def nearest(weights: Array) -> Array:
    """Each of (outputs, d) rounded for itself: what the quantizer does."""
    scales = _scales(weights)
    return _snapped(weights / scales) * scales


def best_rounding(weights: Array, moments: Moments) -> Array:
    """Rounded weights whose output on the int8 model's values is closest to the float layer's on the float model's.

    So the layer makes up for what the int8 layers in front of it got wrong, too; `Moments.alone` leaves that out.

    Args:
        weights: float64 (outputs, d).
        moments: of the layer's inputs.

    Returns:
        float64 (outputs, d), each row whole multiples of a scale.
    """
    damping = np.diag(np.full(len(moments.mean), _damping(moments.covariance)))
    hessian = moments.covariance + damping
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
    for place, column in enumerate(order):
        levels[:, column] = _snapped(rest[:, place] / scales[:, 0])
        error = (rest[:, place] - levels[:, column] * scales[:, 0]) / factor[place, place]
        rest[:, place + 1 :] -= np.outer(error, factor[place, place + 1 :])
    return levels


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
        moved = False
        for column, curvature in enumerate(np.diag(hessian)):
            now = levels[:, column]
            best = _snapped(now - slope[:, column] / (scales[:, 0] * curvature))
            step = np.where(fixed == column, 0, best - now)
            if step.any():
                moved = True
                levels[:, column] += step
                slope += (step * scales[:, 0])[:, None] * hessian[column]
        if not moved:
            break
    return levels
