"""Corrections of a calibrated float model before it becomes integers; kept is the combination that helps most.

``cle``        channels rescaled (`quantize.equalization`), with ranges to match
``bias``       biases that give every layer its float mean output
``adaround``   weights rounded for the layer's output (`quantize.rounding`)

They judge themselves on a quarter of the calibration crops that no statistic has seen: mean squared error of the int8
output against the float output. Adding one is a function and a line in `CORRECTIONS`.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from octopix.crew import in_order
from octopix.graph import read_graph
from octopix.images import to_unit
from octopix.latency import available_cores
from octopix.runtime import open_session
from quantize.calibrators import Calibrator, Range
from quantize.equalization import equalized, knots
from quantize.filters import Filter, filters, separated, tail, with_constants
from quantize.mean_shift import with_whole_mean
from quantize.moments import Want, batches, float_views, gather
from quantize.ranges import calibrate, calibrated_tensors, complete, to_int8
from quantize.rounding import Moments, best_bias, best_rounding, nearest
from quantize.statistics import TensorStatistics, collect
from train.data.holding import held_back

Array = npt.NDArray[Any]
Watch = Callable[[str, int, int], None]

TAUGHT = 24
"""Crops that moments are gathered on; with `quantize.moments.PLACES` on each, 32 views per input of a 3×3×64 kernel."""

STRENGTH = 0.5
"""Of equalization in front of nearest rounding. Of 0, 0.5 and 1 the best on ESPCN ×2, SRCNN and LESRCNN ×2; 1 did harm
to the first and last."""

STRENGTHS_ROUNDED = (0.5, 1.0)
"""Those tried in front of adaptive rounding. None of 0, 0.5 and 1 is best everywhere: ESPCN ×4 is at 51.6, 53.6 and
51.0 dB of fidelity then, ESPCN ×2 at 51.8, 55.0 and 56.0, SRResNet ×4 at 41.2, 44.6 and 42.9."""

SHALLOW = 8
"""Networks of up to so many convolutions are rounded a second time, one layer after the other, each making up for those
before it; of deeper ones their tail (`quantize.filters.tail`). It won 1.4 dB of fidelity on SRCNN and 0.1 on ESPCN ×2.
All of LESRCNN ×2, in six stages, lost 3.2 dB, since what its shortcuts carry past a layer cannot be made up for there;
its tail alone won 0.9 dB, and nothing by the published weights."""


@dataclass(frozen=True)
class Candidate:
    """All that an int8 model is made of."""

    float_model: bytes
    """From `quantize.filters.separated`; computes what the user's model computes (but see `quantize.mean_shift`)."""
    ranges: Mapping[int, Range]
    constants: Mapping[int, Array] = field(default_factory=dict)
    """By tensor number: what takes the place of the float model's weights and biases in the int8 model."""

    @cached_property
    def int8(self) -> bytes:
        """The full-integer model."""
        return to_int8(with_constants(self.float_model, self.constants), self.ranges)

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
        return tuple(
            np.clip(made, 0, 1) for made in _outputs(self.float_model, [to_unit(crop) for crop in self.judges])
        )

    def error(self, int8_model: bytes) -> float:
        """Mean squared error against float."""
        pairs = zip(_outputs(int8_model, self.judges), self.wanted, strict=True)
        return float(np.mean([np.mean(np.square(made / 255 - wanted)) for made, wanted in pairs]))


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
        """The model before all that is judged."""
        return Candidate(self._model, self.ranges({}))

    @cached_property
    def statistics(self) -> dict[int, TensorStatistics]:
        """Of the crops that teach; channel by channel where channels can be rescaled."""

        def tell(done: int) -> None:
            self.watch("calibrate again", done, len(self.learned))

        graph = read_graph(self._model)
        free = {index for knot in knots(graph) for index in knot.tensors}
        tensors = dict.fromkeys((*calibrated_tensors(graph), *sorted(free)))
        return collect(self._model, map(to_unit, self.learned), tensors=tensors, by_channel=free, watch=tell)

    @cached_property
    def peaks(self) -> dict[int, Array]:
        """Largest magnitude of each channel that can be rescaled, by tensor number."""
        found = {index: each.by_channel for index, each in self.statistics.items()}
        return {index: channels.peaks for index, channels in found.items() if channels is not None}

    def ranges(self, factors: Mapping[int, Array]) -> dict[int, Range]:
        """Ranges of the model with channels multiplied by factors, by tensor number; it need not be run for that."""
        graph = read_graph(self._model)
        found = {
            index: self.statistics[index].rescaled(factors[index]) if index in factors else self.statistics[index]
            for index in calibrated_tensors(graph)
        }
        return complete(graph, calibrate(found, self.calibrator))

    @cached_property
    def _model(self) -> bytes:
        return with_whole_mean(separated(self.judge.float_model))

    def judged(self, candidate: Candidate, *made_by: str) -> "Form":
        """A candidate with its error."""
        return Form(candidate, made_by, self.judge.error(candidate.int8))


@dataclass(frozen=True)
class Form:
    """One form of the model, judged."""

    candidate: Candidate
    made_by: tuple[str, ...]
    """Corrections in it, in their order; ``in turn`` behind one says how."""
    error: float
    """Mean squared error against float on the crops held back."""


@dataclass(frozen=True)
class Corrected:
    """What came of it."""

    start: Candidate
    candidate: Candidate
    kept: tuple[str, ...]
    """Corrections of the best form, in their order, with what was chosen."""
    errors: tuple[tuple[str, float], ...]
    """Every form by its corrections, joined by ``+``, and its mean squared error on the crops held back."""


Correction = Callable[[Corrector, Sequence[Form], Collection[str]], Iterable[Form]]
"""From the forms so far, the uncorrected one first, and the names of all corrections asked for, to further forms."""


def equalize_channels(corrector: Corrector, forms: Sequence[Form], names: Collection[str]) -> Iterator[Form]:
    """Channels rescaled, as ``cle`` and its strength, and ranges to match; nothing where no channel is free."""
    strengths = STRENGTHS_ROUNDED if "adaround" in names else (STRENGTH,)
    for strength in strengths if corrector.peaks else ():
        found = equalized(corrector.start.float_model, corrector.peaks, strength=strength)
        yield corrector.judged(Candidate(found.model, corrector.ranges(found.factors)), f"cle {strength:g}")


def correct_biases(corrector: Corrector, forms: Sequence[Form], names: Collection[str]) -> Iterator[Form]:
    """Biases for the weights as the quantizer will round them. With adaptive rounding they come along."""
    if "adaround" not in names:
        best = _best(forms)
        biased = _solved(corrector, best.candidate, (_all(best.candidate),), _new_biases, want="means")
        yield corrector.judged(biased, *best.made_by, "bias")


def round_adaptively(corrector: Corrector, forms: Sequence[Form], names: Collection[str]) -> Iterator[Form]:
    """Each layer of each form for itself; then, in the best, layers in turn, making up for those before them.

    In turn go all layers of a shallow network, of a deep one its tail.
    """
    rule, biases = (_rounded_with_biases, ("bias",)) if "bias" in names else (_rounded, ())
    rounded = []
    for form in forms:
        alone = _solved(corrector, form.candidate, (_all(form.candidate),), rule, want="alone")
        rounded.append(corrector.judged(alone, *form.made_by, *biases, "adaround"))
    yield from rounded
    best = _best(rounded)
    everything = _all(best.candidate)
    shallow = len(everything) <= SHALLOW
    last = everything if shallow else tail(read_graph(best.candidate.float_model), everything)
    if last:
        in_turn = _solved(corrector, best.candidate, [(each,) for each in last], rule, want="both")
        yield corrector.judged(
            in_turn, *best.made_by[:-1], "adaround in turn" if shallow else "adaround (tail in turn)"
        )


CORRECTIONS: Mapping[str, Correction] = {
    "cle": equalize_channels,
    "bias": correct_biases,
    "adaround": round_adaptively,
}
"""In the order they are applied, which is the order of their names in a scheme."""


def correct(corrector: Corrector, names: Sequence[str]) -> Corrected:
    """Apply corrections; what the crops held back like best of all forms is kept, perhaps the uncorrected one.

    A form that is worse now may be the better one after what follows: equalized channels may cost nearest rounding
    more than they win, and adaptive rounding less.
    """
    forms = [corrector.judged(corrector.start)]
    for name in (each for each in CORRECTIONS if each in names):
        forms.extend(CORRECTIONS[name](corrector, tuple(forms), names))
    best = _best(forms)
    return Corrected(
        corrector.start, best.candidate, best.made_by, tuple(("+".join(each.made_by), each.error) for each in forms)
    )


def rounded_after_training(corrector: Corrector, float_model: bytes, ranges: Mapping[int, Range]) -> Candidate:
    """The candidate of a trained float model whose rounded kernels do best on the crops held back; ranges stay."""
    trained = Form(Candidate(with_whole_mean(separated(float_model)), ranges), (), math.inf)  # never kept: not judged
    return _best([*round_adaptively(corrector, [trained], ("bias", "adaround"))]).candidate


def _best(forms: Sequence[Form]) -> Form:
    return min(forms, key=lambda form: form.error)


def _outputs(model: bytes, images: Sequence[Array]) -> Iterator[Array]:
    """What a model makes of each image, on all cores."""
    return in_order(
        images,
        workers=min(available_cores(), len(images)),
        make=lambda: open_session(model),
        work=lambda session, number, image: session.invoke(image),
    )


Rule = Callable[[Filter, Sequence[Moments]], dict[int, Array]]
"""From a filter and its moments to its new constants."""


# The interpreters have all cores: NumPy's threads would wait for them.
@threadpool_limits.wrap(limits=1, user_api="blas")
def _solved(
    corrector: Corrector, current: Candidate, stages: Sequence[Sequence[Filter]], rule: Rule, *, want: Want
) -> Candidate:
    """The filters solved by ``rule``, stage after stage, each on what the int8 model, so far, gives.

    Unless both forms are wanted, each layer is taken for itself, as if the layers in front of it made no error.
    """
    alone = want == "both" and all(len(stage) == 1 for stage in stages)
    known = float_views(current.float_model, [each for (each,) in stages], corrector.teachers) if alone else None
    for number, stage in enumerate(stages):
        changes: dict[int, Array] = {}
        for batch in batches(stage, want):
            gathered = gather(current.float_model, current.int8, batch, corrector.teachers, want=want, known=known)
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
