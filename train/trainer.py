"""Training that can be killed at any moment: it continues at the last validated step, with the same batches."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
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
KEPT = 2
"""Checkpoints in a folder: the newest, and one to fall back to."""

UNREADABLE = (tf.errors.OpError, IndexError, RuntimeError, ValueError)
"""What TensorFlow raises on damaged checkpoints; a file cut short is an IndexError of its C++."""

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
        folder: where; a folder of another recipe, or of other images, is refused.
        train: ``(lr, hr)`` uint8 pairs.
        validate: pairs on which the best weights are chosen.
        images: what these pairs are, in words and a digest; it is written into the weights file.
    """

    def __init__(
        self, spec: ModelSpec, recipe: Recipe, folder: Path, *, train: Pairs, validate: Pairs, images: str
    ) -> None:
        self.spec, self.recipe, self.folder, self.images = spec, recipe, folder, images
        _claim(folder, recipe, images)
        tf_keras.utils.set_random_seed(recipe.seed)
        self._model = _built(spec, POLICIES[recipe.precision], recipe.expansion)
        self._average = _built(spec, "float32")
        self._follow(0.0)
        self._optimizer = tf_keras.optimizers.Adam(recipe.stages[0].learning_rate)
        self._optimizer.build(self._model.trainable_variables)
        self._train = train
        self._validator = Validator(self._average, validate, scale=spec.network_scale)
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

        Raises:
            ConfigError: the training diverged; what was saved before stays as it was.
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
        pixels = len(steps) * stage.batch * (stage.patch * self.spec.network_scale) ** 2
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
        self._check_finite(loss)
        value = self._validator.psnr()
        if value > float(self._best.numpy()):
            self._best.assign(value)
            save_weights(self._average, self.best_weights, self._history(value))
        epoch = Epoch(self.step, loss, value, float(self._best.numpy()), learning_rate(stage, within), speed)
        self._log(epoch)
        self._manager.save(self.step)
        return epoch

    def _check_finite(self, loss: float) -> None:
        if math.isfinite(loss) and all(np.isfinite(weight.numpy()).all() for weight in self._average.weights):
            return
        good = (self._kept() or ["ckpt-0"])[0].rpartition("-")[2]
        raise ConfigError(
            expected=f"finite loss and weights at step {self.step}",
            got=f"a training that diverged (loss {loss}); the last good checkpoint is step {good}",
            do="lower the learning rate of the recipe, and name a new folder with --run",
        )

    def _history(self, value: float) -> dict[str, str]:
        return {
            "model": self.spec.name,
            "recipe": self.recipe.model_dump_json(),
            "initialisation": self.recipe.initialisation,
            "images": self.images,
            "step": str(self.step),
            "validation_psnr": f"{value:.4f}",
            "tensorflow": tf.__version__,
        }

    def _log(self, epoch: Epoch) -> None:
        path = self.folder / "history.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] < epoch.step]
        write_text(path, "\n".join([*kept, json.dumps(asdict(epoch), allow_nan=False)]) + "\n")
        with self._writer.as_default(step=epoch.step):
            for name in ("loss", "psnr", "learning_rate", "megapixels_per_second"):
                tf.summary.scalar(name, getattr(epoch, name))
        self._writer.flush()

    def _checkpoints(self) -> tf.train.CheckpointManager:
        state = tf.train.Checkpoint(
            model=self._model, average=self._average, optimizer=self._optimizer, step=self._step, best=self._best
        )
        self._restore(state)
        folder, kept = str(self.folder / "checkpoints"), self._kept()
        if kept:  # TensorFlow's note of them may be damaged
            tf.compat.v1.train.update_checkpoint_state(folder, kept[0], kept[::-1])
        return tf.train.CheckpointManager(state, folder, max_to_keep=KEPT)

    def _restore(self, state: tf.train.Checkpoint) -> None:
        """Fill ``state`` from the newest checkpoint that is whole; leave it as it is where there is none yet."""
        problem = None
        for prefix in self._kept():
            try:
                state.restore(prefix).assert_consumed()
            except UNREADABLE as error:
                problem = error
            else:
                return
        if problem is not None:
            raise ConfigError(
                expected=f"a whole checkpoint in {self.folder / 'checkpoints'}",
                got=f"damaged ones only ({str(problem).splitlines()[0]})",
                do="restore them, or name a new folder with --run",
            ) from problem

    def _kept(self) -> list[str]:
        """Checkpoints in the folder, newest first."""
        found = (self.folder / "checkpoints").glob("ckpt-*.index")
        prefixes = [str(path.with_suffix("")) for path in found]
        return sorted(prefixes, key=lambda prefix: int(prefix.rpartition("-")[2]), reverse=True)


def _built(spec: ModelSpec, policy: str, expansion: int = 0) -> tf_keras.Model:
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = spec.build()
        return expanded(model, expansion) if expansion else model
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


def _claim(folder: Path, recipe: Recipe, images: str) -> None:
    """Tie the folder to recipe and images: resuming under another one or on others would mix two trainings."""
    stamp, text = folder / "recipe.json", json.dumps({"images": images, "recipe": recipe.model_dump(mode="json")})
    if stamp.exists() and stamp.read_text(encoding="utf-8") != text:
        raise ConfigError(
            expected=f"a new folder, or one of the same recipe and images, at {folder}",
            got="the run of another recipe or on other images",
            do="name another folder with --run, or remove this one",
        )
    write_text(stamp, text)
