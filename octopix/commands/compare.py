"""`octopix compare`: two pictures, two models, two bundles or two results."""

import argparse
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octopix.bundle import opened
from octopix.commands.options import add_json, at_least_one, pictures_in
from octopix.commands.outcome import OK, WORSE, Outcome, table
from octopix.compare import (
    ModelComparison,
    compare_models,
    compare_pictures,
    kind_of,
)
from octopix.errors import ConfigError
from octopix.images import read_picture
from octopix.results import decibels, read_result
from octopix.runtime import RUNTIMES
from octopix.summary import ModelSummary, Port
from octopix.verdict import RowVerdict, Verdict, compare_results

HELP = "compare two pictures, two models, two bundles or two results"
DESCRIPTION = """\
Compare B with A; what the files are is found by their content.

  two pictures   PSNR, SSIM, MSE and NRMSE of B against A
  two .tflite    operators, sizes, MACs; with --images the PSNR of B's output against A's
  two bundles    their checksums first, then as two .tflite; folders or zips that `deploy` made
  two results    better, same or worse, row by row; exit code 1 if any row is worse
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `octopix compare`."""
    parser.add_argument("a", type=Path, metavar="A", help="the reference")
    parser.add_argument("b", type=Path, metavar="B", help="what is judged")
    parser.add_argument("--images", type=Path, metavar="PATH", help="picture or folder to run two models on")
    parser.add_argument("--threads", type=at_least_one, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument("--runtime", choices=tuple(RUNTIMES), help="TFLite runtime")
    add_json(parser)


def execute(args: argparse.Namespace) -> Outcome:
    """Compare by content; exit code 1 only for results of which one row or more is worse."""
    kinds = kind_of(args.a), kind_of(args.b)
    if kinds[0] != kinds[1]:
        raise ConfigError(
            expected="two files of one kind", got=f"a {kinds[0]} and a {kinds[1]}", do="compare like with like"
        )
    if args.images is not None and kinds[0] not in ("model", "bundle"):
        raise ConfigError(expected="models or bundles with --images", got=f"two {kinds[0]}s", do="leave --images out")
    if kinds[0] == "picture":
        return _pictures(args)
    if kinds[0] == "bundle":
        return _bundles(args)
    return _models(args, args.a, args.b) if kinds[0] == "model" else _results(args)


def _pictures(args: argparse.Namespace) -> Outcome:
    found = compare_pictures(read_picture(args.a), read_picture(args.b))
    payload = {"kind": "pictures", "a": str(args.a), "b": str(args.b)} | dataclasses.asdict(found)
    lines = [
        f"PSNR   {_db(found.psnr_db)}",
        "SSIM   " + ("– (needs 11x11 pixels)" if found.ssim is None else f"{found.ssim:.6f}"),
        "FSIM   " + ("– (needs detail, and 12x12 pixels)" if found.fsim is None else f"{found.fsim:.6f}"),
        f"MSE    {found.mse:.6g}",
        "NRMSE  " + ("– (the reference is black)" if found.nrmse is None else f"{found.nrmse:.6g}"),
    ]
    if found.alpha_identical is not None:
        lines.append(f"alpha  {'identical' if found.alpha_identical else 'different'}")
    return Outcome(payload | decibels(found.psnr_db), "\n".join(lines))


def _bundles(args: argparse.Namespace) -> Outcome:
    with opened(args.a) as a, opened(args.b) as b:
        found = _models(args, a.model, b.model)
    differ = sorted(name for name in {*a.sums, *b.sums} if a.sums.get(name) != b.sums.get(name))
    payload = {**found.payload, "kind": "bundles", "files_that_differ": differ}
    said = f"files that differ: {', '.join(differ)}" if differ else "The same files."
    return Outcome(payload, f"{found.text}\n\n{said}")


def _models(args: argparse.Namespace, a: Path, b: Path) -> Outcome:
    images = () if args.images is None else pictures_in(args.images)
    found = compare_models(a, b, images=images, threads=args.threads, runtime=args.runtime)
    payload = {
        "kind": "models",
        "a": dataclasses.asdict(found.a),
        "b": dataclasses.asdict(found.b),
        "operator_changes": {name: list(pair) for name, pair in found.operator_changes.items()},
        "fidelity": [dataclasses.asdict(entry) | decibels(entry.psnr_db) for entry in found.fidelity],
    }
    return Outcome(payload | decibels(found.mean_psnr_db, name="mean_psnr_db"), _models_text(found))


def _models_text(found: ModelComparison) -> str:
    rows = [
        ("file", found.a.file, found.b.file),
        ("model", found.a.name, found.b.name),
        ("size KiB", f"{found.a.kib:.1f}", f"{found.b.kib:.1f}"),
        ("input", _at(found.a), _at(found.b)),
        ("MACs", found.a.macs, found.b.macs),
        ("parameters", found.a.parameters, found.b.parameters),
        ("operators", len(found.a.operators), len(found.b.operators)),
        *((f"  {name}", old, new) for name, (old, new) in found.operator_changes.items()),
        ("output", _types(found.a.outputs), _types(found.b.outputs)),
    ]
    parts = [table(("", "A", "B"), rows)]
    if found.a.graph_sha256 == found.b.graph_sha256:
        parts.append("The same network: the graphs are equal, whatever their cards say.")
    if found.fidelity:
        lines = [(entry.image, _db(entry.psnr_db), entry.largest_difference) for entry in found.fidelity]
        parts.append(table(("image", "B against A", "largest difference"), lines))
        mean = found.mean_psnr_db
        parts.append("mean of the images that differ: " + ("–" if mean is None else _db(mean)))
    return "\n\n".join(parts)


def _results(args: argparse.Namespace) -> Outcome:
    verdict = compare_results(read_result(args.a), read_result(args.b))
    payload = {
        "kind": "results",
        "a": str(args.a),
        "b": str(args.b),
        "worse": verdict.worse,
        "rows": [_row_json(row) for row in verdict.rows],
        "only_a": list(verdict.only_a),
        "only_b": list(verdict.only_b),
        "conditions_that_differ": list(verdict.conditions),
        "time_judged": verdict.time_judged,
    }
    return Outcome(payload, _results_text(verdict), exit_code=WORSE if verdict.worse else OK)


def _results_text(verdict: Verdict) -> str:
    rows = [
        (row.judgement, row.key, _signed(row.psnr_change_db), _signed(row.drop_change_db), _ratio(row), _why(row))
        for row in verdict.rows
    ]
    lines = [table(("verdict", "row", "PSNR dB", "drop dB", "time", "why"), rows)]
    lines += [f"only in {side}: {key}" for side, keys in (("A", verdict.only_a), ("B", verdict.only_b)) for key in keys]
    if verdict.conditions:
        lines.append("Measured under different conditions: " + "; ".join(verdict.conditions))
    if not verdict.time_judged:
        lines.append("Times are shown but not judged: the CPUs differ, or are not known.")
    lines.append("B is worse than A." if verdict.worse else "B is not worse than A.")
    return "\n".join(lines)


def _row_json(row: RowVerdict) -> dict[str, Any]:
    changes = {name: _finite(getattr(row, name)) for name in ("psnr_change_db", "drop_change_db")}
    return dataclasses.asdict(row) | changes


def _at(summary: ModelSummary) -> str:
    size = "" if summary.size is None else f" {summary.size[0]}x{summary.size[1]}"
    return _types(summary.inputs) + size


def _types(ports: Sequence[Port]) -> str:
    return ", ".join(port.dtype for port in ports)


def _db(value: float) -> str:
    return "inf (identical)" if math.isinf(value) else f"{value:.3f} dB"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.3f}"


def _ratio(row: RowVerdict) -> str | None:
    return None if row.latency_ratio is None else f"×{row.latency_ratio:.2f}"


def _why(row: RowVerdict) -> str:
    return "; ".join(row.reasons)


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: a change from or to identical pictures is null, and the reasons tell it."""
    return None if value is None or math.isinf(value) else value
