"""The commands that gather several models: the zoo's tables, PSNR by image, devices."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from benchmarks.artifacts import find_artifacts
from benchmarks.by_image import draw_by_image
from benchmarks.change import compare, sheets_of, verdict_of, write_change
from benchmarks.devices import read_devices, show_devices, write_device_report
from benchmarks.grid import Heading, grid
from benchmarks.suite import QUICK_IMAGES
from benchmarks.table import console_for
from benchmarks.vacc import RESULTS as VACC
from benchmarks.vacc import markdown, measure, merged, read_vacc, write_tables, write_vacc
from benchmarks.zoo import README, RESULTS, read_goals, read_zoo, update, write_table, write_zoo
from octopix.commands.outcome import OK, WORSE
from octopix.errors import ConfigError
from octopix.files import name_of
from octopix.results import read_result
from train.data.sources import locate

ALL = "all"


def add_zoo(commands: Any) -> None:
    """``zoo``: what the reports say of every model, into the committed JSON and the README's table."""
    parser = commands.add_parser("zoo", help="bring the reports' float figures into zoo.json and the README's table")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON to update (default: the committed one)")
    parser.add_argument("--readme", type=Path, default=README, help="Markdown whose table is made again")
    parser.add_argument("--table-only", action="store_true", help="make the table again from the JSON as it is")
    parser.set_defaults(run=_zoo)


def add_by_image(commands: Any) -> None:
    """``by-image``: PSNR against image number, of one or several models."""
    parser = commands.add_parser("by-image", help="draw PSNR by image number, sorted by the input's")
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="reports/<model>/results.json, each")
    parser.add_argument("--scheme", default="float32", help="row of each result (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.set_defaults(run=_by_image)


def add_devices(commands: Any) -> None:
    """``devices``: the table and the report of what deploy measured."""
    parser = commands.add_parser("devices", help="table and report of what `make deploy` measured on devices")
    parser.add_argument("folder", type=Path, help="where deploy wrote <device>/results.json")
    parser.set_defaults(run=_devices)


def add_compare(commands: Any) -> None:
    """``compare``: what changed from one result, or folder of reports, to another."""
    parser = commands.add_parser("compare", help="what changed between two results or folders of reports; 1 if worse")
    parser.add_argument("base", type=Path, metavar="BASE", help="results.json, or a folder of reports")
    parser.add_argument("head", type=Path, metavar="HEAD", help="what is judged")
    parser.add_argument("--out", type=Path, default=Path("reports/change"), help="folder (default: %(default)s)")
    parser.set_defaults(run=_compare)


def add_vacc(commands: Any) -> None:
    """``vacc``: the table of the LESRCNN document, for every model."""
    parser = commands.add_parser("vacc", help="float against int8 like the LESRCNN document: Flops, Params, PSNR, SSIM")
    parser.add_argument("--model", default=ALL, help="folder below --artifacts (default: %(default)s)")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="default: %(default)s")
    parser.add_argument("--data", type=Path, help="collection with DIV2K (default: $OCTOPIX_DATA)")
    parser.add_argument("--out", type=Path, default=VACC, help="JSON to update (default: the committed one)")
    parser.add_argument("--readme", type=Path, default=README, help="Markdown whose tables are made again")
    parser.add_argument("--quick", action="store_true", help="few images; prints alone and updates nothing")
    parser.set_defaults(run=_vacc)


def models_below(artifacts: Path, model: str) -> tuple[str, ...]:
    """``model``, the name that a model file has among the artifacts, or for ``all`` every folder of artifacts.

    Raises:
        ConfigError: ``all``, and there is none.
    """
    if model != ALL:
        given = Path(model)  # of a user's file, as `make quantize MODEL=file.tflite` names it
        ours = not given.is_absolute() and (artifacts / model).is_dir()
        return (model if ours or not given.exists() else name_of(given),)
    found = tuple(sorted({path.parent.name for path in artifacts.glob("*/*.tflite")}))
    if not found:
        raise ConfigError(
            expected=f"folders of .tflite files in {artifacts}", got="none", do="run: make quantize MODEL=all"
        )
    return found


def _zoo(options: argparse.Namespace) -> None:
    zoo = read_zoo(options.out)
    if not options.table_only:
        zoo = update(zoo, options.reports)
        write_zoo(zoo, options.out)
        print(options.out)
    write_table(zoo, read_goals(), options.readme)
    print(options.readme)


def _compare(options: argparse.Namespace) -> int:
    change = compare(options.base, options.head)
    written = write_change(change, options.out)
    console = console_for(sys.stdout)
    table = sheets_of(change)[0]
    headings = [Heading(f"{head.title}\n{head.unit}", head.numeric) for head in table.columns]
    console.print(grid(change.title, headings, [row.cells for row in table.rows]))
    for warning in change.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    console.print(Text(verdict_of(change), style="bold"))
    for path in written:
        print(path)
    return WORSE if change.worse else OK


def _vacc(options: argparse.Namespace) -> None:
    names = models_below(options.artifacts, options.model)
    models = [find_artifacts(options.artifacts, name) for name in names]
    few = QUICK_IMAGES if options.quick else None
    console = console_for(sys.stderr)
    found = measure(models, locate(options.data), few=few, watch=lambda what: console.print(what, style="dim"))
    print(markdown(found))
    if options.quick:
        print(f"The first {few} images of each set: not for figures.")
        return
    whole = merged(read_vacc(options.out), found)
    write_vacc(whole, options.out)
    write_tables(whole, options.readme)
    print(options.out)
    print(options.readme)


def _devices(options: argparse.Namespace) -> None:
    results = read_devices(options.folder)
    written = write_device_report(results, options.folder)
    show_devices(results, console_for(sys.stdout))
    for path in written:
        print(path)


def _by_image(options: argparse.Namespace) -> None:
    draw_by_image([read_result(path) for path in options.results], options.out, scheme=options.scheme)
    print(options.out)
