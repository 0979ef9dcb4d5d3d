"""Factors of channels with which the least rounding noise reaches the output.

A tensor's channels share one step, which grows with the loudest of them: a factor makes its channel finer, and all
others coarser once that channel is the loudest. So do a kernel's weights, whose inputs are divided by the factors and
whose step is that of an output's largest weight. Both kinds of noise are known in closed form from the channels'
ranges, the weights and the gains of `quantize.noise`; their sum is smooth but for the maxima, which norms of growing
order stand in for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from quantize.equalization import WIDEST, Knot, Rule
from quantize.filters import Filter
from quantize.noise import Gains
from quantize.rounding import LEVELS
from quantize.statistics import TensorStatistics
from quantize.threads import one_thread

Array = npt.NDArray[Any]

STEPS = 255
"""Of an activation's range; a weight's magnitude has ``LEVELS``."""

WEIGHTS = 0.3
"""Of the noise of weights rounded to nearest, what adaptive rounding leaves. Of 0.1, 0.3 and 1, ESPCN ×4 is at 54.8,
54.9 and 53.8 dB of fidelity then, LESRCNN ×2 by the published weights at 51.5, 51.4 and 51.2."""

ORDERS = (4, 16, 64, 256)
"""Of the norms that stand in for the largest."""


@dataclass(frozen=True)
class Rounded:
    """A tensor whose channels carry the factors; all (C,)."""

    highs: Array
    """The largest value of each channel, ≥ 0."""
    lows: Array
    """The smallest one's magnitude, ≥ 0."""
    weight: Array
    """Noise power at the output per noise power in the channel where it is rounded."""


@dataclass(frozen=True)
class Reader:
    """A kernel that divides by the factors."""

    loudest: Array
    """(outputs, C): the largest magnitude of its weights."""
    energy: Array
    """(C,): of the values it sees, their variances, summed over its taps."""
    weight: Array
    """(outputs,): noise power at the output per noise power in what it computes."""

    @cached_property
    def log_loudest(self) -> Array:
        """Natural logarithms of ``loudest``."""
        return _log(self.loudest)


def by_noise(statistics: Mapping[int, TensorStatistics], rounded: Collection[int], found: Gains) -> Rule:
    """The rule by noise at the output.

    A factor changes neither what another knot's channels are worth nor a kernel's rows by themselves, so that the model
    as it was tells of all knots.

    Args:
        statistics: of every tensor of `quantize.equalization.knots`, channel by channel, with importance where they
            lead to an output.
        rounded: activations that are rounded, by tensor number.
        found: gains of the float model as it was.
    """
    behind = found.computed

    def rule(knot: Knot, readers: Sequence[Filter]) -> Array:
        tensors = [_rounded(statistics[index], knot.channels) for index in knot.tensors if index in rounded]
        kernels = [
            _reader(each, statistics[each.image], knot.channels, behind=behind[each.output])
            for each in knot.readers
            if each.output in behind
        ]
        return quietest_factors(tensors, kernels, knot.channels)

    return rule


def _rounded(statistics: TensorStatistics, channels: int) -> Rounded:
    """Zeros of a tensor without negative values are exact: there is no noise on them."""
    seen = statistics.by_channel
    assert seen is not None
    worth = np.zeros(len(seen.peaks)) if seen.importance is None else seen.importance  # none: it leads nowhere
    weight = worth * (statistics.active if statistics.minimum >= 0 else 1)
    return Rounded(
        highs=_largest(np.maximum(seen.maxima.max(axis=0), 0), channels),
        lows=_largest(np.maximum(-seen.minima.min(axis=0), 0), channels),
        weight=weight.reshape(-1, channels).sum(axis=0),
    )


def _reader(each: Filter, statistics: TensorStatistics, channels: int, *, behind: Array) -> Reader:
    outputs, height, width, _ = each.weights.shape
    loudest = np.abs(each.weights).max(axis=(1, 2)).reshape(outputs, -1, channels).max(axis=1)
    energy = height * width * statistics.variances.reshape(-1, channels).sum(axis=0)
    return Reader(loudest=loudest.astype(np.float64), energy=energy, weight=behind)


def _largest(values: Array, channels: int) -> Array:
    found: Array = values.reshape(-1, channels).max(axis=0).astype(np.float64)
    return found


@one_thread
def quietest_factors(tensors: Sequence[Rounded], readers: Sequence[Reader], channels: int) -> Array:
    """float32 (C,), geometric mean 1 over the channels that live.

    Nothing is known of those that are silent in every tensor: they get the factor that brings the others' mean to 1.
    """
    alive = np.any([each.highs + each.lows > 0 for each in tensors], axis=0) & np.ones(channels, bool)
    logs = np.zeros(channels)
    if alive.any():
        bounds = [(-np.log(WIDEST), np.log(WIDEST)) if lives else (0.0, 0.0) for lives in alive]
        for order in ORDERS:
            logs = minimize(_noise, logs, (tensors, readers, order), "L-BFGS-B", jac=True, bounds=bounds).x
        logs -= logs[alive].mean()
    return np.clip(np.exp(logs), 1 / WIDEST, WIDEST).astype(np.float32)


def _noise(logs: Array, tensors: Sequence[Rounded], readers: Sequence[Reader], order: int) -> tuple[float, Array]:
    """The logarithm of the noise power, and its derivatives by the factors' logarithms."""
    parts = [_of_tensor(logs, each, order) for each in tensors]
    parts += [_of_reader(logs, each, order) for each in readers]
    total = max(sum(power for power, _ in parts), np.finfo(float).tiny)
    return float(np.log(total)), np.sum([slope for _, slope in parts], axis=0) / total


def _of_tensor(logs: Array, each: Rounded, order: int) -> tuple[float, Array]:
    high, towards_high = _norm(_log(each.highs[None]) + logs, order)
    low, towards_low = _norm(_log(each.lows[None]) + logs, order)
    step = (high + low) / STEPS
    reached = each.weight * np.exp(-2 * logs) / 12
    towards = (high[:, None] * towards_high + low[:, None] * towards_low)[0] / STEPS
    return float(step[0] ** 2 * reached.sum()), 2 * step[0] * towards * reached.sum() - 2 * step[0] ** 2 * reached


def _of_reader(logs: Array, each: Reader, order: int) -> tuple[float, Array]:
    loudest, towards = _norm(each.log_loudest - logs, order)
    power = WEIGHTS * each.weight * np.square(loudest / LEVELS) / 12
    energy = each.energy * np.exp(2 * logs)
    return float(power.sum() * energy.sum()), 2 * power.sum() * energy - 2 * energy.sum() * (power @ towards)


def _log(values: Array) -> Array:
    """Finite for zeros, too."""
    found: Array = np.log(np.maximum(values, np.finfo(float).tiny))
    return found


def _norm(logs: Array, order: int) -> tuple[Array, Array]:
    """(rows,) norms over columns of exp(logs), for the largest, and (rows, columns) their logarithms' derivatives."""
    largest = logs.max(axis=1, keepdims=True)
    powers = np.exp(order * (logs - largest))
    sums = powers.sum(axis=1, keepdims=True)
    norms: Array = (np.exp(largest) * sums ** (1 / order))[:, 0]
    return norms, powers / sums
