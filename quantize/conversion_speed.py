"""How long a Keras model in memory takes to become int8 bytes: this house against the stock converter.

Both get the same images and pay for everything from the Keras model on, export included. They take turns, so that
a disturbance of the machine meets both. ``TFLiteConverter`` calibrates min-max on one core; octopix calibrates by
the named calibrator, with one interpreter per core, of large networks on a window of each image
(`quantize.calibration_set`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from octopix.conditions import read_conditions
from octopix.images import to_unit
from octopix.latency import measure_alternating
from octopix.results import ConversionSpeedRow, Result
from quantize.calibration_set import CROPS
from quantize.calibrators import CALIBRATORS
from quantize.export import INPUT_NAME, to_float32
from quantize.ranges import ranges_for, to_int8
from quantize.workbench import Workbench, load_subject
from train.data.sources import DataHome

Array = npt.NDArray[Any]

CALIBRATOR = "mse"
ROUNDS = 7
OURS, STOCK = "octopix", "TFLiteConverter"


def conversion_speed(model: str, home: DataHome, *, images: int = CROPS, rounds: int = ROUNDS) -> Result:
    """Time both ways on the calibration crops of ``home``.

    Args:
        model: name in the zoo.
        home: where the images come from.
        images: at most so many crops.
        rounds: timed repetitions of each way, after one that is not timed.
    """
    subject = load_subject(model)
    bench = Workbench(subject, home)
    crops, samples = list(bench.calibration.images())[:images], bench.samples[:images]
    ways: dict[str, Callable[[], object]] = {
        OURS: lambda: convert_ours(subject.model, samples),
        STOCK: lambda: convert_stock(subject.model, crops),
    }
    conditions = read_conditions()  # the load before, not our own
    timed = measure_alternating(ways, warmup=1, runs=rounds, min_seconds=0)
    baseline = timed[STOCK].median_ms
    rows = tuple(
        ConversionSpeedRow(
            model=model,
            scheme=f"int8-ptq-{CALIBRATOR if name == OURS else 'minmax'}",
            method=name,
            images=len(crops),
            shape=crops[0].shape,
            samples_s=tuple(sample / 1000 for sample in latency.samples_ms),
            ratio=baseline / latency.median_ms,
        )
        for name, latency in timed.items()
    )
    return Result("conversion-speed", rows, conditions)


def convert_ours(model: tf_keras.Model, samples: Sequence[Array]) -> bytes:
    """Export, read statistics in the interpreter, choose ranges, quantize."""
    float_model = to_float32(model)
    ranges = ranges_for(float_model, map(to_unit, samples), CALIBRATORS[CALIBRATOR])
    return to_int8(float_model, ranges)


def convert_stock(model: tf_keras.Model, images: Sequence[Array]) -> bytes:
    """Full-integer post-training quantization as TensorFlow's guide shows it, at the images' static shape."""
    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec(images[0].shape, np.float32, name=INPUT_NAME))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())
