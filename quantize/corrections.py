"""Corrections of a calibrated float model before it becomes integers; each is kept only where it helps.

``cle``        channels rescaled (`quantize.equalization`), then calibrated anew
``bias``       biases that give every layer its float mean output
``adaround``   weights rounded for the layer's output (`quantize.rounding`)

They judge themselves on a quarter of the calibration crops that no statistic has seen: mean squared error of the int8
output against the float output. Adding one is a function and a line in `CORRECTIONS`.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize.calibrators import Calibrator, Range
from quantize.equalization import equalized, knots
from quantize.filters import Filter, filters, separated, with_constants
from quantize.moments import batches, gather
from quantize.ranges import calibrate, calibrated_tensors, complete, to_int8
from quantize.rounding import Moments, best_bias, best_rounding, nearest
from quantize.statistics import channel_peaks, collect

Array = npt.NDArray[Any]
Watch = Callable[[str, int, int], None]

HELD_BACK = 4
"""Every fourth crop judges; the others teach."""

TAUGHT = 24
"""Crops that moments are gathered on. On LESRCNN ×2 twice as many changed the drop by less than 0.003 dB."""

STRENGTH = 0.5
"""Of equalization. Of 0, 0.5 and 1 it was the best on ESPCN ×2, SRCNN and LESRCNN ×2: 1 lost more than nothing did."""
STAGES = 6
"""Groups of layers that are rounded one after the other, each on what the groups before it really give."""


@dataclass(frozen=True)
class Candidate:
    """All that an int8 model is made of."""

    float_model: bytes
    """From `quantize.filters.separated`; computes what the user's model computes."""
    ranges: Mapping[int, Range]
    constants: Mapping[int, Array] = field(default_factory=dict)
    """By tensor number: what takes the place of the float model's weights and biases in the int8 model."""

    @cached_property
    def int8(self) -> bytes:
        """The full-integer model."""
        return to_int8(with_constants(self.float_model, self.constants), self.ranges)

    @cached_property
    def all_constants(self) -> dict[int, Array]:
        """Every convolution's weights and bias as they stand in the int8 model before rounding, by tensor number."""
        found = filters(read_graph(with_constants(self.float_model, self.constants)))
        return {index: values for each in found for index, values in each.replaced(each.weights, each.bias).items()}

    def changed(self, constants: Mapping[int, Array]) -> "Candidate":
        """With further constants replaced."""
        return dataclasses.replace(self, constants={**self.constants, **constants})


@dataclass
class Corrector:
    """What corrections share: images that teach, images that judge, and how ranges are found.

    Args:
        float_model: float ``.tflite`` without a card.
        crops: uint8 (1, H, W, C), at least two.
        calibrator: finds the ranges.
        watch: told of the progress.
    """

    float_model: bytes
    crops: Sequence[Array]
    calibrator: Calibrator
    watch: Watch = field(default=lambda what, done, total: None)

    @cached_property
    def judges(self) -> tuple[Array, ...]:
        """Crops held back."""
        return tuple(self.crops[HELD_BACK - 1 :: HELD_BACK]) or tuple(self.crops[-1:])

    @cached_property
    def teachers(self) -> tuple[Array, ...]:
        """Crops that moments come from, spread over those that are not held back."""
        rest = [crop for place, crop in enumerate(self.crops) if place % HELD_BACK != HELD_BACK - 1] or self.crops
        return tuple(rest[int(place)] for place in np.linspace(0, len(rest) - 1, min(TAUGHT, len(rest))))

    @cached_property
    def start(self) -> Candidate:
        """The model uncorrected."""
        model = separated(self.float_model)
        return Candidate(model, self.calibrated(model))

    def calibrated(self, model: bytes) -> dict[int, Range]:
        """Ranges of a float model on all crops that are not held back."""
        graph = read_graph(model)
        images = [crop for place, crop in enumerate(self.crops) if place % HELD_BACK != HELD_BACK - 1] or self.crops

        def tell(done: int) -> None:
            self.watch("calibrate again", done, len(images))

        found = collect(model, map(_real, images), tensors=calibrated_tensors(graph), watch=tell)
        return complete(graph, calibrate(found, self.calibrator))

    @cached_property
    def wanted(self) -> tuple[Array, ...]:
        """The float model's outputs on the crops held back, clipped to [0, 1]."""
        session = open_session(self.float_model)
        return tuple(np.clip(session.invoke(_real(crop)), 0, 1) for crop in self.judges)

    def error(self, candidate: Candidate) -> float:
        """Mean squared error against float on the crops held back."""
        session = open_session(candidate.int8)
        errors = (session.invoke(crop) / 255 - wanted for crop, wanted in zip(self.judges, self.wanted, strict=True))
        return float(np.mean([np.mean(np.square(error)) for error in errors]))


@dataclass(frozen=True)
class Corrected:
    """What came of it."""

    start: Candidate
    candidate: Candidate
    kept: tuple[str, ...]
    """Corrections that helped, in their order, with what was chosen."""
    errors: tuple[tuple[str, float], ...]
    """Every attempt and its mean squared error on the crops held back."""


Attempts = Callable[[Corrector, Candidate, Collection[str]], Sequence[tuple[str, Candidate]]]
"""From a candidate, and the names of all corrections asked for, to its corrected forms, each with a name."""


def equalize_channels(
    corrector: Corrector, candidate: Candidate, names: Collection[str]
) -> list[tuple[str, Candidate]]:
    """Channels rescaled and ranges found anew; no attempt where no channel is free."""
    wanted = {index for knot in knots(read_graph(candidate.float_model)) for index in knot.tensors}
    if not wanted:
        return []
    peaks = channel_peaks(candidate.float_model, map(_real, corrector.teachers), tensors=wanted)
    model = equalized(candidate.float_model, peaks, strength=STRENGTH)
    return [("cle", Candidate(model, corrector.calibrated(model)))]


def correct_biases(corrector: Corrector, candidate: Candidate, names: Collection[str]) -> list[tuple[str, Candidate]]:
    """Biases for the weights as the quantizer will round them, each layer for itself."""
    return [("bias", _solved(corrector, candidate, (_all(candidate),), _new_biases, alone=True))]


def round_adaptively(corrector: Corrector, candidate: Candidate, names: Collection[str]) -> list[tuple[str, Candidate]]:
    """Each layer for itself; then once more stage after stage, making up for what the stages before got wrong."""
    rule = _rounded_with_biases if "bias" in names else _rounded
    alone = _solved(corrector, candidate, (_all(candidate),), rule, alone=True)
    again = _solved(corrector, alone, _stages(_all(candidate)), rule)
    return [("adaround", alone), ("adaround in stages", again)]


CORRECTIONS: Mapping[str, Attempts] = {
    "cle": equalize_channels,
    "bias": correct_biases,
    "adaround": round_adaptively,
}
"""In the order they are applied, which is the order of their names in a scheme."""


def correct(corrector: Corrector, names: Sequence[str]) -> Corrected:
    """Apply corrections one after the other, keeping each only where the crops held back say so."""
    best = corrector.start
    error = corrector.error(best)
    errors, kept = [("", error)], []
    for name in (each for each in CORRECTIONS if each in names):
        attempts = CORRECTIONS[name](corrector, best, names)
        scored = [(corrector.error(candidate), label, candidate) for label, candidate in attempts]
        errors += [(label, value) for value, label, _ in scored]
        winner = min(scored, key=lambda each: each[0], default=None)
        if winner is not None and winner[0] < error:
            error, label, best = winner
            kept.append(label)
    return Corrected(corrector.start, best, tuple(kept), tuple(errors))


Rule = Callable[[Filter, Sequence[Moments]], dict[int, Array]]
"""From a filter and its moments to its new constants."""


def _solved(
    corrector: Corrector, current: Candidate, stages: Sequence[Sequence[Filter]], rule: Rule, *, alone: bool = False
) -> Candidate:
    """The filters solved by ``rule``, stage after stage, each on what the int8 model, so far, gives."""
    for number, stage in enumerate(stages):
        changes: dict[int, Array] = {}
        for batch in batches(stage):
            gathered = gather(current.float_model, current.int8, batch, corrector.teachers)
            for each in batch:
                moments = gathered[each.operator.index]
                changes |= rule(each, [moment.alone() for moment in moments] if alone else moments)
        current = current.changed(changes)
        corrector.watch("correct", number + 1, len(stages))
    return current


def _new_biases(each: Filter, moments: Sequence[Moments]) -> dict[int, Array]:
    """For weights rounded to nearest, which the quantizer will do."""
    groups = zip(np.split(_rows(each), len(moments)), np.split(each.bias, len(moments)), moments, strict=True)
    return each.replaced(
        bias=np.concatenate([best_bias(bias, rows, nearest(rows), moment) for rows, bias, moment in groups])
    )


def _rounded_with_biases(each: Filter, moments: Sequence[Moments]) -> dict[int, Array]:
    """Weights that may leave a mean error, and biases that take it away."""
    rows = np.split(_rows(each), len(moments))
    rounded = [best_rounding(part, moment) for part, moment in zip(rows, moments, strict=True)]
    parts = zip(np.split(each.bias, len(moments)), rows, rounded, moments, strict=True)
    biases = [best_bias(bias, weights, new, moment) for bias, weights, new, moment in parts]
    return each.replaced(weights=_unrowed(np.concatenate(rounded), each), bias=np.concatenate(biases))


def _rounded(each: Filter, moments: Sequence[Moments]) -> dict[int, Array]:
    """Weights alone: the mean error counts, too."""
    parts = zip(np.split(_rows(each), len(moments)), moments, strict=True)
    rounded = [best_rounding(rows, moment.about_zero()) for rows, moment in parts]
    return each.replaced(weights=_unrowed(np.concatenate(rounded), each))


def _rows(each: Filter) -> Array:
    """Weights as float64 (outputs, d): d runs over kernel rows, columns and, last, the inputs an output sees."""
    weights = each.weights.astype(np.float64)
    return weights.reshape(-1, weights.shape[3]).T if each.depthwise else weights.reshape(len(weights), -1)


def _unrowed(rows: Array, each: Filter) -> Array:
    return (rows.T if each.depthwise else rows).reshape(each.weights.shape)


def _all(candidate: Candidate) -> tuple[Filter, ...]:
    return filters(read_graph(candidate.float_model))


def _stages(chosen: Sequence[Filter]) -> list[list[Filter]]:
    places = np.array_split(np.arange(len(chosen)), min(STAGES, len(chosen)))
    return [[chosen[int(place)] for place in group] for group in places]


def _real(crop: Array) -> Array:
    return crop.astype(np.float32) / np.float32(255)
