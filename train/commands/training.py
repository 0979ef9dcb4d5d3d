"""``python -m train --model NAME``: from a recipe and images to weights."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from octopix.errors import ConfigError
from train.models import find_family
from train.quiet import native_noise_dropped
from train.recipe import read_recipe

if TYPE_CHECKING:
    from train.samples import Sources
    from train.trainer import Trainer


def run(options: argparse.Namespace) -> list[str]:
    """Train, or go on; says where the best weights are, and with ``--publish`` the zoo's."""
    specs = find_family(options.model)
    name = specs[0].trained_as
    if options.until is not None and options.until < 1:
        raise ConfigError(expected="--until of at least 1 step", got=str(options.until), do="leave it out to train all")
    recipe = read_recipe(options.recipe or specs[0].recipe, model=name)
    from train.samples import members_of  # not above: the list of the zoo needs no image library

    members, images = members_of(specs, recipe, _sources(options), tell=_tell)
    with native_noise_dropped() as screen:
        from train.distribution import find_distribution
        from train.publishing import publish
        from train.trainer import Trainer

        distribution = find_distribution(options.distribute)
        titles = ", ".join(spec.title for spec in specs)
        print(f"{titles}: {recipe.steps:,} steps in {recipe.precision}, images: {images}", file=screen)
        folder = options.run or Path("runs") / name
        trainer = Trainer(members, recipe, folder, images=images, distribution=distribution)
        if trainer.start:
            print(f"start: {trainer.start}", file=screen)
        _train(trainer, options.until or recipe.steps, screen)
        if options.publish and distribution.chief:
            publish(members, trainer.best_weights)
    if not distribution.chief:
        return []
    written = [trainer.best_weights, *([specs[0].weights] if options.publish else [])]
    return [str(path) for path in written if path.exists()]


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _sources(options: argparse.Namespace) -> "Sources":
    from train.data.yuv import parse_frame_size
    from train.samples import Sources

    return Sources(
        data=options.data,
        pairs=tuple(options.pairs),
        validate_pairs=tuple(options.validate_pairs),
        frame_size=parse_frame_size(options.frame_size) if options.frame_size else None,
        skip_damaged=options.skip_damaged,
    )


def _train(trainer: "Trainer", goal: int, screen: TextIO) -> None:
    """Train to step ``goal`` under a progress bar, with a line after each validation."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=screen, soft_wrap=True)) as bar:
        task = bar.add_task("training", total=goal, completed=trainer.step)
        for epoch in trainer.run(until=goal, progress=lambda step: bar.update(task, completed=step)):
            bar.console.print(
                f"step {epoch.step:>7}  loss {epoch.loss:.5f}  validation {epoch.psnr:.3f} dB"
                f"  best {epoch.best_psnr:.3f} dB  {epoch.megapixels_per_second:.2f} megapixels/s"
            )
