"""``python -m quantize``: float models in, checked int8 ``.tflite`` files with cards out.

python -m quantize --model espcn_x4 --scheme all [--data DIR] [--out artifacts] [--quick] [--json]
python -m quantize --model espcn_x4 --budget 0.05
python -m quantize conversion-speed [--model espcn_x4] [--data DIR] [--out RESULT.json]
"""

import argparse
import contextlib
import dataclasses
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from octopix.errors import ConfigError
from octopix.exits import exit_code_of
from octopix.files import dump_json
from quantize.schemes import Scheme, known_schemes, parse_scheme, parse_schemes
from train.quiet import native_noise_dropped

if TYPE_CHECKING:
    from octopix.results import Result
    from quantize.budget import Rung
    from quantize.pipeline import Artifact
    from quantize.workbench import Watch
    from train.data.sources import DataHome


MISSED = 3
"""Exit code: no scheme is within the budget; the best one is written all the same."""

ALL = "all"
"""In place of a model's name: every model whose weights are there."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 an error of the user's, 3 a missed budget, 130 Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given if given[:1] in (["conversion-speed"], ["inception"]) else ["models", *given])
    return exit_code_of(lambda: options.run(options), stopped="stopped: files already written are whole")


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", default="espcn_x4", help="name in the zoo, or `all` (default: %(default)s)")
    common.add_argument(
        "--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)"
    )
    parser = argparse.ArgumentParser(prog="python -m quantize")
    commands = parser.add_subparsers(required=True)
    models = commands.add_parser(
        "models",
        parents=[common],
        prog="python -m quantize",
        description="Quantize a float model and prove what it costs.",
        epilog="python -m quantize conversion-speed --help: time the conversion against TFLiteConverter's. "
        "python -m quantize inception --help: the feature network of FID",
    )
    models.add_argument("--scheme", default="all", help=f"`all`, or some of: {', '.join(known_schemes())}")
    models.add_argument(
        "--out", type=Path, default=Path("artifacts"), help="folder of artifacts (default: %(default)s)"
    )
    models.add_argument(
        "--budget", type=float, metavar="DB", help="in place of --scheme: the cheapest int8 that loses at most DB dB"
    )
    models.add_argument("--weights", type=Path, help="float weights (default: those of the zoo), e.g. imported ones")
    models.add_argument("--quick", action="store_true", help="short training, few images: not for figures")
    models.add_argument("--json", action="store_true", help="JSON on stdout, and nothing else there")
    models.set_defaults(run=_models)
    speed = commands.add_parser("conversion-speed", parents=[common], description="Time Keras model to int8 bytes.")
    speed.add_argument("--out", type=Path, default=Path("benchmarks/results/conversion-speed.json"))
    speed.set_defaults(run=_conversion_speed)
    inception = commands.add_parser(
        "inception", description="Export the feature network of `python -m benchmarks fid`."
    )
    inception.add_argument(
        "--out", type=Path, default=Path("artifacts/inception_v3.tflite"), help="default: %(default)s"
    )
    inception.add_argument("--weights", type=Path, help="Keras' .h5 without top (default: downloaded once by Keras)")
    inception.set_defaults(run=_inception)
    return parser


def _models(options: argparse.Namespace) -> int | None:
    schemes = parse_schemes(options.scheme)
    home = _place(options)
    models, untrained = _chosen(options)
    if options.budget is not None:
        return _within_budget(models, home, options)
    made = [artifact for model in models for artifact in _quantize(model, schemes, home, options)]
    if options.json:
        print(dump_json(_payload(made)), end="")
        return None
    if options.quick:
        print("warning: made with --quick, short training and few validation images: not for figures")
    for model in untrained:
        print(f"{model}: not trained yet: make train MODEL={model}")
    return None


def _within_budget(models: tuple[str, ...], home: "DataHome", options: argparse.Namespace) -> int:
    """Climb for each model; `MISSED` where one has no scheme within the budget."""
    if options.scheme != "all":
        raise ConfigError(expected="--scheme or --budget", got="both", do="leave one of them out")
    found = [_climb(model, home, options) for model in models]
    if options.json:
        print(dump_json(_payload([artifact for artifact, _ in found])), end="")
    return 0 if all(within for _, within in found) else MISSED


def _climb(model: str, home: "DataHome", options: argparse.Namespace) -> "tuple[Artifact, bool]":
    """Rungs as they are reached, then what ships."""
    with native_noise_dropped() as screen:
        from quantize.budget import best, climb
        from quantize.pipeline import BASELINE, measured, open_bench, written
        from quantize.workbench import load_subject

        with _progress(screen) as watch:
            subject = load_subject(model, options.weights)
            bench, folder = open_bench(subject, home, options.out, quick=options.quick, watch=watch)
            rungs = []
            for rung in climb(bench, options.budget):
                rungs.append(rung)
                if not options.json:
                    print(_rung_line(model, rung), flush=True)
            chosen = best(rungs)
            written(measured(bench, parse_scheme(BASELINE)), folder)  # what drops are measured against
            artifact = written(chosen.measured, folder)
    if not options.json:
        verdict = "within" if chosen.within else "no scheme is within"
        print(f"{verdict} {options.budget:g} dB: {artifact.path}")
    return artifact, chosen.within


def _rung_line(model: str, rung: "Rung") -> str:
    found = rung.measured
    return f"{model:<18} {found.card.scheme:<31} drop {found.drop:7.3f} dB {found.seconds:8.1f} s"


def _chosen(options: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Models to quantize; and, of ``all``, those without weights."""
    from train.models import MODELS

    if options.model != ALL:
        return (options.model,), ()
    if options.weights is not None:
        raise ConfigError(expected="one model with --weights", got="all", do="name the model these weights are of")
    trained = tuple(name for name, spec in MODELS.items() if spec.weights.exists())
    return trained, tuple(name for name in MODELS if name not in trained)


def _quantize(
    model: str, schemes: tuple[Scheme, ...], home: "DataHome", options: argparse.Namespace
) -> "tuple[Artifact, ...]":
    with native_noise_dropped() as screen:
        from quantize.pipeline import quantize
        from quantize.workbench import load_subject

        subject = load_subject(model, options.weights)
        with _progress(screen) as watch:
            made = quantize(subject, schemes, home=home, out=options.out, quick=options.quick, watch=watch)
    if not options.json:
        print(_table(made), end="")
    return made


def _conversion_speed(options: argparse.Namespace) -> None:
    home = _place(options)
    with native_noise_dropped():
        from octopix.results import write_result
        from quantize.conversion_speed import conversion_speed

        result = conversion_speed(options.model, home)
    write_result(options.out, result)
    print(_speed_lines(result), end="")


def _inception(options: argparse.Namespace) -> None:
    with native_noise_dropped():
        from quantize.inception import export_inception

        export_inception(options.out, options.weights)
    print(options.out)


def _place(options: argparse.Namespace) -> "DataHome":
    """Where images come from; refuses an unknown model too, both before TensorFlow's seconds of import."""
    from train.data.sources import locate
    from train.models import find_model

    if options.model != ALL:
        find_model(options.model)
    return locate(options.data)


@contextlib.contextmanager
def _progress(screen: TextIO) -> "Iterator[Watch]":
    """A bar on ``screen`` for a terminal; silence elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    quiet = not screen.isatty()
    with Progress(*columns, console=Console(file=screen), transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=None)

        def watch(what: str, done: int, total: int) -> None:
            if bar.tasks[0].description != what:
                bar.reset(task, description=what, total=total or None)
            bar.update(task, completed=done)

        yield watch


def _table(made: "tuple[Artifact, ...]") -> str:
    first = made[0].card.validation
    assert first is not None  # the pipeline validates all it writes
    title = f"{made[0].card.model}: validation on {first.images} images of {first.image_set}, protocol {first.protocol}"
    width = max(len(artifact.card.scheme) for artifact in made) + 1
    lines = [title, f"{'scheme':<{width}}{'PSNR dB':>9}{'drop dB':>9}{'fidelity dB':>13}{'KiB':>10}{'seconds':>9}"]
    return "\n".join([*lines, *(_line(artifact, width) for artifact in made), str(made[0].path.parent)]) + "\n"


def _line(artifact: "Artifact", width: int) -> str:
    quality = artifact.card.validation
    assert quality is not None
    fidelity = "identical" if quality.fidelity is None else f"{quality.fidelity:.2f}"
    return (
        f"{artifact.card.scheme:<{width}}{quality.psnr:>9.3f}{quality.drop:>9.3f}{fidelity:>13}"
        f"{artifact.kib:>10.1f}{artifact.seconds:>9.1f}"
    )


def _payload(made: "Sequence[Artifact]") -> dict[str, object]:
    rows = [
        {
            "path": str(artifact.path),
            "kib": artifact.kib,
            "seconds": artifact.seconds,
            "drop_db": artifact.card.validation and artifact.card.validation.drop,
            "card": dataclasses.asdict(artifact.card),
        }
        for artifact in made
    ]
    return {"artifacts": rows}


def _speed_lines(timed: "Result") -> str:
    lines = [f"{'method':<18}{'median s':>10}{'times as fast':>15}"]
    for row in timed.to_json()["rows"]:
        lines.append(f"{row['method']:<18}{statistics.median(row['samples_s']):>10.2f}{row['ratio']:>15.2f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
