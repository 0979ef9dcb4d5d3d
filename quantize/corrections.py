"""Corrections of a calibrated float model before it becomes integers; kept is the combination that helps most.

``cle``        channels rescaled (`quantize.equalization`), with ranges to match: by `quantize.quietest` in front of
               adaptive rounding, else by loudness
``bias``       biases that give every layer its float mean output
``adaround``   weights rounded for the layer's output (`quantize.rounding`)

They judge themselves on a quarter of the calibration crops that no statistic has seen: the int8 output's fidelity to
the float output, in dB, mean over the crops. Adding one is a function and a line in `CORRECTIONS`.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from octopix.crew import in_order
from octopix.graph import read_graph
from octopix.images import to_unit
from octopix.latency import available_cores
from octopix.runtime import Session, open_session
from quantize.calibrators import Calibrator, Range
from quantize.candidate import Candidate
from quantize.colours import vivid
from quantize.equalization import Rule, by_strength, equalized, knots
from quantize.filters import filters, separated, tail
from quantize.mean_shift import with_whole_mean
from quantize.moments import Views, float_views, is_too_much, shown
from quantize.noise import OF_THE_OUTPUT, Gains, gains, of_rounded_weights, probes, with_importance
from quantize.progress import Watch
from quantize.quietest import by_noise
from quantize.ranges import calibrate, calibrated_tensors, complete
from quantize.solving import (
    Lesson,
    apart,
    solved_alone,
    solved_in_turn,
    weights_alone,
    weights_and_biases,
)
from quantize.statistics import TensorStatistics, collect
from train.data.holding import held_back

Array = npt.NDArray[Any]
Read = TypeVar("Read")

TAUGHT = 24
"""Crops that moments are gathered on; with `quantize.moments.PLACES` on each, 32 views per input of a 3×3×64 kernel."""

UNSEEN = 4e-5
"""Of the noise of rounding the output: layers whose weights are foretold to add less are rounded to nearest. In U-Net
those are eight wide ones in the middle (6e-7 to 5e-6), the dearest to solve. What errors have of the image passes on
better than noise does, so it has to be so little; the least of LESRCNN ×2 adds 7e-5."""

NEGLIGIBLE = 1e-8
"""Mean squared error, 80 dB: one value in 650 wrong by 1/255. Crops with less, which are flat, are all alike."""

ENOUGH = 1.2
"""Times what rounding float's own output to 8 bits errs: a form with no more is as good as int8 gets, and nothing is
tried on it. QECNN's uncorrected one has 1.12, and all corrections left 1.09; of ten other models the least has 1.75."""

STRENGTH = 0.5
"""Of equalization by loudness, in front of nearest rounding: of 0, 0.5 and 1 the best on ESPCN ×2, SRCNN and LESRCNN
×2; 1 did harm to the first and last. In front of adaptive rounding, that by noise has more fidelity: on ten of eleven
networks by 0.1 to 1.4 dB (ESPCN ×2: 56.1 and 54.7), and on ABPN ×4 0.1 dB less."""

SHALLOW = 8
"""Networks of up to so many convolutions are rounded a second time, one layer after the other, each making up for those
before it; of deeper ones their tail (`quantize.filters.tail`). It won 1.6 dB of fidelity on SRCNN and 0.3 on ESPCN ×2.
All of LESRCNN ×2, in six stages, lost 3.2 dB, since what its shortcuts carry past a layer cannot be made up for there;
its tail alone won 0.9 dB, and nothing by the published weights."""


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
        return tuple(self._run(self.float_model, lambda number, made: np.clip(made, 0, 1), to_unit))

    @cached_property
    def least(self) -> Array:
        """`errors` of the float model's outputs rounded to 8 bits, which no int8 model can be expected to be below."""
        return _mean_squares(np.rint(wanted * 255) * np.float32(1 / 255) - wanted for wanted in self.wanted)

    def error(self, int8_model: bytes) -> float:
        """See `typical`."""
        return typical(self.errors(int8_model))

    def errors(self, int8_model: bytes) -> Array:
        """Mean squared error against float of each crop, (crops,), `NEGLIGIBLE` at least."""
        wanted = self.wanted
        return _mean_squares(self._run(int8_model, lambda number, made: made * np.float32(1 / 255) - wanted[number]))

    def is_enough(self, errors: Array) -> bool:
        """Whether `errors` are as good as int8 gets, by crops that are not all black or white in float and int8."""
        telling = np.maximum(errors, self.least) > NEGLIGIBLE
        return not telling.any() or typical(errors[telling] / self.least[telling]) <= ENOUGH

    def _run(
        self, model: bytes, then: Callable[[int, Array], Read], prepared: Callable[[Array], Array] = np.asarray
    ) -> Iterator[Read]:
        """What ``then`` makes of a model's output on each crop and of the crop's number, on all cores."""
        return in_order(
            self.judges,
            workers=min(available_cores(), len(self.judges)),
            make=lambda: open_session(model),
            work=lambda session, number, crop: then(number, session.invoke(prepared(crop))),
        )


def typical(errors: Array) -> float:
    """The geometric mean of crops' errors, since pictures' decibels are averaged.

    One crop of violent contrast, where float itself is far from the truth, would rule the arithmetic mean.
    """
    return float(np.exp(np.mean(np.log(errors))))


def _mean_squares(differences: Iterable[Array]) -> Array:
    squares = [float(np.mean(np.square(each), dtype=np.float64)) for each in differences]
    return np.maximum(squares, NEGLIGIBLE)


@dataclass
class Corrector:
    """What corrections share: images that teach, images that judge, and how ranges are found.

    Args:
        judge: of the float model, decides what is kept.
        calibrator: finds the ranges.
        rounds: whether weights will be rounded adaptively, for which layers' views are kept, not their means alone.
        watch: told of the progress.
    """

    judge: Judge
    calibrator: Calibrator
    rounds: bool = True
    watch: Watch = field(default=lambda what, done, total: None)

    @cached_property
    def learned(self) -> tuple[Array, ...]:
        """Crops that are not held back."""
        return held_back(self.judge.crops)[0]

    @cached_property
    def teachers(self) -> tuple[Array, ...]:
        """Crops that moments come from."""
        return tuple(self.learned[place] for place in self._taught)

    @cached_property
    def start(self) -> Candidate:
        """The model before all that is judged."""
        return Candidate(self._model, self.ranges({}))

    @property
    def statistics(self) -> dict[int, TensorStatistics]:
        """Of the crops that teach, some of them `vivid`, too; channel by channel where channels can be rescaled."""
        return self._seen[0]

    def lesson(self, uncorrected: Candidate) -> Lesson:
        """What the layers of a candidate and of its equalized forms learn from."""
        known = uncorrected.float_model == self._model
        near, views = (self._unseen, self._seen[1]) if known else (frozenset(), None)
        if views is None:
            chosen, averaged = apart(uncorrected.filters, near)
            views = float_views(uncorrected.float_model, chosen, self.teachers, averaged=averaged)
        return Lesson(self.teachers, views, self.watch, near)

    @cached_property
    def peaks(self) -> dict[int, Array]:
        """Largest magnitude of each channel that can be rescaled, by tensor number."""
        found = {index: each.by_channel for index, each in self.statistics.items()}
        return {index: channels.peaks for index, channels in found.items() if channels is not None}

    @property
    def quietest(self) -> Rule:
        """The rule for channels by the noise that reaches the output."""
        return by_noise(self.statistics, calibrated_tensors(read_graph(self._model)), self.gains)

    @cached_property
    def gains(self) -> Gains:
        """Of the float model."""
        return gains(self._model, map(to_unit, probes(self._model, self.teachers)))

    def ranges(self, factors: Mapping[int, Array]) -> dict[int, Range]:
        """Ranges of the model with channels multiplied by factors, by tensor number; it need not be run for that."""
        graph = read_graph(self._model)
        found = {
            index: self.statistics[index].rescaled(factors[index]) if index in factors else self.statistics[index]
            for index in calibrated_tensors(graph)
        }
        return complete(graph, calibrate(found, self.calibrator))

    @cached_property
    def _taught(self) -> tuple[int, ...]:
        """Which of `learned` are `teachers`."""
        return tuple(map(int, np.linspace(0, len(self.learned) - 1, min(TAUGHT, len(self.learned)))))

    @cached_property
    def _seen(self) -> tuple[dict[int, TensorStatistics], Views | None]:
        """Statistics and views in one run."""
        graph = read_graph(self._model)
        free = {index for knot in knots(graph) for index in knot.tensors}
        tensors = dict.fromkeys((*calibrated_tensors(graph), *sorted(free)))
        everything, numbers = filters(graph), {place: number for number, place in enumerate(self._taught)}
        chosen, averaged = (everything, ()) if self.rounds else ((), everything)
        views: list[Mapping[int, Array]] = [{} for _ in numbers]

        def look(session: Session, place: int) -> None:
            if place in numbers:
                views[numbers[place]] = shown(session, chosen, numbers[place], averaged=averaged)

        images = (*self.learned, *vivid(self.learned))
        statistics = collect(
            self._model,
            map(to_unit, images),
            tensors=tensors,
            by_channel=free,
            look=None if is_too_much(chosen, len(numbers)) else look,
            watch=lambda done: self.watch("calibrate again", done, len(images)),
        )
        return with_importance(statistics, self.gains) if free else statistics, views if views[0] else None

    @cached_property
    def _unseen(self) -> frozenset[int]:
        """Filters, by operator number, whose weights may be rounded in any way: the output would not show it.

        All, where none is to be rounded adaptively.
        """
        graph = read_graph(self._model)
        if not self.rounds:
            return frozenset(each.operator.index for each in filters(graph))
        noise = of_rounded_weights(graph, self.statistics, self.gains)
        return frozenset(index for index, power in noise.items() if power < UNSEEN * OF_THE_OUTPUT)

    @cached_property
    def _model(self) -> bytes:
        return with_whole_mean(separated(self.judge.float_model))

    def judged(self, candidate: Candidate, *made_by: str) -> "Form":
        """A candidate with its error."""
        errors = self.judge.errors(candidate.int8)
        return Form(candidate, made_by, typical(errors), is_enough=self.judge.is_enough(errors))


@dataclass(frozen=True)
class Form:
    """One form of the model, judged."""

    candidate: Candidate
    made_by: tuple[str, ...]
    """Corrections in it, in their order; ``in turn`` behind one says how."""
    error: float
    """`Judge.error` of it; infinite where that was not asked."""
    is_enough: bool = False
    """`Judge.is_enough` of it."""

    @classmethod
    def unjudged(cls, candidate: Candidate, *made_by: str) -> "Form":
        """One that something better will be made of."""
        return cls(candidate, made_by, math.inf)


@dataclass(frozen=True)
class Corrected:
    """What came of it."""

    start: Candidate
    candidate: Candidate
    kept: tuple[str, ...]
    """Corrections of the best form, in their order, with what was chosen."""
    errors: tuple[tuple[str, float], ...]
    """Forms that were judged, by their corrections, joined by ``+``; `Judge.error` of each."""


Correction = Callable[[Corrector, Sequence[Form], Collection[str]], Iterable[Form]]
"""From the forms so far, the uncorrected one first, and the names of all corrections asked for, to further forms.

A form whose channels were rescaled says so (`Candidate.factors`); one that adaptive rounding will follow may be
unjudged.
"""


def equalize_channels(corrector: Corrector, forms: Sequence[Form], names: Collection[str]) -> Iterator[Form]:
    """Channels rescaled, as ``cle`` and how, and ranges to match; nothing where no channel is free.

    By noise in front of adaptive rounding, to be judged behind it; by loudness in front of nearest.
    """
    if corrector.peaks:
        rounds = "adaround" in names
        by_loudness = by_strength(corrector.peaks, STRENGTH)
        how, rule = ("by noise", corrector.quietest) if rounds else ("by loudness", by_loudness)
        found = equalized(corrector.start.float_model, rule)
        candidate = Candidate(found.model, corrector.ranges(found.factors), factors=found.factors)
        yield (Form.unjudged if rounds else corrector.judged)(candidate, f"cle {how}")


def correct_biases(corrector: Corrector, forms: Sequence[Form], names: Collection[str]) -> Iterator[Form]:
    """Biases for the weights as the quantizer will round them. With adaptive rounding they come along."""
    if "adaround" not in names:
        base, best = forms[0].candidate, _best(forms)
        (found,) = solved_alone(base, [best.candidate], weights_and_biases, corrector.lesson(base))
        yield corrector.judged(found, *best.made_by, "bias")


def round_adaptively(corrector: Corrector, forms: Sequence[Form], names: Collection[str]) -> Iterator[Form]:
    """Each layer of each form for itself; then, in the best, layers in turn, making up for those before them.

    Where channels were rescaled, the form that was not is left out: it was the best for none of twelve networks. In
    turn go all layers of a shallow network, of a deep one its tail.
    """
    rule, biases = (weights_and_biases, ("bias",)) if "bias" in names else (weights_alone, ())
    base, lesson = forms[0].candidate, corrector.lesson(forms[0].candidate)
    tried = [form for form in forms if form.candidate.factors] or forms
    candidates = solved_alone(base, [form.candidate for form in tried], rule, lesson)
    rounded = [
        corrector.judged(candidate, *form.made_by, *biases, "adaround")
        for form, candidate in zip(tried, candidates, strict=True)
    ]
    yield from rounded
    best = _best(rounded)
    graph, everything = read_graph(best.candidate.float_model), best.candidate.filters
    shallow = len(everything) <= SHALLOW
    last = everything if shallow else tail(graph, everything)
    solved = [each for each in last if each.operator.index not in lesson.nearest]
    misled = [each for each in solved if each.image not in graph.inputs]  # one that reads the image is solved for it
    if misled:
        in_turn = solved_in_turn(best.candidate, misled, rule, lesson)
        how = "adaround in turn" if shallow else "adaround (tail in turn)"
        yield corrector.judged(in_turn, *best.made_by[:-1], how)


CORRECTIONS: Mapping[str, Correction] = {
    "cle": equalize_channels,
    "bias": correct_biases,
    "adaround": round_adaptively,
}
"""In the order they are applied, which is the order of their names in a scheme."""


def correct(corrector: Corrector, names: Sequence[str]) -> Corrected:
    """Apply corrections; what the crops held back like best of all forms is kept, perhaps the uncorrected one.

    A form that is worse now may be the better one after what follows: equalized channels may cost nearest rounding
    more than they win, and adaptive rounding less. Nothing is tried once the best is good `ENOUGH`.
    """
    forms = [corrector.judged(corrector.start)]
    for name in (each for each in CORRECTIONS if each in names):
        if _best(forms).is_enough:
            break
        forms.extend(CORRECTIONS[name](corrector, tuple(forms), names))
    best = _best(forms)
    errors = tuple(("+".join(each.made_by), each.error) for each in forms if math.isfinite(each.error))
    return Corrected(corrector.start, best.candidate, best.made_by, errors)


def rounded_after_training(corrector: Corrector, float_model: bytes, ranges: Mapping[int, Range]) -> Candidate:
    """The candidate of a trained float model whose rounded kernels do best on the crops held back; ranges stay."""
    trained = Form.unjudged(Candidate(with_whole_mean(separated(float_model)), ranges))
    return _best([*round_adaptively(corrector, [trained], ("bias", "adaround"))]).candidate


def _best(forms: Sequence[Form]) -> Form:
    return min(forms, key=lambda form: form.error)
