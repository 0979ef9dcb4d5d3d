"""``python -m train``: train a model of the zoo, or list them.

python -m train --model espcn_x4 [--recipe R.yaml] [--data DIR] [--run DIR] [--publish]
python -m train --model srcnn_jpeg20 --pairs DIR [--validate-pairs DIR] [--skip-damaged]
python -m train --list [--json]
python -m train import CHECKPOINT.pth --model lesrcnn_x2 --out weights.safetensors
python -m train curves [--run DIR ...] --out curves.png
python -m train precision --model espcn_x4 --steps 3000
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from octopix.exits import exit_code_of
from train.commands import curves, importing, listing, precision, training

PRECISION_RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "training-precision.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `octopix.exits`)."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] and given[0] in COMMANDS:
        command, parser = COMMANDS[given[0]]
        run, options = command.run, parser().parse_args(given[1:])
    else:
        options = _parser().parse_args(given)
        run = listing.run if options.list else training.run
    return exit_code_of(lambda: _say(run(options)), stopped="stopped; the same command goes on at the last validation")


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train a float model of the zoo.")
    parser.add_argument("--model", default="espcn_x4", help="name in the zoo (default: %(default)s)")
    parser.add_argument("--recipe", type=Path, help="YAML recipe (default: the committed one of the model)")
    parser.add_argument(
        "--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)"
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        nargs="+",
        default=[],
        help="in place of --data: a folder of pairs (good/ and poor/ or hr/ and lr/ inside, or pictures side by side, "
        "good on the left), or two raw videos, good and poor",
    )
    parser.add_argument(
        "--validate-pairs",
        type=Path,
        nargs="+",
        default=[],
        help="the same, to validate on (default: a quarter of --pairs, another quarter trains)",
    )
    parser.add_argument("--frame-size", help="of the raw videos, like 480x320 (default: from their names)")
    parser.add_argument(
        "--skip-damaged", action="store_true", help="leave out pictures or pairs that cannot be used, naming them"
    )
    parser.add_argument(
        "--run", type=Path, help="folder of this training, resumed if it exists (default: runs/<model>)"
    )
    parser.add_argument("--until", type=int, help="stop after this many steps; a later call goes on")
    parser.add_argument(
        "--publish", action="store_true", help="at the end, put the best weights, equalized, into train/weights/"
    )
    parser.add_argument(
        "--distribute",
        default="none",
        help="none; mirrored: over all GPUs of this machine; workers: over the processes that TF_CONFIG names, "
        "with one --run folder that all see (default: %(default)s)",
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


def _curves_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train curves", description="Draw how trainings went.")
    parser.add_argument(
        "--run", type=Path, nargs="+", help="folders of trainings (default: all below runs/ that were validated once)"
    )
    parser.add_argument("--out", type=Path, required=True, help="PNG, SVG or PDF file to write")
    return parser


def _precision_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train precision", description="Compare training in bfloat16 with training in float32."
    )
    parser.add_argument("--model", default="espcn_x4", help="name in the zoo (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3000, help="steps of each training (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder of images (default: as for a training)")
    parser.add_argument("--run", type=Path, help="folder of the trainings (default: runs/precision-<model>)")
    parser.add_argument(
        "--out", type=Path, default=PRECISION_RESULT, help="JSON to write (default: the committed result)"
    )
    return parser


COMMANDS: Mapping[str, tuple[ModuleType, Callable[[], argparse.ArgumentParser]]] = {
    "import": (importing, _import_parser),
    "curves": (curves, _curves_parser),
    "precision": (precision, _precision_parser),
}

if __name__ == "__main__":
    sys.exit(main())
