"""Training that can be killed at any moment: it continues at the last validated step, with the same batches."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import tensorflow as tf
import tf_keras

from octopix.errors import ConfigError
from octopix.files import write_text
from octopix.images import Array
from train.expansion import collapsed_weights, expanded
from train.losses import LOSSES
from train.models.spec import ModelSpec
from train.pipeline import batches
from train.recipe import Recipe, Stage
from train.validation import Validator
from train.weights import save_weights

Pairs = Sequence[tuple[Array, Array]]
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class Epoch:
    """What one stretch of ``epoch_steps`` brought."""

    step: int
    loss: float
    psnr: float
    """Mean PSNR of the averaged weights on the validation images, dB."""
    best_psnr: float
    learning_rate: float
    megapixels_per_second: float
    """HR megapixels trained on per second of wall time, validation left out."""


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then half a cosine from ``learning_rate`` to ``final_learning_rate`` within the stage."""
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / stage.warmup_steps
    done = (step - stage.warmup_steps) / max(1, stage.steps - stage.warmup_steps)
    share = 0.5 * (1 + math.cos(math.pi * done))
    return stage.final_learning_rate + (stage.learning_rate - stage.final_learning_rate) * share


class Trainer:
    """One model, one recipe, one folder.

    The folder holds ``checkpoints/`` (to resume), ``best.safetensors`` (the weights to keep),
    ``history.jsonl`` (one line an epoch) and ``tensorboard/``.

    Args:
        spec: model to train.
        recipe: how.
        folder: where; a folder of another recipe is refused.
        train: ``(lr, hr)`` uint8 pairs.
        validate: pairs on which the best weights are chosen.
    """

    def __init__(self, spec: ModelSpec, recipe: Recipe, folder: Path, *, train: Pairs, validate: Pairs) -> None:
        self.spec, self.recipe, self.folder = spec, recipe, folder
        _claim(folder, recipe)
        tf_keras.utils.set_random_seed(recipe.seed)
        self._model = _built(spec, POLICIES[recipe.precision], recipe.expansion)
        self._average = _built(spec, "float32")
        self._follow(0.0)
        self._optimizer = tf_keras.optimizers.Adam(recipe.stages[0].learning_rate)
        self._optimizer.build(self._model.trainable_variables)
        self._train = train
        self._validator = Validator(self._average, validate, scale=spec.scale)
        self._step = tf.Variable(0, dtype=tf.int64)
        self._best = tf.Variable(-math.inf, dtype=tf.float64)
        self._manager = self._checkpoints()
        self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))

    @property
    def step(self) -> int:
        """Steps done, those of earlier runs included."""
        return int(self._step.numpy())

    @property
    def best_weights(self) -> Path:
        """The file of the best averaged weights so far."""
        return self.folder / "best.safetensors"

    def run(self, *, until: int | None = None, progress: Callable[[int], None] = lambda step: None) -> Iterator[Epoch]:
        """Train to the end of the recipe (or to step ``until``), yielding after each validation.

        ``progress`` is told the number of steps done. State is saved before each yield.
        """
        goal = min(until or self.recipe.steps, self.recipe.steps)
        while self.step < goal:
            stage, within = self.recipe.stage_at(self.step)
            stop = min(self.step + self.recipe.epoch_steps, self.step + stage.steps - within, goal)
            yield self._epoch(stage, within, range(self.step, stop), progress)

    def _epoch(self, stage: Stage, within: int, steps: range, progress: Callable[[int], None]) -> Epoch:
        began, losses = time.perf_counter(), tf_keras.metrics.Mean()
        train_step = self._train_step(stage)
        source = batches(self._train, spec=self.spec, recipe=self.recipe, stage=stage, steps=steps)
        for done, (lr, hr) in enumerate(source):
            self._optimizer.learning_rate.assign(learning_rate(stage, within + done))
            losses.update_state(train_step(lr, hr))
            progress(steps.start + done + 1)
        seconds = time.perf_counter() - began
        pixels = len(steps) * stage.batch * (stage.patch * self.spec.scale) ** 2
        self._step.assign(steps.stop)
        return self._close_epoch(float(losses.result()), within + len(steps) - 1, stage, pixels / seconds / 1e6)

    def _train_step(self, stage: Stage) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        model, optimizer, loss_of = self._model, self._optimizer, LOSSES[stage.loss]

        @tf.function(reduce_retracing=True)
        def step(lr: tf.Tensor, hr: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = loss_of(hr, tf.cast(model(lr, training=True), tf.float32))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            done = tf.cast(optimizer.iterations, tf.float32)
            self._follow(
                tf.minimum(self.recipe.average, done / (done + 10))
            )  # a short memory as long as little is known
            return loss

        return cast(Callable[[tf.Tensor, tf.Tensor], tf.Tensor], step)

    def _follow(self, decay: tf.Tensor | float) -> None:
        """Move the averaged weights towards the trained ones; ``decay`` 0 copies."""
        for kept, new in zip(self._average.weights, collapsed_weights(self._model), strict=True):
            kept.assign(decay * kept + (1 - decay) * tf.cast(new, kept.dtype))

    def _close_epoch(self, loss: float, within: int, stage: Stage, speed: float) -> Epoch:
        value = self._validator.psnr()
        if value > float(self._best.numpy()):
            self._best.assign(value)
            save_weights(self._average, self.best_weights, self._history(value))
        epoch = Epoch(self.step, loss, value, float(self._best.numpy()), learning_rate(stage, within), speed)
        self._log(epoch)
        self._manager.save(self.step)
        return epoch

    def _history(self, value: float) -> dict[str, str]:
        return {
            "model": self.spec.name,
            "recipe": self.recipe.model_dump_json(),
            "initialisation": self.recipe.initialisation,
            "step": str(self.step),
            "validation_psnr": f"{value:.4f}",
            "tensorflow": tf.__version__,
        }

    def _log(self, epoch: Epoch) -> None:
        path = self.folder / "history.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] < epoch.step]
        write_text(path, "\n".join([*kept, json.dumps(asdict(epoch))]) + "\n")
        with self._writer.as_default(step=epoch.step):
            for name in ("loss", "psnr", "learning_rate", "megapixels_per_second"):
                tf.summary.scalar(name, getattr(epoch, name))
        self._writer.flush()

    def _checkpoints(self) -> tf.train.CheckpointManager:
        state = tf.train.Checkpoint(
            model=self._model, average=self._average, optimizer=self._optimizer, step=self._step, best=self._best
        )
        manager = tf.train.CheckpointManager(state, str(self.folder / "checkpoints"), max_to_keep=2)
        if manager.latest_checkpoint:
            state.restore(manager.latest_checkpoint).assert_consumed()
        return manager


def _built(spec: ModelSpec, policy: str, expansion: int = 0) -> tf_keras.Model:
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = spec.build()
        return expanded(model, expansion) if expansion else model
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


def _claim(folder: Path, recipe: Recipe) -> None:
    """Tie the folder to the recipe: resuming under another one would mix two trainings."""
    stamp, text = folder / "recipe.json", recipe.model_dump_json()
    if stamp.exists() and stamp.read_text(encoding="utf-8") != text:
        raise ConfigError(
            expected=f"a new folder, or one of the same recipe, at {folder}",
            got="the run of another recipe",
            do="name another folder with --run, or remove this one",
        )
    write_text(stamp, text)
