"""A candidate's weights and biases, solved layer by layer for what each layer sees.

Either every layer is taken for itself, as if those in front of it made no error, or one after the other, each making up
for what the int8 model gets wrong before it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantize.candidate import Candidate
from quantize.filters import Filter
from quantize.moments import Views, batches, float_views, moments_of, observe, observe_both
from quantize.progress import Watch
from quantize.relay import Relay
from quantize.rounding import Moments, best_bias, best_rounding, nearest
from quantize.threads import one_thread

Array = npt.NDArray[Any]

Rule = Callable[[Filter, Sequence[Moments]], dict[int, Array]]
"""From a filter and its moments, one per group, to its new constants by tensor number."""


@dataclass(frozen=True)
class Lesson:
    """What layers learn from."""

    images: Sequence[Array]
    """uint8 (1, H, W, C)."""
    views: Views | None
    """What the float model, channels not rescaled, shows each of its filters, of those in ``nearest`` perhaps the mean
    alone; None where that is too much to keep."""
    watch: Watch
    nearest: frozenset[int] = frozenset()
    """Filters, by operator number, that are served as well by rounding to nearest, with biases for it."""


@one_thread
def solved_alone(base: Candidate, candidates: Sequence[Candidate], rule: Rule, lesson: Lesson) -> list[Candidate]:
    """Each layer for itself, in forms of one model: ``base`` is that model, no channel rescaled.

    What layers see is gathered once for all forms.
    """
    layers = list(zip(*(candidate.filters for candidate in candidates), strict=True))
    changes: list[dict[int, Array]] = [{} for _ in candidates]
    done = 0
    for seen in _gathered(base, lesson):
        for forms in (each for each in layers if each[0].operator.index in seen):
            moments = seen.pop(forms[0].operator.index)
            for each, candidate, change in zip(forms, candidates, changes, strict=True):
                scaling = _scaling(each, candidate.factors)
                own = moments if scaling is None else [one.rescaled(scaling) for one in moments]
                change.update(rule(each, own))
            done += 1
            lesson.watch("correct", done, len(layers))
    return [candidate.changed(change) for candidate, change in zip(candidates, changes, strict=True)]


@one_thread
def solved_in_turn(current: Candidate, chosen: Sequence[Filter], rule: Rule, lesson: Lesson) -> Candidate:
    """One layer after the other, each on what the int8 model, so far, gives."""
    views, factors = lesson.views, current.factors
    if views is None:
        views, factors = float_views(current.float_model, chosen, lesson.images), {}
    relay = Relay(lesson.images)
    for number, each in enumerate(chosen, start=1):
        known = None if views is None else _rescaled(views, each, _scaling(each, factors))
        moments = observe_both(current.float_model, current.int8, each, relay, known=known)
        current = current.changed(rule(each, moments))
        lesson.watch("correct", number, len(chosen))
    return current


def apart(everything: Sequence[Filter], near: Collection[int]) -> tuple[list[Filter], list[Filter]]:
    """Filters that are solved for, and those, by operator number, that are rounded to nearest."""
    solved = [each for each in everything if each.operator.index not in near]
    return solved, [each for each in everything if each.operator.index in near]


def _gathered(base: Candidate, lesson: Lesson) -> Iterator[dict[int, tuple[Moments, ...]]]:
    """What filters see, of as many at a time as fit in memory; of those rounded to nearest the means alone."""
    chosen, near = apart(base.filters, lesson.nearest)
    for batch, covariances in [*([(near, False)] if near else []), *((batch, True) for batch in batches(chosen))]:
        if lesson.views is not None:
            yield moments_of(lesson.views, batch, covariances=covariances)
        else:
            yield observe(base.float_model, batch, lesson.images, covariances=covariances)


def weights_and_biases(each: Filter, moments: Sequence[Moments]) -> dict[int, Array]:
    """The rule for weights that may leave a mean error, and biases that take it away."""
    rows = np.split(_rows(each), len(moments))
    rounded = [_rounded(part, moment) for part, moment in zip(rows, moments, strict=True)]
    parts = zip(np.split(each.bias, len(moments)), rows, rounded, moments, strict=True)
    biases = [best_bias(bias, weights, new, moment) for bias, weights, new, moment in parts]
    return each.replaced(weights=_unrowed(np.concatenate(rounded), each), bias=np.concatenate(biases))


def weights_alone(each: Filter, moments: Sequence[Moments]) -> dict[int, Array]:
    """The rule for weights whose mean error counts, too: biases stay."""
    parts = zip(np.split(_rows(each), len(moments)), moments, strict=True)
    rounded = [_rounded(rows, moment, about_zero=True) for rows, moment in parts]
    return each.replaced(weights=_unrowed(np.concatenate(rounded), each))


def _rounded(rows: Array, moments: Moments, *, about_zero: bool = False) -> Array:
    """To nearest, where nothing but means is known of what they see."""
    if not moments.knows_more_than_means:
        return nearest(rows)
    return best_rounding(rows, moments.about_zero() if about_zero else moments)


def _scaling(each: Filter, factors: Mapping[int, Array]) -> Array | None:
    """(d,) that what a filter sees is multiplied by; None where that stays as it is, as with all depthwise filters."""
    own = factors.get(each.image)
    return None if own is None else np.tile(own, each.weights[0].size // len(own)).astype(np.float64)


def _rescaled(views: Views, each: Filter, scaling: Array | None) -> Iterator[Array]:
    """One filter's views, image by image."""
    for image in views:
        own = image[each.operator.index]
        yield own if scaling is None else own.astype(np.float32) * scaling.astype(np.float32)


def _rows(each: Filter) -> Array:
    """Weights as float64 (outputs, d): d runs over kernel rows, columns and, last, the inputs an output sees."""
    weights = each.weights.astype(np.float64)
    return weights.reshape(-1, weights.shape[3]).T if each.depthwise else weights.reshape(len(weights), -1)


def _unrowed(rows: Array, each: Filter) -> Array:
    return (rows.T if each.depthwise else rows).reshape(each.weights.shape)
