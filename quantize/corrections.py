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
from octopix.images import to_unit
from octopix.runtime import open_session
from quantize.calibrators import Calibrator, Range
from quantize.equalization import equalized, knots
from quantize.filters import Filter, filters, separated, with_constants
from quantize.moments import Want, batches, gather
from quantize.ranges import calibrate, calibrated_tensors, complete, to_int8
from quantize.rounding import Moments, best_bias, best_rounding, nearest
from quantize.statistics import channel_peaks, collect
from train.data.holding import held_back

Array = npt.NDArray[Any]
Watch = Callable[[str, int, int], None]

TAUGHT = 24
"""Crops that moments are gathered on; with `quantize.moments.PLACES` on each, 32 views per input of a 3×3×64 kernel."""

STRENGTH = 0.5
"""Of equalization. Of 0, 0.5 and 1 the best on ESPCN ×2, SRCNN and LESRCNN ×2; 1 did harm to the first and last."""
SHALLOW = 8
"""Networks of up to so many convolutions are rounded a second time, one layer after the other, each making up for those
before it. It won 1.6 dB of fidelity on SRCNN and 0.1 on ESPCN ×2; on LESRCNN ×2, in six stages, it lost 3.2 dB, since
what its shortcuts carry past a layer cannot be made up for there."""


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
class Judge:
    """The error of int8 models on crops that nothing was learned from.

    Args:
        float_model: float ``.tflite`` without a card.
        crops: uint8 (1, H, W, C), all of them; a quarter judges.
    """

    float_model: bytes
    crops: Sequence[Array]

    @cached_property
    def judges(self) -> tuple[Array, ...]:
        """Crops held back."""
        return held_back(self.crops)[1] or tuple(self.crops[-1:])

    @cached_property
    def wanted(self) -> tuple[Array, ...]:
        """The float model's outputs on them, clipped to [0, 1]."""
        session = open_session(self.float_model)
        return tuple(np.clip(session.invoke(to_unit(crop)), 0, 1) for crop in self.judges)

    def error(self, int8_model: bytes) -> float:
        """Mean squared error against float."""
        session = open_session(int8_model)
        errors = (session.invoke(crop) / 255 - wanted for crop, wanted in zip(self.judges, self.wanted, strict=True))
        return float(np.mean([np.mean(np.square(error)) for error in errors]))


@dataclass
class Corrector:
    """What corrections share: images that teach, images that judge, and how ranges are found.

    Args:
        judge: of the float model, decides what is kept.
        calibrator: finds the ranges.
        watch: told of the progress.
    """

    judge: Judge
    calibrator: Calibrator
    watch: Watch = field(default=lambda what, done, total: None)

    @cached_property
    def learned(self) -> tuple[Array, ...]:
        """Crops that are not held back."""
        return held_back(self.judge.crops)[0]

    @cached_property
    def teachers(self) -> tuple[Array, ...]:
        """Crops that moments come from."""
        places = np.linspace(0, len(self.learned) - 1, min(TAUGHT, len(self.learned)))
        return tuple(self.learned[int(place)] for place in places)

    @cached_property
    def start(self) -> Candidate:
        """The model uncorrected."""
        model = separated(self.judge.float_model)
        return Candidate(model, self.calibrated(model))

    def calibrated(self, model: bytes) -> dict[int, Range]:
        """Ranges of a float model."""
        graph = read_graph(model)

        def tell(done: int) -> None:
            self.watch("calibrate again", done, len(self.learned))

        found = collect(model, map(to_unit, self.learned), tensors=calibrated_tensors(graph), watch=tell)
        return complete(graph, calibrate(found, self.calibrator))


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
    peaks = channel_peaks(candidate.float_model, map(to_unit, corrector.teachers), tensors=wanted)
    model = equalized(candidate.float_model, peaks, strength=STRENGTH)
    return [("cle", Candidate(model, corrector.calibrated(model)))]


def correct_biases(corrector: Corrector, candidate: Candidate, names: Collection[str]) -> list[tuple[str, Candidate]]:
    """Biases for the weights as the quantizer will round them, each layer for itself."""
    return [("bias", _solved(corrector, candidate, (_all(candidate),), _new_biases, want="means"))]


def round_adaptively(corrector: Corrector, candidate: Candidate, names: Collection[str]) -> list[tuple[str, Candidate]]:
    """Each layer for itself; in shallow networks then one after the other, making up for those before."""
    rule = _rounded_with_biases if "bias" in names else _rounded
    everything = _all(candidate)
    alone = _solved(corrector, candidate, (everything,), rule, want="alone")
    if len(everything) > SHALLOW:
        return [("adaround", alone)]
    return [
        ("adaround", alone),
        ("adaround in turn", _solved(corrector, alone, [(each,) for each in everything], rule)),
    ]


CORRECTIONS: Mapping[str, Attempts] = {
    "cle": equalize_channels,
    "bias": correct_biases,
    "adaround": round_adaptively,
}
"""In the order they are applied, which is the order of their names in a scheme."""


def correct(corrector: Corrector, names: Sequence[str]) -> Corrected:
    """Apply corrections one after the other, keeping each only where the crops held back say so."""
    best = corrector.start
    error = corrector.judge.error(best.int8)
    errors, kept = [("", error)], []
    for name in (each for each in CORRECTIONS if each in names):
        attempts = CORRECTIONS[name](corrector, best, names)
        scored = [(corrector.judge.error(candidate.int8), label, candidate) for label, candidate in attempts]
        errors += [(label, value) for value, label, _ in scored]
        winner = min(scored, key=lambda each: each[0], default=None)
        if winner is not None and winner[0] < error:
            error, label, best = winner
            kept.append(label)
    return Corrected(corrector.start, best, tuple(kept), tuple(errors))


Rule = Callable[[Filter, Sequence[Moments]], dict[int, Array]]
"""From a filter and its moments to its new constants."""


def _solved(
    corrector: Corrector, current: Candidate, stages: Sequence[Sequence[Filter]], rule: Rule, *, want: Want = "both"
) -> Candidate:
    """The filters solved by ``rule``, stage after stage, each on what the int8 model, so far, gives.

    Unless both forms are wanted, each layer is taken for itself, as if the layers in front of it made no error.
    """
    for number, stage in enumerate(stages):
        changes: dict[int, Array] = {}
        for batch in batches(stage, want):
            gathered = gather(current.float_model, current.int8, batch, corrector.teachers, want=want)
            for each in batch:
                changes |= rule(each, gathered[each.operator.index])
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
