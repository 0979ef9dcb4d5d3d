"""Training that can be killed at any moment: it continues at the last validated step, with the same batches."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow as tf
import tf_keras

from octopix.errors import ConfigError
from train.checkpoints import Checkpoints, room_for
from train.distribution import Distribution
from train.forms import collapsed, deployable, trainable, trained_variables, variables
from train.losses import LOSSES
from train.models.spec import ModelSpec
from train.pipeline import batches
from train.recipe import Recipe, Stage
from train.run_folder import Epoch, RunFolder
from train.samples import Member
from train.validation import Validator
from train.warm_start import started
from train.weights import save_arrays

Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then half a cosine from ``learning_rate`` to ``final_learning_rate`` within the stage."""
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / stage.warmup_steps
    done = (step - stage.warmup_steps) / max(1, stage.steps - stage.warmup_steps)
    share = 0.5 * (1 + math.cos(math.pi * done))
    return stage.final_learning_rate + (stage.learning_rate - stage.final_learning_rate) * share


class Trainer:
    """One recipe, one folder, and one network or a family of networks with layers in common.

    Of a family, batch number n trains member n modulo their number; layers of one name are one layer. The folder
    holds ``checkpoints/`` (to resume), ``best.safetensors`` (the weights to keep, of all members),
    ``history.jsonl`` (one line an epoch) and ``tensorboard/``.

    Args:
        members: the networks and their images.
        recipe: how.
        folder: where; a folder of another recipe, or of other images, is refused.
        images: what the images are, in words and a digest; it is written into the weights file.
        distribution: over which devices or processes; what is learned is the same, and so is the folder's content.

    Raises:
        ConfigError: the folder is another training's or damaged, the recipe's start does not fit, or its batches
            cannot be distributed so.
    """

    def __init__(
        self,
        members: Sequence[Member],
        recipe: Recipe,
        folder: Path,
        *,
        images: str,
        distribution: Distribution | None = None,
    ) -> None:
        self.recipe, self.images, self._members = recipe, images, tuple(members)
        self.distribution = distribution or Distribution()
        self.distribution.check(recipe)
        self.folder = RunFolder(folder)
        start = self.folder.check(recipe, images)
        tf_keras.utils.set_random_seed(recipe.seed)
        specs = [member.spec for member in members]
        with self.distribution.strategy.scope():
            self._models = trainable(specs, recipe)
            self._optimizer = tf_keras.optimizers.Adam(recipe.stages[0].learning_rate)
            self._optimizer.build(trained_variables(self._models))
        self._averages = deployable(specs)  # one copy a process: it follows, so the replicas need none of their own
        self._validators = [
            Validator(model, member.validate, scale=member.spec.network_scale, multiple_of=member.spec.multiple_of)
            for model, member in zip(self._averages, members, strict=True)
        ]
        self._step = tf.Variable(0, dtype=tf.int64)
        self._best = tf.Variable(-math.inf, dtype=tf.float64)
        self._steps: dict[tuple[int, str], Step] = {}
        self._checkpoints = Checkpoints(self.folder.checkpoints, self._state())
        if recipe.start and not self.step:
            with self.distribution.strategy.scope():
                start = started(self._models, recipe.start)
        if not self.step:
            self._follow(0.0)
        self.start = start
        """What was filled from the recipe's start, in words."""
        self.distribution.check_same(self.step, str(folder))
        if self.distribution.chief:
            self.folder.claim(recipe, images, start)
            with room_for("a log", self.folder.tensorboard):
                self._writer = tf.summary.create_file_writer(str(self.folder.tensorboard))

    @property
    def step(self) -> int:
        """Steps done, those of earlier runs included."""
        return int(self._step.numpy())

    @property
    def best_weights(self) -> Path:
        """The file of the best averaged weights so far."""
        return self.folder.best_weights

    def run(self, *, until: int | None = None, progress: Callable[[int], None] = lambda step: None) -> Iterator[Epoch]:
        """Train to the end of the recipe (or to step ``until``), yielding after each validation.

        ``progress`` is told the number of steps done. State is saved before each yield.

        Raises:
            ConfigError: the training diverged, or a checkpoint cannot be written; what was saved before stays as
                it was.
        """
        goal = min(until or self.recipe.steps, self.recipe.steps)
        while self.step < goal:
            stage, within = self.recipe.stage_at(self.step)
            stop = min(self.step + self.recipe.epoch_steps, self.step + stage.steps - within, goal)
            with self.distribution.together():
                epoch = self._epoch(stage, within, range(self.step, stop), progress)
            yield epoch

    def rehearsal(self) -> Callable[[], object]:
        """A call that trains one step on the first batch, to be timed; only this process's weights hear of it."""
        stage, _ = self.recipe.stage_at(0)
        ((turn, lr, hr),) = self._batches(stage, range(1))
        shares = self.distribution.shares(lr), self.distribution.shares(hr)
        return lambda: float(self._train_step(turn, stage)(*shares))

    def _epoch(self, stage: Stage, within: int, steps: range, progress: Callable[[int], None]) -> Epoch:
        began, losses = time.perf_counter(), tf_keras.metrics.Mean()
        for done, (turn, lr, hr) in enumerate(self._batches(stage, steps)):
            self._optimizer.learning_rate.assign(learning_rate(stage, within + done))
            shares = self.distribution.shares(lr), self.distribution.shares(hr)
            losses.update_state(self._train_step(turn, stage)(*shares))
            progress(steps.start + done + 1)
        seconds = time.perf_counter() - began
        pixels = sum(stage.batch * (stage.patch * self._spec_of(step).network_scale) ** 2 for step in steps)
        self._step.assign(steps.stop)
        return self._close_epoch(float(losses.result()), within + len(steps) - 1, stage, pixels / seconds / 1e6)

    def _batches(self, stage: Stage, steps: range) -> Iterator[tuple[int, tf.Tensor, tf.Tensor]]:
        """Whose turn it is, and a batch for it."""
        count = len(self._members)
        sources = {}
        for first in steps[:count]:
            member = self._members[first % count]
            own = range(first, steps.stop, count)
            sources[first % count] = iter(
                batches(member.train, spec=member.spec, recipe=self.recipe, stage=stage, steps=own)
            )
        for step in steps:
            yield step % count, *next(sources[step % count])

    def _spec_of(self, step: int) -> ModelSpec:
        return self._members[step % len(self._members)].spec

    def _train_step(self, turn: int, stage: Stage) -> Step:
        """The compiled step of one member under the stage's loss, made once."""
        key = turn, stage.loss
        if key not in self._steps:
            self._steps[key] = self._compiled(turn, stage)
        return self._steps[key]

    def _compiled(self, turn: int, stage: Stage) -> Step:
        model, optimizer, loss_of = self._models[turn], self._optimizer, LOSSES[stage.loss]

        def learn(lr: tf.Tensor, hr: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = loss_of(hr, tf.cast(model(lr, training=True), tf.float32))
            gradients = self.distribution.averaged(tape.gradient(loss, model.trainable_variables))
            moves = zip(gradients, model.trainable_variables, strict=True)
            optimizer.apply_gradients(moves, skip_gradients_aggregation=True)  # which would be their sum
            return loss

        @tf.function(reduce_retracing=True)
        def step(lr: tf.Tensor, hr: tf.Tensor) -> tf.Tensor:
            loss = self.distribution.mean(learn, lr, hr)
            done = tf.cast(optimizer.iterations, tf.float32)
            self._follow(
                tf.minimum(self.recipe.average, done / (done + 10))
            )  # a short memory as long as little is known
            return loss

        return cast(Step, step)

    def _follow(self, decay: tf.Tensor | float) -> None:
        """Move the averaged weights towards the trained ones; ``decay`` 0 copies."""
        trained = collapsed(self._models)
        for name, kept in variables(self._averages).items():
            kept.assign(decay * kept + (1 - decay) * tf.cast(trained[name], kept.dtype))

    def _close_epoch(self, loss: float, within: int, stage: Stage, speed: float) -> Epoch:
        self._check_finite(loss)
        value = self.distribution.of_chief(self._psnr)
        better = value > float(self._best.numpy())
        if better:
            self._best.assign(value)
        epoch = Epoch(self.step, loss, value, float(self._best.numpy()), learning_rate(stage, within), speed)
        if self.distribution.chief:
            self._write(epoch, better=better)
        self.distribution.wait()
        return epoch

    def _psnr(self) -> float:
        return float(np.mean([validator.psnr() for validator in self._validators]))

    def _write(self, epoch: Epoch, *, better: bool) -> None:
        if better:
            arrays = {name: weight.numpy() for name, weight in variables(self._averages).items()}
            save_arrays(arrays, self.best_weights, self._history(epoch.psnr))
        self._log(epoch)
        self._checkpoints.save(epoch.step)

    def _check_finite(self, loss: float) -> None:
        weights = variables(self._averages).values()
        if math.isfinite(loss) and all(np.isfinite(weight.numpy()).all() for weight in weights):
            return
        raise ConfigError(
            expected=f"finite loss and weights at step {self.step}",
            got=f"a training that diverged (loss {loss}); the last good checkpoint is step {self._checkpoints.newest}",
            do="lower the learning rate of the recipe, and name a new folder with --run",
        )

    def _history(self, value: float) -> dict[str, str]:
        words = [self.recipe.initialisation, *([self.start] if self.start else [])]
        return {
            "model": self.recipe.model,
            "recipe": self.recipe.model_dump_json(),
            "initialisation": "; ".join(words),
            "images": self.images,
            "step": str(self.step),
            "validation_psnr": f"{value:.4f}",
            "tensorflow": tf.__version__,
        }

    def _log(self, epoch: Epoch) -> None:
        self.folder.log(epoch)
        with room_for("a log", self.folder.tensorboard), self._writer.as_default(step=epoch.step):
            for name in ("loss", "psnr", "learning_rate", "megapixels_per_second"):
                tf.summary.scalar(name, getattr(epoch, name))
            self._writer.flush()

    def _state(self) -> dict[str, object]:
        """What a checkpoint holds. Siblings have a place only in a family: a lone network's layout stays as it is."""
        (model, *siblings), (average, *averages) = self._models, self._averages
        state = {
            "model": model,
            "average": average,
            "optimizer": self._optimizer,
            "step": self._step,
            "best": self._best,
        }
        return {**state, "siblings": siblings, "sibling_averages": averages} if siblings else state
