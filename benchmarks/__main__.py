"""``python -m benchmarks``: measure what `quantize` wrote, and report it.

python -m benchmarks table --model espcn_x4 [--artifacts DIR] [--data DIR] [--reports DIR] [--quick] [--json]
python -m benchmarks report --results reports/espcn_x4/results.json | --all reports
python -m benchmarks compare BASE HEAD [--out DIR]
python -m benchmarks zoo [--reports DIR]
python -m benchmarks vacc [--artifacts DIR] [--data DIR]
python -m benchmarks by-image --results A/results.json [B/results.json ...] --out FILE.png
python -m benchmarks devices reports/espcn_x4-on-devices
python -m benchmarks bench [--suite quick|full|FILE.yaml] [--artifacts DIR] [--out DIR] [--fresh] [--json]
python -m benchmarks peers --model espcn_x4 [--artifacts DIR] [--prepared DIR] [--data DIR] [--threads 1] [--quick]
python -m benchmarks pipelines --folder-model A.tflite --cores-model B.tflite [--data DIR] [--out FILE.json]
python -m benchmarks fid FOLDER_A FOLDER_B [--inception FILE.tflite] [--json]
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.all_models import write_all
from benchmarks.artifacts import FLOAT, Artifact, find_artifacts
from benchmarks.bench.commands import add_bench
from benchmarks.commands import ALL, add_by_image, add_compare, add_devices, add_vacc, add_zoo, models_below
from benchmarks.crops import choose, write_crops
from benchmarks.fid import INCEPTION, INCEPTION_VARIABLE, Fid, fid, find_inception, image_count
from benchmarks.layers import SENSITIVITY, read_sensitivity
from benchmarks.material import PLOT_FOLDER, RESULTS
from benchmarks.own import own_images
from benchmarks.peers.commands import add_peers
from benchmarks.pipelines.commands import add_pipelines
from benchmarks.progress import progress
from benchmarks.report import rewrite_report, write_report
from benchmarks.suite import Measured, Stage, measure_model, measure_own
from benchmarks.summary import quantize_rows, summarise
from benchmarks.table import console_for, show
from octopix.exits import exit_code_of
from octopix.files import check_writable, dump_json, write_bytes
from octopix.protocols import PROTOCOLS
from octopix.results import write_result
from train.data.degradations import find_degradation
from train.data.sources import locate
from train.data.test_sets import test_sets

USER_ERROR = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for an error of the user's)."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: options.run(options), stopped="interrupted; finished files are whole")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure and report artifacts.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    table = commands.add_parser("table", help="quality and latency of every artifact of a model: table and report")
    table.add_argument("--model", default="espcn_x4", help="folder below --artifacts, or `all` (default: %(default)s)")
    table.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="default: %(default)s")
    table.add_argument("--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)")
    table.add_argument("--reports", type=Path, default=Path("reports"), help="default: %(default)s")
    table.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="default: that of published figures",
    )
    table.add_argument("--inputs", type=Path, metavar="DIR", help="measure on these network inputs, a user's own")
    table.add_argument("--reference", type=Path, metavar="DIR", help="their ground truth, under the same names")
    table.add_argument("--quick", action="store_true", help="few images and short timing: not for figures")
    table.add_argument("--json", action="store_true", help="the result as JSON on stdout, and nothing else there")
    report = commands.add_parser("report", help="make the report again from a results.json and the crops beside it")
    which = report.add_mutually_exclusive_group(required=True)
    which.add_argument("--results", type=Path, help="reports/<model>/results.json")
    which.add_argument("--all", type=Path, metavar="REPORTS", help="one page over every REPORTS/<model>/results.json")
    table.set_defaults(run=_table)
    report.set_defaults(run=_report)
    add_compare(commands)
    add_zoo(commands)
    add_vacc(commands)
    add_by_image(commands)
    add_devices(commands)
    add_peers(commands)
    add_pipelines(commands)
    add_bench(commands)
    distance = commands.add_parser("fid", help="Fréchet Inception distance between two folders of images")
    distance.add_argument("a", type=Path, metavar="FOLDER_A", help="images, e.g. the ground truth")
    distance.add_argument("b", type=Path, metavar="FOLDER_B", help="images, e.g. what a network made")
    distance.add_argument(
        "--inception", type=Path, help=f"feature network, .tflite (default: ${INCEPTION_VARIABLE}, else {INCEPTION})"
    )
    distance.add_argument("--json", action="store_true", help="the figures as JSON on stdout, and nothing else there")
    distance.set_defaults(run=_fid)
    return parser


def _table(options: argparse.Namespace) -> None:
    for model in models_below(options.artifacts, options.model):
        _measure(model, options)
    if options.model == ALL and not options.json:
        for path in write_all(options.reports):
            print(path)


def _measure(model: str, options: argparse.Namespace) -> None:
    artifacts = find_artifacts(options.artifacts, model)
    measured_on = _images(artifacts, options)
    folder = options.reports / model
    for place in (folder, folder / PLOT_FOLDER):
        check_writable(place)
    with progress() as stage:
        measured = measured_on(stage)
        advance = stage("report", 2)
        write_result(folder / RESULTS, measured.result)
        _bring_layers(options.artifacts / model / SENSITIVITY, folder / SENSITIVITY, artifacts)
        _crops(measured, artifacts, folder / PLOT_FOLDER)
        advance()
        written = write_report(measured.result, folder)
        advance()
    if options.json:
        print(dump_json(measured.result.to_json()), end="")
        return
    show(measured.result, console_for(sys.stdout))
    for path in written:
        print(path)


def _images(artifacts: Sequence[Artifact], options: argparse.Namespace) -> Callable[[Stage], Measured]:
    """What to measure on, met before anything is written: the user's pictures, else the model's test sets."""
    own = own_images(artifacts, options.inputs, options.reference)
    if own is not None:
        asked = PROTOCOLS[options.protocol] if options.protocol else own.protocol
        return lambda stage: measure_own(artifacts, own, asked, quick=options.quick, stage=stage)
    degradation = find_degradation(artifacts[0].card.degradation)
    sets = test_sets(locate(options.data), degradation=degradation.name)
    protocol = PROTOCOLS[options.protocol or degradation.protocol]
    return lambda stage: measure_model(artifacts, sets, protocol, quick=options.quick, stage=stage)


def _bring_layers(source: Path, target: Path, artifacts: Sequence[Artifact]) -> None:
    """What `python -m quantize sensitivity` found of these artifacts; what it found of others is left out, and goes."""
    found = read_sensitivity(source)
    ours = {artifact.graph_sha256 for artifact in artifacts if artifact.card.scheme == FLOAT}
    if found is not None and found.float_sha256 in ours:
        write_bytes(target, source.read_bytes())
        return
    target.unlink(missing_ok=True)
    if found is not None:
        print(
            f"warning: {source} is left out: it does not say that it is of this float32.tflite; "
            "run python -m quantize sensitivity with these weights",
            file=sys.stderr,
        )


def _crops(measured: Measured, artifacts: Sequence[Artifact], folder: Path) -> None:
    by_scheme = {artifact.card.scheme: artifact for artifact in artifacts}
    pick = summarise(measured.result).pick
    scheme = pick.row.scheme if pick is not None and FLOAT in by_scheme else None
    choices = choose(quantize_rows(measured.result), measured.sets, scheme) if scheme else ()
    write_crops(folder, choices, by_scheme, scheme or FLOAT)


def _report(options: argparse.Namespace) -> None:
    for path in rewrite_report(options.results) if options.all is None else write_all(options.all):
        print(path)


def _fid(options: argparse.Namespace) -> None:
    inception = find_inception(options.inception)
    with progress() as stage:
        advance = stage("features", image_count(options.a, options.b))
        found = fid(options.a, options.b, inception, advance=advance)
    if options.json:
        print(dump_json(dataclasses.asdict(found) | {"biased": found.biased}), end="")
        return
    print("\n".join(_fid_lines(found, inception)))


def _fid_lines(found: Fid, inception: Path) -> Iterator[str]:
    yield f"FID {found.distance:.6g}"
    yield f"images {found.images[0]} and {found.images[1]}, {found.dimensions} features of {inception.name}"
    yield f"network {found.graph_sha256[:8]}: compare with scores by this network only"
    if found.biased:
        yield (
            f"warning: biased, too high: {min(found.images)} images cannot fill {found.dimensions} dimensions; "
            f"compare only with scores of as many images, and quote none of fewer than {found.dimensions + 1}"
        )


if __name__ == "__main__":
    sys.exit(main())
