"""``python -m quantize``: float models in, checked int8 ``.tflite`` files with cards out.

python -m quantize --model espcn_x4 --scheme all [--data DIR] [--out artifacts] [--quick] [--json]
python -m quantize --model espcn_x4 --budget 0.05
python -m quantize --model mine.tflite [--calibration DIR [--reference DIR]] [--value-range 0..255]
python -m quantize sensitivity --model espcn_x4 [--scheme int8-ptq-mse] [--json]
python -m quantize conversion-speed [--model espcn_x4] [--data DIR] [--out RESULT.json]
python -m quantize stock --model espcn_x4 [--data DIR] [--out peers]
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
from quantize.stock import add_stock
from train.quiet import native_noise_dropped

if TYPE_CHECKING:
    from octopix.results import Result
    from quantize.budget import Rung
    from quantize.given import Given
    from quantize.pipeline import Artifact
    from quantize.workbench import Subject, Watch
    from train.data.sources import DataHome


WITH_WORDS = (["conversion-speed"], ["inception"], ["sensitivity"], ["stock"])
"""First words that are commands; without one, models are quantized."""

MISSED = 3
"""Exit code: no scheme is within the budget; the best one is written all the same."""

LACK = (
    "float16 and dynamic need a Keras model or a SavedModel, int8-qat a Keras 2 model of plain layers and values 0..1"
)
"""Why a model of the user's lacks a scheme."""

ALL = "all"
"""In place of a model's name: every model whose weights are there."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 an error of the user's, 3 a missed budget, 130 Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given if given[:1] in WITH_WORDS else ["models", *given])
    return exit_code_of(lambda: options.run(options), stopped="stopped: files already written are whole")


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--model",
        default="espcn_x4",
        help="name in the zoo, `all`, or a float .tflite, .keras file or SavedModel of yours (default: %(default)s)",
    )
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
    models.add_argument("--calibration", type=Path, help="for a model file: folder of pictures like those it will get")
    models.add_argument("--reference", type=Path, help="their ground truth: a folder with the same names")
    models.add_argument(
        "--value-range",
        metavar="RANGE",
        help="for a model file: 0..1, -1..1, 0..255 or IN:OUT (default: what its ends state)",
    )
    models.add_argument("--weights", type=Path, help="float weights (default: those of the zoo), e.g. imported ones")
    models.add_argument("--quick", action="store_true", help="short training, few images: not for figures")
    models.add_argument("--json", action="store_true", help="JSON on stdout, and nothing else there")
    models.set_defaults(run=_models)
    speed = commands.add_parser("conversion-speed", parents=[common], description="Time Keras model to int8 bytes.")
    speed.add_argument("--out", type=Path, default=Path("benchmarks/results/conversion-speed.json"))
    speed.set_defaults(run=_conversion_speed)
    layers = commands.add_parser("sensitivity", parents=[common], description="Where int8 loses what, layer by layer.")
    layers.add_argument("--scheme", default="int8-ptq-mse", help="an int8-ptq scheme (default: %(default)s)")
    layers.add_argument("--weights", type=Path, help="float weights (default: those of the zoo)")
    layers.add_argument("--json", action="store_true", help="JSON on stdout, and nothing else there")
    layers.set_defaults(run=_sensitivity)
    inception = commands.add_parser(
        "inception", description="Export the feature network of `python -m benchmarks fid`."
    )
    inception.add_argument(
        "--out", type=Path, default=Path("artifacts/inception_v3.tflite"), help="default: %(default)s"
    )
    inception.add_argument("--weights", type=Path, help="Keras' .h5 without top (default: downloaded once by Keras)")
    inception.set_defaults(run=_inception)
    add_stock(commands, common)
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

        with _progress(screen) as watch:
            subject = _subject(model, home, options)
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

        subject = _subject(model, home, options)
        schemes = _offered(subject, schemes, options)
        with _progress(screen) as watch:
            made = quantize(subject, schemes, home=home, out=options.out, quick=options.quick, watch=watch)
    if not options.json:
        print(_table(made), end="")
    return made


def _subject(model: str, home: "DataHome", options: argparse.Namespace) -> "Subject":
    """The zoo's model, or the user's; of this one, what was found out is told."""
    given = _given(options)
    if given is None:
        from quantize.workbench import load_subject

        return load_subject(model, options.weights)
    from quantize.foreign import load_given

    subject = load_given(given, home, quick=options.quick)
    if not options.json:
        spec = subject.spec
        print(f"{spec.name}: {spec.task} ×{spec.scale}, {spec.channels}; {subject.training}")
    return subject


def _offered(subject: "Subject", schemes: tuple[Scheme, ...], options: argparse.Namespace) -> tuple[Scheme, ...]:
    """Of ``all``, what this model can be made into; schemes that were named are refused where they cannot."""
    missing = [scheme.name for scheme in schemes if scheme.kind not in subject.kinds]
    if missing and options.scheme != "all":
        raise ConfigError(
            expected=f"schemes for this model ({', '.join(sorted(subject.kinds))})",
            got=", ".join(missing),
            do=LACK,
        )
    if missing and not options.json:
        print(f"left out: {', '.join(missing)}; {LACK}")
    return tuple(scheme for scheme in schemes if scheme.kind in subject.kinds)


def _conversion_speed(options: argparse.Namespace) -> None:
    home = _place(options)
    with native_noise_dropped():
        from octopix.results import write_result
        from quantize.conversion_speed import conversion_speed

        result = conversion_speed(options.model, home)
    write_result(options.out, result)
    print(_speed_lines(result), end="")


def _sensitivity(options: argparse.Namespace) -> None:
    scheme = parse_scheme(options.scheme)
    if scheme.kind != "int8-ptq":
        raise ConfigError(expected="a scheme int8-ptq-…", got=scheme.name, do="for example --scheme int8-ptq-mse")
    home = _place(options)
    with native_noise_dropped() as screen:
        from quantize.sensitivity import sensitivity
        from quantize.workbench import Workbench, load_subject

        with _progress(screen) as watch:
            bench = Workbench(load_subject(options.model, options.weights), home, watch=watch)
            candidate = bench.corrected(scheme).candidate
            found = sensitivity(candidate, bench.judge, watch=lambda done, total: watch("layers", done, total))
    rows = [dataclasses.asdict(each) for each in found]
    if options.json:
        print(dump_json({"model": options.model, "scheme": scheme.name, "layers": rows}), end="")
        return
    print(f"{options.model}, {scheme.name}: fidelity of int8 on held-back calibration crops, layer by layer")
    print(f"{'layer':<40}{'MACs %':>8}{'alone in int8 dB':>18}{'gain in float dB':>18}")
    for each in found:
        print(
            f"{each.name[-40:]:<40}{100 * each.macs_share:>8.1f}{each.fidelity_alone:>18.2f}{each.gain_in_float:>18.2f}"
        )


def _inception(options: argparse.Namespace) -> None:
    with native_noise_dropped():
        from quantize.inception import export_inception

        export_inception(options.out, options.weights)
    print(options.out)


def _place(options: argparse.Namespace) -> "DataHome":
    """Where images come from; refuses an unknown model too, both before TensorFlow's seconds of import."""
    from train.data.sources import locate
    from train.models import find_model

    given = _given(options)
    if given is not None:
        from quantize.given import check_given

        check_given(given)
    elif options.model != ALL:
        find_model(options.model)
    return locate(options.data)


def _given(options: argparse.Namespace) -> "Given | None":
    """The user's model and images; None for the zoo's."""
    from quantize.given import Given, is_given
    from quantize.value_range import parse_value_range

    extras = ("calibration", "reference", "value_range")
    if options.model != ALL and is_given(options.model):
        if getattr(options, "weights", None) is not None:
            raise ConfigError(expected="a model of the zoo with --weights", got=options.model, do="leave one out")
        calibration, reference, values = (getattr(options, extra, None) for extra in extras)
        span = None if values is None else parse_value_range(values)
        return Given(Path(options.model), calibration, reference, span)
    for extra in extras:
        if getattr(options, extra, None) is not None:
            raise ConfigError(
                expected=f"a model file with --{extra.replace('_', '-')}",
                got=options.model,
                do="give the images of a model of the zoo as DATA=",
            )
    return None


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
    card = made[0].card
    first = card.validation or card.faithful
    assert first is not None  # the pipeline validates all it writes
    how = "fidelity alone" if card.validation is None else f"protocol {card.validation.protocol}"
    title = f"{card.model}: validation on {first.images} images of {first.image_set}, {how}"
    width = max(len(artifact.card.scheme) for artifact in made) + 1
    lines = [title, f"{'scheme':<{width}}{'PSNR dB':>9}{'drop dB':>9}{'fidelity dB':>13}{'KiB':>10}{'seconds':>9}"]
    return "\n".join([*lines, *(_line(artifact, width) for artifact in made), str(made[0].path.parent)]) + "\n"


def _line(artifact: "Artifact", width: int) -> str:
    card = artifact.card
    found = card.validation or card.faithful
    fidelity = "identical" if found is None or found.fidelity is None else f"{found.fidelity:.2f}"
    quality = card.validation
    psnr, drop = ("–", "–") if quality is None else (f"{quality.psnr:.3f}", f"{quality.drop:.3f}")
    return f"{card.scheme:<{width}}{psnr:>9}{drop:>9}{fidelity:>13}{artifact.kib:>10.1f}{artifact.seconds:>9.1f}"


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
