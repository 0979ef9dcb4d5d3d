"""Quantization-aware training: the float model teaches its int8 twin, which starts from calibrated ranges.

The student's activations are rounded as the int8 model's will be (`quantize.fake_quantization`), while its kernels stay
float. The teacher is the float model, so no ground truth is needed. What ships is built as every int8 model is: trained
weights go back into the float graph, learned ranges are written beside them, kernels are rounded for their layers'
outputs (those of transposed convolutions to nearest), and the same quantizer turns all into integers. Now and then such
a model is built and judged on the validation list; the best one is kept, and post-training's result stands if none
beats it.
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
from quantize.fake_quantization import copy_float_weights, is_range, learned_bounds, with_fake_quantization
from quantize.layers import activation_tensors
from quantize.ranges import calibrated_tensors, corrections_of_image, to_int8
from quantize.resume import Progress, Resume
from quantize.statistics import activations
from train.models.layers import DepthToSpace

Finish = Callable[[bytes, Mapping[int, Range]], bytes]
"""From a float model and its ranges, by tensor index, to the int8 model."""

Judge = Callable[[bytes], float]
"""From an int8 model without a card to its quality, higher is better."""


@dataclass(frozen=True)
class QatSettings:
    """How long and how fast.

    ``judge_every`` steps the int8 model is built and judged: seconds each, so not too often.
    """

    steps: int
    judge_every: int
    rate: float
    """Of kernels, biases and slopes; start of half a cosine that ends at zero, as the other one."""
    range_rate: float = 1e-2
    """Of the logarithms of the ranges' ends."""
    seed: int = 20261121


@dataclass(frozen=True)
class QatResult:
    """The best int8 model and how training went."""

    model: bytes
    best_step: int
    """0 means that the rival was not beaten."""
    scores: tuple[tuple[int, float], ...]
    """(step, judge's value)."""


def train_aware(
    model: tf_keras.Model,
    ranges: Mapping[int, Range],
    *,
    rival: bytes,
    teacher: tf_keras.Model | None = None,
    draw: Callable[[int], Array],
    judge: Judge,
    settings: QatSettings,
    finish: Finish = to_int8,
    resume: Resume | None = None,
    watch: Callable[[int], None] = lambda step: None,
) -> QatResult:
    """Train the int8 twin of ``model``, which itself is left as it is.

    Args:
        model: float Keras model to start from, one input in [0, 1].
        teacher: the float model to come close to; ``model`` if None.
        ranges: (lo, hi) by tensor index of the model's export; a tensor without one is not rounded in training.
        rival: post-training's int8 model, which stands unless training beats it.
        draw: number of a step to its batch of network inputs, uint8 (B, h, w, C); no ground truth.
        judge: chooses among checkpoints; must not look at test images.
        settings: see there.
        finish: makes the int8 models that are judged; with kernels rounded to nearest unless told otherwise.
        resume: where to go on, and to keep what is needed for that at each judgement.
        watch: told the number of steps done.
    """
    tf_keras.utils.set_random_seed(settings.seed)
    twin = _Twin(model, ranges, finish)
    trainer = _Trainer(teacher or model, twin.aware, settings)
    progress = None if resume is None else resume.load(trainer.variables)
    if progress is None:
        progress = Progress(0, rival, 0, ((0, judge(rival)),))
    for step in range(progress.step + 1, settings.steps + 1):
        trainer.step(tf.constant(draw(step)))
        watch(step)
        if step % settings.judge_every == 0 or step == settings.steps:
            candidate = twin.int8()
            progress = progress.judged(step, candidate, judge(candidate))
            if resume is not None:
                resume.save(progress, trainer.variables)
    return QatResult(progress.best, progress.best_step, progress.scores)


class _Twin:
    """The student, and the way from it to an int8 flatbuffer."""

    def __init__(self, model: tf_keras.Model, ranges: Mapping[int, Range], finish: Finish) -> None:
        self._finish = finish
        float_model = to_float32(model)
        self._tensors = activation_tensors(model, float_model)
        graph = read_graph(float_model)
        free = set(calibrated_tensors(graph)) - corrections_of_image(graph)
        shared = frozenset(name for name, index in self._tensors.items() if index not in free)
        made = {name: index for name, index in self._tensors.items() if _computes(model.get_layer(name))}
        bounds = {name: ranges[index] for name, index in made.items() if index in ranges}
        self.aware = with_fake_quantization(model, bounds, frozen=shared)
        self._activations = activations(graph)
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
        return self._finish(float_model, {now: ranges[before] for before, now in pairs if before in ranges})


class _Trainer:
    """Adam with a rate for each kind of variable; its state can be kept and taken up again."""

    def __init__(self, teacher: tf_keras.Model, student: tf_keras.Model, settings: QatSettings) -> None:
        self._groups = []
        for of_ranges, rate in ((False, settings.rate), (True, settings.range_rate)):
            variables = [each for each in student.trainable_variables if is_range(each) == of_ranges]
            if variables:
                optimizer = tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(rate, settings.steps))
                optimizer.build(variables)
                self._groups.append((optimizer, variables))
        self.variables = [*student.weights, *(each for optimizer, _ in self._groups for each in optimizer.variables)]
        """All that a step changes."""
        self._teacher, self._student = teacher, student
        self.step = tf.function(self._step, autograph=False)  # tfmot's wrappers confuse autograph
        """One step on a batch, uint8 (B, h, w, C); returns the loss."""

    def _step(self, batch: tf.Tensor) -> tf.Tensor:
        image = tf.cast(batch, tf.float32) / np.float32(255)
        wanted = tf.clip_by_value(self._teacher(image, training=False), 0.0, 1.0)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self._student(image, training=True) - wanted))
        gradients = tape.gradient(loss, [variables for _, variables in self._groups])
        for (optimizer, variables), found in zip(self._groups, gradients, strict=True):
            optimizer.apply_gradients(zip(found, variables, strict=True))
        return loss


def _computes(layer: tf_keras.layers.Layer) -> bool:
    """Whether the layer makes new values; inputs and shuffles only hand on what is quantized already."""
    return not isinstance(layer, (tf_keras.layers.InputLayer, DepthToSpace))
