"""An interrupted training goes on where it was last judged: one file, replaced at once, thrown away at the end."""

import dataclasses
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from octopix.files import write_bytes

SUFFIX = ".resume.npz"


@dataclass(frozen=True)
class Progress:
    """How far training is, and the best int8 model so far."""

    step: int
    best: bytes
    best_step: int
    scores: tuple[tuple[int, float], ...]
    """(step, judge's value); the first is the start's."""

    def judged(self, step: int, model: bytes, score: float) -> "Progress":
        """With a further judgement."""
        scores = (*self.scores, (step, score))
        if score > max(value for _, value in self.scores):
            return Progress(step, model, step, scores)
        return dataclasses.replace(self, step=step, scores=scores)


@dataclass(frozen=True)
class Resume:
    """The file of one training.

    Args:
        path: of the file.
        stamp: a hash over all that the training starts from; a file with another one is of another training.
    """

    path: Path
    stamp: str

    def save(self, progress: Progress, variables: Sequence[tf.Variable]) -> None:
        """Keep all that is needed to go on.

        Raises:
            OctopixError: no place to write.
        """
        content = io.BytesIO()
        arrays: dict[str, Any] = {f"v{number}": each.numpy() for number, each in enumerate(variables)}
        np.savez(
            content,
            stamp=np.array(self.stamp),
            step=np.array(progress.step),
            best=np.frombuffer(progress.best, np.uint8),
            best_step=np.array(progress.best_step),
            scores=np.array(progress.scores, np.float64),
            **arrays,
        )
        write_bytes(self.path, content.getvalue())

    def load(self, variables: Sequence[tf.Variable]) -> Progress | None:
        """Put the variables back; None where there is nothing, or nothing that fits, and all is as it was."""
        try:
            with np.load(self.path, allow_pickle=False) as kept:
                if str(kept["stamp"]) != self.stamp:
                    return None
                values = [kept[f"v{number}"] for number in range(len(variables))]
                progress = Progress(
                    step=int(kept["step"]),
                    best=kept["best"].tobytes(),
                    best_step=int(kept["best_step"]),
                    scores=tuple((int(step), float(score)) for step, score in kept["scores"]),
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return progress
