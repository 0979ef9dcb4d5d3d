"""bfloat16 against float32 in training: how fast, and how good at the end.

Both train the same model with the same seed, batches and steps, and take turns epoch by epoch, so that what else the
machine does meets both. Weights, gradients and averages are float32 in both; only convolutions and activations differ.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import tensorflow as tf

from octopix.conditions import Conditions, now, read_conditions
from octopix.errors import ConfigError
from train.recipe import Precision, Recipe
from train.run_folder import Epoch, RunFolder
from train.trainer import Member, Trainer

EPOCHS = 10
"""Turns of each."""

REFERENCE, REDUCED = get_args(Precision)


@dataclass(frozen=True)
class PrecisionComparison:
    """What came out, and under which conditions."""

    model: str
    steps: int
    images: str
    epochs: Mapping[str, Sequence[Epoch]]
    """By precision, in the order they were trained."""
    conditions: Conditions

    @property
    def speed_ratio(self) -> float:
        """Median over the turns of bfloat16's megapixels/s over float32's; the first turn compiles, and is left out."""
        pairs = zip(self.epochs[REDUCED][1:], self.epochs[REFERENCE][1:], strict=True)
        return statistics.median(mine.megapixels_per_second / its.megapixels_per_second for mine, its in pairs)

    @property
    def psnr_difference(self) -> float:
        """bfloat16's PSNR on the validation images at the last step minus float32's, dB."""
        return self.epochs[REDUCED][-1].psnr - self.epochs[REFERENCE][-1].psnr

    def to_json(self) -> dict[str, Any]:
        """Everything measured, and what follows from it."""
        return {
            "training_precision": 1,
            "created": now(),
            "model": self.model,
            "steps": self.steps,
            "images": self.images,
            "tensorflow": tf.__version__,
            "threads": tf.config.threading.get_intra_op_parallelism_threads(),
            "conditions": asdict(self.conditions),
            "speed_ratio": self.speed_ratio,
            "psnr_difference": self.psnr_difference,
            "rows": [
                {
                    "precision": precision,
                    "megapixels_per_second": statistics.median(each.megapixels_per_second for each in epochs[1:]),
                    "psnr": epochs[-1].psnr,
                    "epochs": [asdict(epoch) for epoch in epochs],
                }
                for precision, epochs in self.epochs.items()
            ],
        }


def compare_precisions(
    members: Sequence[Member], recipe: Recipe, folder: Path, *, steps: int, images: str
) -> PrecisionComparison:
    """Train ``steps`` steps twice, below ``folder``; a comparison that was stopped goes on.

    The recipe's first stage is shortened to ``steps``, its warm-up in proportion.

    Raises:
        ConfigError: too few steps to be compared; or see `Trainer`.
    """
    if steps < 2 * EPOCHS:
        raise ConfigError(expected=f"--steps of at least {2 * EPOCHS}", got=str(steps), do="take some thousands")
    conditions = read_conditions()  # the load before, not our own
    trainers = {
        precision: Trainer(members, _shortened(recipe, steps, precision), folder / precision, images=images)
        for precision in (REFERENCE, REDUCED)
    }
    while (behind := min(trainers.values(), key=lambda trainer: trainer.step)).step < steps:
        next(behind.run())
    epochs = {precision: RunFolder(folder / precision).history() for precision in trainers}
    return PrecisionComparison(recipe.model, steps, images, epochs, conditions)


def _shortened(recipe: Recipe, steps: int, precision: str) -> Recipe:
    first = recipe.stages[0]
    warmup = min(first.warmup_steps, steps // 10)
    stage = first.model_copy(update={"steps": steps, "warmup_steps": warmup})
    return recipe.model_copy(update={"precision": precision, "epoch_steps": steps // EPOCHS, "stages": (stage,)})
