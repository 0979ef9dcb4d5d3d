"""Training recipes: one YAML per trained model, checked key by key before anything slow begins."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from octopix.errors import ConfigError

Loss = Literal["mae", "mse", "charbonnier"]
Precision = Literal["float32", "bfloat16"]


class Stage(BaseModel):
    """A stretch of training with one loss and one cosine from ``learning_rate`` to ``final_learning_rate``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: PositiveInt
    loss: Loss
    learning_rate: PositiveFloat
    final_learning_rate: PositiveFloat
    batch: PositiveInt
    patch: PositiveInt
    """Side of an LR patch, pixels."""
    warmup_steps: NonNegativeInt = 0


class Recipe(BaseModel):
    """How one model is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    initialisation: str
    """Where the weights start, in words: it is written into the weights file."""
    seed: int = Field(ge=0, lt=2**32)
    precision: Precision
    expansion: NonNegativeInt = 0
    """Width of the linear expansion each convolution is trained with (`train.expansion`); 0 trains it plainly."""
    normalized: str | None = Field(default=None, min_length=1)
    """Convolutions whose names begin so train with batch normalization (`train.normalization`), folded at the end."""
    start: str | None = None
    """Model of the zoo whose committed weights fill all variables that have the same name and shape here; or
    ``imagenet`` for a ResNet-50 encoder (`train.imagenet`)."""
    average: float = Field(ge=0, lt=1)
    """Decay of the running average of weights that is validated and kept; 0 keeps the raw weights."""
    epoch_steps: PositiveInt
    """Steps between two validations."""
    stages: tuple[Stage, ...] = Field(min_length=1)

    @property
    def steps(self) -> int:
        """All steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage that ``step`` falls into, and the step's number within it."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        return self.stages[-1], self.stages[-1].steps - 1


def read_recipe(path: Path, *, model: str | None = None) -> Recipe:
    """Read and check a recipe, which must be for ``model`` if one is named.

    Raises:
        ConfigError: missing, not YAML, a key that is unknown, missing or of the wrong kind, or another model's recipe.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            expected=f"a recipe at {path}", got=error.strerror or "nothing", do="correct --recipe"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(expected=f"YAML in {path.name}", got=str(error), do="mend the file") from error
    recipe = check_recipe(raw, path.name)
    if model not in (None, recipe.model):
        raise ConfigError(
            expected=f"a recipe for {model}", got=f"{path.name}, for {recipe.model}", do="name another one"
        )
    return recipe


def check_recipe(raw: Any, where: str) -> Recipe:
    """Turn parsed YAML into a recipe; see `read_recipe` for the errors."""
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors())
        known = f"{', '.join(Recipe.model_fields)}; in a stage {', '.join(Stage.model_fields)}"
        raise ConfigError(
            expected=f"a recipe with the keys {known}", got=f"{where}: {problems}", do="mend the recipe"
        ) from error


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "the whole file"
    if item["type"] == "extra_forbidden":
        return f"unknown key {where}"
    return f"{where}: {item['msg'].lower()}"
