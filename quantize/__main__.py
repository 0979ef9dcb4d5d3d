"""``python -m quantize``: float models in, checked int8 ``.tflite`` files with cards out.

python -m quantize --model espcn_x4 --scheme all [--data DIR] [--out artifacts] [--quick] [--json]
python -m quantize --model espcn_x4 --budget 0.05
python -m quantize --model mine.tflite [--calibration DIR [--reference DIR]] [--value-range 0..255]
python -m quantize sensitivity --model espcn_x4 [--scheme int8-ptq-mse] [--json]
python -m quantize conversion-speed [--model espcn_x4] [--data DIR] [--out RESULT.json]
python -m quantize stock --model espcn_x4 [--data DIR] [--out reports/peers]
"""

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from octopix.errors import ConfigError, OctopixError
from octopix.exits import exit_code_of
from octopix.files import dump_json
from quantize.commands import add_sensitivity
from quantize.options import ALL, add_float_model, common_options, introduction, place, subject_of
from quantize.progress import progress
from quantize.schemes import Scheme, known_schemes, parse_scheme, parse_schemes, selective
from train.quiet import native_noise_dropped

if TYPE_CHECKING:
    from octopix.results import Result
    from quantize.budget import Rung
    from quantize.pipeline import Artifact
    from quantize.workbench import Subject
    from train.data.sources import DataHome


WITH_WORDS = (["conversion-speed"], ["inception"], ["sensitivity"], ["stock"])
"""First words that are commands; without one, models are quantized."""

MISSED = 3
"""Exit code: no scheme is within the budget; the best one is written all the same."""

LACK = (
    "float16 and dynamic need a Keras model or a SavedModel, int8-qat a Keras 2 model of plain layers and values 0..1"
)
"""Why a model of the user's lacks a scheme."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 an error of the user's, 3 a missed budget, 130 Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given if given[:1] in WITH_WORDS else ["models", *given])
    return exit_code_of(lambda: options.run(options), stopped="stopped: files already written are whole")


def _parser() -> argparse.ArgumentParser:
    common = common_options()
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
    models.add_argument(
        "--keep-float",
        metavar="LAYERS",
        help="with an int8-ptq scheme: layers to leave in float, joined by commas; `sensitivity` lists their names",
    )
    add_float_model(models)
    models.add_argument("--quick", action="store_true", help="short training, few images: not for figures")
    models.add_argument("--json", action="store_true", help="JSON on stdout, and nothing else there")
    models.set_defaults(run=_models)
    speed = commands.add_parser("conversion-speed", parents=[common], description="Time Keras model to int8 bytes.")
    speed.add_argument("--out", type=Path, default=Path("benchmarks/results/conversion-speed.json"))
    speed.add_argument("--rounds", type=int, default=7, help="of each way, in turns (default: %(default)s)")
    speed.set_defaults(run=_conversion_speed)
    add_sensitivity(commands, common)
    inception = commands.add_parser(
        "inception", description="Export the feature network of `python -m benchmarks fid`."
    )
    inception.add_argument(
        "--out", type=Path, default=Path("artifacts/inception_v3.tflite"), help="default: %(default)s"
    )
    inception.add_argument("--weights", type=Path, help="Keras' .h5 without top (default: downloaded once by Keras)")
    inception.set_defaults(run=_inception)
    stock = commands.add_parser(
        "stock", parents=[common], description="Crops, the stock converter's int8 and seconds, for `benchmarks peers`."
    )
    stock.add_argument("--out", type=Path, default=Path("reports/peers"), help="folder (default: %(default)s)")
    stock.set_defaults(run=_stock, weights=None)
    return parser


def _models(options: argparse.Namespace) -> int | None:
    schemes = _schemes(options)
    home = place(options)
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


def _schemes(options: argparse.Namespace) -> tuple[Scheme, ...]:
    """Those asked for; with ``--keep-float``, selective ones beside the full-integer ones they come from."""
    schemes = parse_schemes(options.scheme)
    if options.keep_float is None:
        return schemes
    names = [name.strip() for name in options.keep_float.split(",") if name.strip()]
    if not names:
        raise ConfigError(
            expected="names of layers joined by commas", got=repr(options.keep_float), do="correct KEEP_FLOAT="
        )
    chosen = tuple(scheme for scheme in schemes if scheme.kind == "int8-ptq")
    if options.scheme == "all" or not chosen:
        raise ConfigError(
            expected="an int8-ptq scheme for layers to be kept in float",
            got=f"SCHEME={options.scheme}",
            do="name one, for example SCHEME=int8-ptq-mse",
        )
    return (*schemes, *(selective(scheme, names) for scheme in chosen))


def _within_budget(models: tuple[str, ...], home: "DataHome", options: argparse.Namespace) -> int:
    """Climb for each model; `MISSED` where one has no scheme within the budget."""
    if options.scheme != "all" or options.keep_float is not None:
        raise ConfigError(
            expected="--budget alone", got="--scheme or --keep-float beside it", do="leave one of them out"
        )
    found = [_climb(model, home, options) for model in models]
    if options.json:
        print(dump_json(_payload([artifact for artifact, _ in found])), end="")
    return 0 if all(within for _, within in found) else MISSED


def _climb(model: str, home: "DataHome", options: argparse.Namespace) -> "tuple[Artifact, bool]":
    """Rungs as they are reached, then what ships."""
    with native_noise_dropped() as screen:
        from quantize.budget import best, climb
        from quantize.pipeline import BASELINE, measured, open_bench, tidy, written

        with progress(screen) as watch:
            subject = subject_of(model, home, options)
            _introduce(subject, options)
            bench, folder = open_bench(subject, home, options.out, quick=options.quick, watch=watch)
            rungs: list[Rung] = []
            try:
                for rung in climb(bench, options.budget):
                    rungs.append(rung)
                    if not options.json:
                        print(_rung_line(model, rung), flush=True)
            except OctopixError as error:
                if not rungs:
                    raise
                print(f"warning: the next rung failed, the best so far is kept: {error}", file=screen)
            chosen = best(rungs)
            written(measured(bench, parse_scheme(BASELINE)), folder)  # what drops are measured against
            artifact = written(chosen.measured, folder)
            for rung in rungs:
                tidy(rung.measured)
    if not options.json:
        verdict = "within" if chosen.within else "no scheme is within"
        print(f"{verdict} {options.budget:g} dB: {artifact.path}")
    return artifact, chosen.within


def _rung_line(model: str, rung: "Rung") -> str:
    found = rung.measured
    line = f"{model:<18} {found.card.scheme:<31} drop {found.drop:7.3f} dB {found.seconds:8.1f} s"
    if rung.cost is None:
        return line
    kept = ", ".join(found.card.float_layers)
    return f"{line}  {rung.cost.mixed_ms:.2f} ms instead of {rung.cost.int8_ms:.2f}: {kept} in float"


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

        subject = subject_of(model, home, options)
        _introduce(subject, options)
        schemes = _offered(subject, schemes, options)
        with progress(screen) as watch:
            made = quantize(subject, schemes, home=home, out=options.out, quick=options.quick, watch=watch)
    if not options.json:
        print(_table(made), end="")
    return made


def _introduce(subject: "Subject", options: argparse.Namespace) -> None:
    for line in introduction(subject, options):
        print(line)


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
    home = place(options)
    if options.rounds < 1:
        raise ConfigError(expected="1 round or more", got=str(options.rounds), do="correct --rounds")
    with native_noise_dropped():
        from octopix.results import write_result
        from quantize.conversion_speed import conversion_speed

        result = conversion_speed(options.model, home, rounds=options.rounds)
    write_result(options.out, result)
    print(_speed_lines(result), end="")


def _stock(options: argparse.Namespace) -> None:
    home = place(options)
    for model in _chosen(options)[0]:
        with native_noise_dropped():
            from quantize.stock import prepare

            facts = prepare(model, home, options.out)
        quicker = f"nearest rounding {facts.nearest_seconds:.1f} s, ranges alone {facts.ranges_seconds:.1f} s"
        ours = f"{facts.scheme} {facts.octopix_seconds:.1f} s, {quicker}"
        print(f"{model:<18} {ours}, TFLiteConverter {facts.stock_seconds:.1f} s: {options.out / model}", flush=True)


def _inception(options: argparse.Namespace) -> None:
    with native_noise_dropped():
        from quantize.inception import export_inception

        export_inception(options.out, options.weights)
    print(options.out)


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
