"""The folder of one training: whose it is, and how it went so far."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from octopix.errors import ConfigError
from octopix.files import write_text
from train.recipe import Recipe, check_recipe


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


@dataclass(frozen=True)
class RunFolder:
    """Where a training keeps what it needs to go on, what it found, and how it went."""

    path: Path

    @property
    def best_weights(self) -> Path:
        """The averaged weights that did best on the validation images."""
        return self.path / "best.safetensors"

    @property
    def checkpoints(self) -> Path:
        """All that is needed to go on."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The same figures as `history`, for TensorBoard."""
        return self.path / "tensorboard"

    def check(self, recipe: Recipe, images: str) -> str | None:
        """Refuse a folder of another training: going on under another recipe or on other images would mix two.

        Recipes are compared by what they mean: a key that is left out is as good as its default.

        Returns:
            What `claim` wrote of the start; None in a new folder.

        Raises:
            ConfigError: the folder is another training's.
        """
        stamp = self._stamp
        if not stamp.exists():
            return None
        try:
            found = json.loads(stamp.read_text(encoding="utf-8"))
            ours = found["images"] == images and check_recipe(found["recipe"], stamp.name) == recipe
        except (ValueError, KeyError, TypeError, ConfigError):
            ours = False
        if not ours:
            raise ConfigError(
                expected=f"a new folder, or one of the same recipe and images, at {self.path}",
                got="the run of another recipe or on other images",
                do="name another folder with --run, or remove this one",
            )
        return str(found["start"]) if found.get("start") else None

    def claim(self, recipe: Recipe, images: str, start: str | None) -> None:
        """Tie the folder to recipe and images, and note what the weights started from."""
        content = {"images": images, "recipe": recipe.model_dump(mode="json", exclude_defaults=True), "start": start}
        write_text(self._stamp, json.dumps(content))

    def log(self, epoch: Epoch) -> None:
        """Add a line to the history; lines of steps that were trained again are replaced."""
        kept = [line for line in self._lines() if line["step"] < epoch.step]
        lines = [json.dumps(line, allow_nan=False) for line in (*kept, asdict(epoch))]
        write_text(self._history, "\n".join(lines) + "\n")

    def history(self) -> list[Epoch]:
        """The epochs so far.

        Raises:
            ConfigError: no training has reached its first validation here, or the history is damaged.
        """
        try:
            found = [Epoch(**line) for line in self._lines()]
        except (ValueError, TypeError) as error:
            raise ConfigError(
                expected=f"the history of a training in {self._history}", got=str(error), do="restore it"
            ) from error
        if not found:
            raise ConfigError(
                expected=f"the history of a training in {self.path}",
                got="none",
                do="correct the folder, or wait for the first validation",
            )
        return found

    @property
    def _stamp(self) -> Path:
        return self.path / "recipe.json"

    @property
    def _history(self) -> Path:
        return self.path / "history.jsonl"

    def _lines(self) -> list[Any]:
        if not self._history.exists():
            return []
        return [json.loads(line) for line in self._history.read_text(encoding="utf-8").splitlines()]
