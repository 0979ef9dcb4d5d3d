"""Who makes a model of which kind: an explicit registry. A kind is one function and one line here."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tf_keras

from octopix.card import Fidelity, Quality
from octopix.errors import ConfigError
from octopix.graph import read_graph
from octopix.images import Array
from quantize import export
from quantize.calibrators import Range
from quantize.colours import partly_vivid
from quantize.corrections import rounded_after_training
from quantize.filters import constants_of, filters, separated
from quantize.mean_shift import mean_shift, with_shift
from quantize.ranges import scaled_image, to_int8, to_int16x8
from quantize.schemes import Kind, Scheme
from quantize.selective import mixed, named
from quantize.statistics import activations
from quantize.transfer import transferred
from quantize.workbench import QAT_SEED, Workbench

if TYPE_CHECKING:
    from quantize.resume import Resume


@dataclass(frozen=True)
class Made:
    """What a method gives."""

    model: bytes
    """``.tflite`` without a card."""
    training: str | None = None
    """How it was trained beyond the float model, for the card; None where it was not."""
    corrections: tuple[str, ...] = ()
    """Those that were kept, for the card."""
    left_in_float: tuple[int, ...] = ()
    """Convolutions of an int8 model that are float on purpose: 0 is the first to run."""
    leftover: Path | None = None
    """What an interrupted training would go on from; of no use once the model is written."""


Method = Callable[[Workbench, Scheme], Made]
"""From the bench and a scheme of the method's kind."""

QAT_STEPS, QUICK_QAT_STEPS = 600, 60
QAT_JUDGEMENTS = 3
QAT_RATE = 1e-4
"""Of kernels, biases and slopes of one convolution; of n, its part 1/√n, since the output moves by what all of them do.
ESPCN ×2 learns at 2e-4 still, SRResNet no more at 4e-5."""
STAMPED = 8
"""Steps whose patches tell one training from another."""


def int8_ptq(bench: Workbench, scheme: Scheme) -> Made:
    """Calibrated ranges, and what corrections helped, written into the float graph; then TensorFlow's quantizer."""
    if not scheme.corrections and not scheme.keep_float:
        return Made(to_int8(bench.float_model, bench.ranges(str(scheme.calibrator))))
    candidate = bench.candidate(scheme)
    corrections = bench.corrected(scheme).kept if scheme.corrections else ()
    if not scheme.keep_float:
        return Made(candidate.int8, corrections=corrections)
    kept = named(candidate.float_model, scheme.keep_float)
    places = tuple(each.place for each in kept)
    return Made(mixed(candidate, kept), corrections=corrections, left_in_float=places)


def int8_qat(bench: Workbench, scheme: Scheme) -> Made:
    """From the equalized model on, training on the training list, then rounding; the best on the validation list ships.

    That may be post-training's.
    """
    from quantize.qat import QatSettings, train_aware  # tfmot, which takes a second to import

    model = bench.subject.model
    if model is None:
        raise ConfigError(expected="a Keras 2 model for int8-qat", got="none", do="leave int8-qat out")
    steps = QUICK_QAT_STEPS if bench.quick else QAT_STEPS
    corrected = bench.corrected(scheme)
    rate = QAT_RATE / math.sqrt(max(1, len(filters(read_graph(corrected.start.float_model)))))
    settings = QatSettings(steps=steps, judge_every=steps // QAT_JUDGEMENTS, rate=rate, seed=QAT_SEED)
    resume = _resume(bench, scheme, repr(settings))
    start, ranges, equalized = _qat_start(bench, model, scheme)

    def finish(float_model: bytes, learned: Mapping[int, Range]) -> bytes:
        return rounded_after_training(bench.corrector(scheme), float_model, learned).int8

    def judge(int8: bytes) -> float:
        return _score(bench.quality(int8, scheme))

    result = train_aware(
        start,
        ranges,
        rival=corrected.candidate.int8,
        teacher=model,
        draw=lambda step: _patches(bench, step),
        finish=finish,
        judge=judge,
        settings=settings,
        resume=resume,
        watch=lambda step: bench.watch(scheme.name, step, steps),
    )
    best = f"best at {result.best_step}" if result.best_step else "post-training's model was not beaten"
    return Made(
        result.model,
        training=f"QAT {steps} steps, {best}, seed {settings.seed}",
        corrections=(*equalized, "bias", "adaround") if result.best_step else corrected.kept,
        leftover=None if resume is None else resume.path,
    )


def _resume(bench: Workbench, scheme: Scheme, settings: str) -> "Resume | None":
    """What an interrupted training of the very same model, images and settings has left."""
    if bench.folder is None:
        return None
    from quantize.resume import SUFFIX, Resume

    patches = (_patches(bench, step).tobytes() for step in range(STAMPED))
    judges = (image.tobytes() for pair in bench.validation.pairs for image in pair)
    start, unit = bench.corrected(scheme).candidate.int8, type(bench.validation).__name__
    digest = hashlib.sha256()
    for fact in (start, settings.encode(), unit.encode(), *patches, *judges):
        digest.update(hashlib.sha256(fact).digest())
    stamp = digest.hexdigest()
    return Resume(bench.folder / f".{scheme.name}.{stamp[:8]}{SUFFIX}", stamp)


def _patches(bench: Workbench, step: int) -> Array:
    """What training sees in a step."""
    batch = bench.patches.draw(step)[0]
    return partly_vivid(batch, seen=step * len(batch))


def _score(found: Quality | Fidelity) -> float:
    """What the best checkpoint has most of: PSNR, or fidelity where there is no ground truth."""
    if isinstance(found, Quality):
        return found.psnr
    return math.inf if found.fidelity is None else found.fidelity


def _qat_start(
    bench: Workbench, model: tf_keras.Model, scheme: Scheme
) -> tuple[tf_keras.Model, dict[int, Range], tuple[str, ...]]:
    """The Keras model equalized as post-training chose, ranges by tensor number of its export, and how it is equalized.

    Activations keep their order from one export to the next, but not always their numbers. The image in another unit
    has no range: it is exact.
    """
    corrected, plain = bench.corrected(scheme), separated(bench.float_model)
    shift, equalized = mean_shift(read_graph(plain)), corrected.candidate.float_model
    exact = scaled_image(read_graph(equalized))
    start = transferred(model, plain, constants_of(equalized if shift is None else with_shift(equalized, shift.added)))
    if start is None:
        calibrated = corrected.start.ranges  # `separated` leaves activations their numbers
        return model, {index: found for index, found in calibrated.items() if index not in exact}, ()
    orders = (activations(read_graph(each)) for each in (plain, export.to_float32(start)))
    ranges = corrected.candidate.ranges
    moved = {now: ranges[before] for before, now in zip(*orders, strict=True) if before not in exact}
    return start, moved, tuple(each for each in corrected.kept if each.startswith("cle"))


METHODS: Mapping[Kind, Method] = {
    "float32": lambda bench, scheme: Made(bench.float_model),
    "float16": lambda bench, scheme: Made(bench.subject.export("float16")),
    "dynamic": lambda bench, scheme: Made(bench.subject.export("dynamic")),
    "int16x8-ptq": lambda bench, scheme: Made(to_int16x8(bench.float_model, bench.ranges(str(scheme.calibrator)))),
    "int8-ptq": int8_ptq,
    "int8-qat": int8_qat,
}
