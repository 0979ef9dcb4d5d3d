"""``python -m train``: train a model of the zoo, or list them.

python -m train --model espcn_x4 [--recipe R.yaml] [--data DIR] [--run DIR] [--publish]
python -m train --list [--json]
python -m train import CHECKPOINT.pth --model lesrcnn_x2 --out weights.safetensors
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from octopix.errors import ConfigError
from octopix.exits import exit_code_of
from train.quiet import native_noise_dropped

if TYPE_CHECKING:
    from train.trainer import Trainer


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `octopix.exits`)."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["import"]:
        run, options = _import, _import_parser().parse_args(given[1:])
    else:
        options = _parser().parse_args(given)
        run = _list if options.list else _train
    return exit_code_of(lambda: run(options), stopped="stopped; the same command goes on at the last validation")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train a float model of the zoo.")
    parser.add_argument("--model", default="espcn_x4", help="name in the zoo (default: %(default)s)")
    parser.add_argument("--recipe", type=Path, help="YAML recipe (default: the committed one of the model)")
    parser.add_argument(
        "--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)"
    )
    parser.add_argument(
        "--run", type=Path, help="folder of this training, resumed if it exists (default: runs/<model>)"
    )
    parser.add_argument("--until", type=int, help="stop after this many steps; a later call goes on")
    parser.add_argument(
        "--publish", action="store_true", help="at the end, put the best weights, equalized, into train/weights/"
    )
    parser.add_argument("--list", action="store_true", help="list the zoo")
    parser.add_argument("--json", action="store_true", help="with --list: JSON on stdout")
    return parser


def _import_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train import", description="Bring published weights into the zoo.")
    parser.add_argument("checkpoint", type=Path, help="PyTorch state dictionary, read without running what it holds")
    parser.add_argument("--model", required=True, help="name in the zoo")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write, for `quantize --weights`")
    return parser


def _import(options: argparse.Namespace) -> None:
    from train.importing import import_checkpoint
    from train.models import find_model

    spec = find_model(options.model)
    with native_noise_dropped():
        values = import_checkpoint(options.checkpoint, spec, options.out)
    print(f"{options.out}: {values:,} values of {options.checkpoint.name}")


def _list(options: argparse.Namespace) -> None:
    from train.models import MODELS  # TensorFlow, 3 s

    rows = [
        {
            "name": spec.name,
            "title": spec.title,
            "task": spec.task,
            "scale": spec.scale,
            "channels": spec.channels,
            "parameters": spec.parameters,
            "recipe": f"train/recipes/{spec.recipe.name}",
            "weights": f"train/weights/{spec.weights.name}" if spec.weights.exists() else None,
        }
        for spec in MODELS.values()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        state = row["weights"] or f"untrained: make train MODEL={row['name']}"
        print(f"{row['name']:<16} {row['parameters']:>10,} parameters   {state}")


def _train(options: argparse.Namespace) -> None:
    from train.data.sources import digest, images_for, locate
    from train.models import find_model
    from train.recipe import read_recipe

    spec = find_model(options.model)
    if options.until is not None and options.until < 1:
        raise ConfigError(expected="--until of at least 1 step", got=str(options.until), do="leave it out to train all")
    recipe = read_recipe(options.recipe or spec.recipe, model=spec.name)
    home = locate(options.data)
    with native_noise_dropped() as screen:
        from train.pipeline import load_pairs
        from train.publishing import publish
        from train.trainer import Trainer

        train, validate = images_for(home, "train"), images_for(home, "validate")
        images = "; ".join(f"{each.title}, {digest(each)}" for each in (train, validate))
        print(f"{spec.title}: {recipe.steps:,} steps in {recipe.precision}, images: {images}", file=screen)
        trainer = Trainer(
            spec,
            recipe,
            options.run or Path("runs") / spec.name,
            train=load_pairs(spec, train),
            validate=load_pairs(spec, validate),
            images=images,
        )
        _run(trainer, options.until or recipe.steps, screen)
    if trainer.best_weights.exists():
        print(trainer.best_weights)
    if options.publish:
        with native_noise_dropped():
            publish(spec, trainer.best_weights)
        print(spec.weights)


def _run(trainer: "Trainer", goal: int, screen: TextIO) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
