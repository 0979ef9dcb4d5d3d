"""bfloat16 against float32 in training: how fast, and how good at the end.

Both train the same model with the same seed, batches and steps. Weights, gradients and averages are float32 in both;
only convolutions and activations differ. Then single steps of both are timed in turns, so that what else the machine
does meets both.
"""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import tensorflow as tf

from octopix.conditions import Conditions, now, read_conditions
from octopix.errors import ConfigError
from octopix.latency import Latency, measure_alternating
from train.recipe import Precision, Recipe
from train.run_folder import Epoch, RunFolder
from train.samples import Member
from train.trainer import Trainer

EPOCHS = 10
"""Validations of each training."""

TIMED_STEPS = 100
REFERENCE, REDUCED = get_args(Precision)


@dataclass(frozen=True)
class PrecisionComparison:
    """What came out, and under which conditions. Mappings are by precision."""

    recipe: Recipe
    steps: int
    images: str
    epochs: Mapping[str, Sequence[Epoch]]
    timed: Mapping[str, Latency]
    """Single steps on the same batch."""
    megapixels: float
    """HR megapixels of that batch."""
    conditions: Conditions

    @property
    def speed_ratio(self) -> float:
        """Median over the turns of the time that a step takes in float32 over that in bfloat16."""
        turns = zip(self.timed[REFERENCE].samples_ms, self.timed[REDUCED].samples_ms, strict=True)
        return statistics.median(its / mine for its, mine in turns)

    @property
    def psnr_difference(self) -> float:
        """bfloat16's PSNR on the validation images at the last step minus float32's, dB."""
        return self.epochs[REDUCED][-1].psnr - self.epochs[REFERENCE][-1].psnr

    @property
    def warnings(self) -> list[str]:
        """What makes the times less certain."""
        return sorted({warning for latency in self.timed.values() for warning in latency.warnings})

    def to_json(self) -> dict[str, Any]:
        """Everything measured, and what follows from it."""
        return {
            "training_precision": 1,
            "created": now(),
            "model": self.recipe.model,
            "seed": self.recipe.seed,
            "steps": self.steps,
            "images": self.images,
            "tensorflow": tf.__version__,
            "threads": _threads(),
            "conditions": asdict(self.conditions),
            "speed_ratio": self.speed_ratio,
            "psnr_difference": self.psnr_difference,
            "warnings": self.warnings,
            "rows": [self._row(precision) for precision in self.epochs],
        }

    def _row(self, precision: str) -> dict[str, Any]:
        latency = self.timed[precision]
        return {
            "precision": precision,
            "megapixels_per_second": self.megapixels / latency.median_ms * 1000,
            "step_ms": list(latency.samples_ms),
            "psnr": self.epochs[precision][-1].psnr,
            "epochs": [{"step": each.step, "loss": each.loss, "psnr": each.psnr} for each in self.epochs[precision]],
        }


def compare_precisions(
    members: Sequence[Member], recipe: Recipe, folder: Path, *, steps: int, images: str
) -> PrecisionComparison:
    """Train ``steps`` steps twice, below ``folder``, and time single steps; a comparison that was stopped goes on.

    The recipe's first stage is shortened to ``steps``.

    Raises:
        ConfigError: too few steps to be compared; or see `Trainer`.
    """
    if steps < EPOCHS:
        raise ConfigError(expected=f"--steps of at least {EPOCHS}", got=str(steps), do="take some thousands")
    trainers = {
        precision: Trainer(members, _shortened(recipe, steps, precision), folder / precision, images=images)
        for precision in (REFERENCE, REDUCED)
    }
    while (behind := min(trainers.values(), key=lambda trainer: trainer.step)).step < steps:
        next(behind.run())
    conditions = read_conditions()
    calls = {precision: trainer.rehearsal() for precision, trainer in trainers.items()}
    timed = measure_alternating(calls, runs=TIMED_STEPS, min_seconds=0)
    stage, scale = recipe.stages[0], members[0].spec.network_scale
    return PrecisionComparison(
        recipe,
        steps,
        images,
        {precision: RunFolder(folder / precision).history() for precision in trainers},
        timed,
        stage.batch * (stage.patch * scale) ** 2 / 1e6,
        conditions,
    )


def _threads() -> int | None:
    """Threads that TensorFlow computes one operation with, where that was asked for."""
    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "0")
    return tf.config.threading.get_intra_op_parallelism_threads() or (int(asked) if asked.isdecimal() else 0) or None


def _shortened(recipe: Recipe, steps: int, precision: str) -> Recipe:
    first = recipe.stages[0]
    warmup = min(first.warmup_steps, steps // 10)
    stage = first.model_copy(update={"steps": steps, "warmup_steps": warmup})
    return recipe.model_copy(update={"precision": precision, "epoch_steps": steps // EPOCHS, "stages": (stage,)})
