"""Quantization-aware training: the float model teaches its int8 twin, which starts from calibrated ranges.

The student computes as the int8 model will (`quantize.fake_quantization`). The teacher is the float model, so no ground
truth is needed. What ships is built as every int8 model is: trained weights go back into the float graph, learned
ranges are written beside them, and the same quantizer turns it into integers. Now and then such a model is built and
judged on the validation list; the best one is kept, and post-training's result stands if none beats it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras

from octopix.graph import read_graph
from octopix.images import Array
from quantize.calibrators import Range
from quantize.export import to_float32
from quantize.fake_quantization import copy_float_weights, learned_bounds, with_fake_quantization
from quantize.layers import activation_tensors
from quantize.ranges import calibrated_tensors, to_int8
from quantize.statistics import activations
from train.models.layers import DepthToSpace

Judge = Callable[[bytes], float]
"""From an int8 model without a card to its quality, higher is better."""


@dataclass(frozen=True)
class QatSettings:
    """How long and how fast.

    ``judge_every`` steps the int8 model is built and judged: seconds each, so not too often.
    """

    steps: int
    judge_every: int
    learning_rate: float = 2e-4
    """Start of half a cosine that ends at zero."""
    seed: int = 20261121


@dataclass(frozen=True)
class QatResult:
    """The best int8 model and how training went."""

    model: bytes
    best_step: int
    """0 means that post-training's model was not beaten."""
    scores: tuple[tuple[int, float], ...]
    """(step, judge's value)."""


def train_aware(
    model: tf_keras.Model,
    ranges: Mapping[int, Range],
    *,
    teacher: tf_keras.Model | None = None,
    draw: Callable[[int], Array],
    judge: Judge,
    settings: QatSettings,
    watch: Callable[[int], None] = lambda step: None,
) -> QatResult:
    """Train the int8 twin of ``model``, which itself is left as it is.

    Args:
        model: float Keras model to start from, one input in [0, 1].
        teacher: the float model to come close to; ``model`` if None.
        ranges: (lo, hi) by tensor index of the model's export, as `quantize.ranges.complete` gives them.
        draw: number of a step to its batch of network inputs, uint8 (B, h, w, C); no ground truth.
        judge: chooses among checkpoints; must not look at test images.
        settings: see there.
        watch: told the number of steps done.
    """
    tf_keras.utils.set_random_seed(settings.seed)
    twin = _Twin(model, ranges)
    best = QatResult(twin.int8(), 0, ())
    scores = [(0, judge(best.model))]
    step_of = _train_step(teacher or model, twin.aware, settings)
    for step in range(1, settings.steps + 1):
        step_of(tf.constant(draw(step)))
        watch(step)
        if step % settings.judge_every == 0 or step == settings.steps:
            candidate = twin.int8()
            score = judge(candidate)
            if score > max(value for _, value in scores):
                best = QatResult(candidate, step, ())
            scores.append((step, score))
    return QatResult(best.model, best.best_step, tuple(scores))


class _Twin:
    """The student, and the way from it to an int8 flatbuffer."""

    def __init__(self, model: tf_keras.Model, ranges: Mapping[int, Range]) -> None:
        float_model = to_float32(model)
        self._tensors = activation_tensors(model, float_model)
        calibrated = calibrated_tensors(read_graph(float_model))
        shared = frozenset(name for name, index in self._tensors.items() if index not in calibrated)
        bounds = {name: ranges[index] for name, index in self._tensors.items() if _computes(model.get_layer(name))}
        self.aware = with_fake_quantization(model, bounds, frozen=shared)
        self._activations = activations(read_graph(float_model))
        self._ranges = dict(ranges)
        self._export = tf_keras.models.clone_model(model)

    def int8(self) -> bytes:
        """The int8 model of the weights and ranges of this moment.

        Activations keep their order from one export to the next, but not their numbers: equal constants, such as
        biases that are still zero, are one tensor.
        """
        copy_float_weights(self.aware, self._export)
        learned = {self._tensors[name]: bounds for name, bounds in learned_bounds(self.aware).items()}
        ranges, float_model = self._ranges | learned, to_float32(self._export)
        pairs = zip(self._activations, activations(read_graph(float_model)), strict=True)
        return to_int8(float_model, {now: ranges[before] for before, now in pairs if before in ranges})


def _train_step(
    teacher: tf_keras.Model, student: tf_keras.Model, settings: QatSettings
) -> Callable[[tf.Tensor], tf.Tensor]:
    optimizer = tf_keras.optimizers.Adam(_cosine(settings))
    variables = student.trainable_variables

    @tf.function(autograph=False)  # tfmot's wrappers confuse autograph, and nothing here needs it
    def step(batch: tf.Tensor) -> tf.Tensor:
        image = tf.cast(batch, tf.float32) / np.float32(255)
        wanted = tf.clip_by_value(teacher(image, training=False), 0.0, 1.0)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(student(image, training=True) - wanted))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step  # type: ignore[no-any-return]


def _cosine(settings: QatSettings) -> tf_keras.optimizers.schedules.LearningRateSchedule:
    return tf_keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)


def _computes(layer: tf_keras.layers.Layer) -> bool:
    """Whether the layer makes new values; inputs and shuffles only hand on what is quantized already."""
    return not isinstance(layer, (tf_keras.layers.InputLayer, DepthToSpace))
