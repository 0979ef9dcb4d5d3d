"""Who makes a model of which kind: an explicit registry. A kind is one function and one line here."""

from collections.abc import Callable, Mapping

from quantize import export
from quantize.ranges import to_int8, to_int16x8
from quantize.schemes import Kind, Scheme
from quantize.workbench import Workbench
from train.data.patches import PatchSampler
from train.data.sources import images_for
from train.pipeline import load_pairs

Method = Callable[[Workbench, Scheme], bytes]
"""From the bench and a scheme of the method's kind to a ``.tflite`` without a card."""

QAT_STEPS, QUICK_QAT_STEPS = 1500, 60
QAT_JUDGEMENTS = 5
QAT_PATCH, QAT_BATCH = 48, 16


def int8_ptq(bench: Workbench, scheme: Scheme) -> bytes:
    """Calibrated ranges written into the float graph, then TensorFlow's quantizer."""
    return to_int8(bench.float_model, bench.ranges(str(scheme.calibrator)))


def int8_qat(bench: Workbench, scheme: Scheme) -> bytes:
    """Ranges by the scheme's calibrator, then training on the training list; the best on the validation list ships."""
    from quantize.qat import QatSettings, train_aware  # tfmot, which takes a second to import

    steps = QUICK_QAT_STEPS if bench.quick else QAT_STEPS
    settings = QatSettings(steps=steps, judge_every=steps // QAT_JUDGEMENTS)
    spec = bench.subject.spec
    bench.watch("read training images", 0, 0)
    pairs = load_pairs(spec, images_for(bench.home, "train"))
    sampler = PatchSampler(pairs, spec.scale, QAT_PATCH, QAT_BATCH, settings.seed)
    result = train_aware(
        bench.subject.model,
        bench.ranges(str(scheme.calibrator)),
        draw=lambda step: sampler.draw(step)[0],
        judge=lambda model: bench.quality(model, scheme).psnr,
        settings=settings,
        watch=lambda step: bench.watch(scheme.name, step, steps),
    )
    return result.model


METHODS: Mapping[Kind, Method] = {
    "float32": lambda bench, scheme: bench.float_model,
    "float16": lambda bench, scheme: export.to_float16(bench.subject.model),
    "dynamic": lambda bench, scheme: export.to_dynamic(bench.subject.model),
    "int16x8-ptq": lambda bench, scheme: to_int16x8(bench.float_model, bench.ranges(str(scheme.calibrator))),
    "int8-ptq": int8_ptq,
    "int8-qat": int8_qat,
}
