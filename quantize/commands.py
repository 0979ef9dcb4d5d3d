"""``python -m quantize sensitivity``: layer by layer, on the screen and in a file for the report."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octopix.card import Quality, graph_sha256
from octopix.errors import ConfigError
from octopix.files import dump_json, write_json
from quantize.options import add_float_model, introduction, place, subject_of
from quantize.progress import progress
from quantize.schemes import Scheme, parse_scheme
from train.quiet import native_noise_dropped

if TYPE_CHECKING:
    from quantize.sensitivity import Report
    from quantize.workbench import Workbench

FILE = "sensitivity.json"
"""Beside the artifacts, where the report looks for it."""


def add_sensitivity(commands: Any, common: argparse.ArgumentParser) -> None:
    """``sensitivity``: where int8 loses what."""
    parser = commands.add_parser("sensitivity", parents=[common], description="Where int8 loses what, layer by layer.")
    parser.add_argument("--scheme", default="int8-ptq-mse", help="an int8-ptq scheme (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("artifacts"), help="folder of artifacts (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="few images: not for figures")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, and nothing else there")
    add_float_model(parser)
    parser.set_defaults(run=_sensitivity)


def _sensitivity(options: argparse.Namespace) -> None:
    scheme = parse_scheme(options.scheme)
    if scheme.kind != "int8-ptq":
        raise ConfigError(expected="a scheme int8-ptq-…", got=scheme.name, do="for example --scheme int8-ptq-mse")
    home = place(options)
    with native_noise_dropped() as screen:
        from quantize.pipeline import open_bench

        with progress(screen) as watch:
            subject = subject_of(options.model, home, options)
            for line in introduction(subject, options):
                print(line)
            bench, folder = open_bench(subject, home, options.out, quick=options.quick, watch=watch)
            found = report_of(bench, scheme)
    write_json(folder / FILE, found.to_json())
    if options.json:
        print(dump_json(dataclasses.asdict(found)), end="")
        return
    print(_table(found), end="")
    print(folder / FILE)


def report_of(bench: "Workbench", scheme: Scheme) -> "Report":
    """The sensitivity of every layer of the bench's model under a post-training scheme."""
    from quantize.sensitivity import Report, sensitivity
    from quantize.validation import Validation

    candidate, crops = bench.candidate(scheme), bench.validation_crops

    def measure(model: bytes) -> Quality:
        found = bench.quality(model, scheme, on=crops)
        assert isinstance(found, Quality)  # crops with ground truth
        return found

    with_truth = isinstance(crops, Validation)
    layers = sensitivity(
        candidate,
        bench.judge,
        measure=measure if with_truth else None,
        watch=lambda done, total: bench.watch("layers", done, total),
    )
    return Report(
        model=bench.subject.spec.name,
        float_sha256=graph_sha256(bench.baseline),
        scheme=scheme.name,
        image_set=f"crops of {crops.image_set}{', quick' if bench.quick else ''}",
        images=len(crops.pairs),
        protocol=crops.protocol.name,
        base_psnr_db=measure(candidate.int8).psnr if with_truth else None,
        layers=layers,
    )


def _table(found: "Report") -> str:
    title = (
        f"{found.model}, {found.scheme}: fidelity on held-back calibration crops, "
        f"drop on {found.images} {found.image_set}, protocol {found.protocol}"
    )
    width = max(len(each.name) for each in found.layers) + 2
    heads = (
        f"{'layer':<{width}}{'MACs %':>8}{'alone in int8: dB':>19}{'drop dB':>9}{'left in float: dB':>19}{'gain dB':>9}"
    )
    lines = [
        f"{each.name:<{width}}{100 * each.macs_share:>8.1f}"
        f"{each.fidelity_alone:>19.2f}{_decibels(each.alone_drop_db):>9}"
        f"{each.gain_in_float:>+19.2f}{_decibels(each.left_out_gain_db):>9}"
        for each in found.layers
    ]
    return "\n".join([title, heads, *lines]) + "\n"


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
