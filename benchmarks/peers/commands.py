"""``python -m benchmarks peers``: our int8 beside that of other quantizers and runtimes, in one run."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.artifacts import find_artifacts
from benchmarks.peers.contenders import missing_packages
from benchmarks.peers.measure import Race, compare
from benchmarks.peers.prepared import read_prepared
from benchmarks.peers.results import RESULTS, Entry, read_peers, with_entry, write_peers
from benchmarks.peers.subject import subject_of
from benchmarks.peers.table import markdown, show
from benchmarks.progress import progress
from benchmarks.suite import first_images
from benchmarks.table import console_for
from octopix.errors import ConfigError
from octopix.protocols import PROTOCOLS
from train.data.degradations import degraded, find_degradation
from train.data.sources import locate
from train.data.test_sets import test_sets

PREPARED, QUICK = Path("reports/peers"), Path("reports/peers.json")
"""Defaults: of what is read, and of what is written with ``--quick``, which is not for the committed file."""
ALL = "all"
MAX_THREADS = 1024


def add_peers(commands: Any) -> None:
    """``peers``: needs the extra of that name."""
    parser = commands.add_parser("peers", help="our int8 beside ONNX Runtime's, OpenVINO's and the stock converter's")
    parser.add_argument(
        "--model", nargs="+", default=["espcn_x4"], help="folders below --artifacts, or `all` (default: espcn_x4)"
    )
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="default: %(default)s")
    parser.add_argument(
        "--prepared", type=Path, default=PREPARED, help="what `python -m quantize stock` wrote (default: %(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of each runtime when timed (default: %(default)s)")
    parser.add_argument("--out", type=Path, help=f"JSON to update (default: the committed one; {QUICK} with --quick)")
    parser.add_argument("--quick", action="store_true", help="few images and short timing: not for figures")
    parser.add_argument("--table-only", action="store_true", help="print --out as Markdown, and measure nothing")
    parser.set_defaults(run=_peers)


def _peers(options: argparse.Namespace) -> None:
    out = options.out or (QUICK if options.quick else RESULTS)
    if options.table_only:
        print(markdown(read_peers(out)), end="")
        return
    _check(options)
    peers = read_peers(out)  # a file that is none is met now, not after minutes
    for model in _models(options):
        with tempfile.TemporaryDirectory(prefix="octopix-peers-") as folder:
            entry = _compare(model, Path(folder), options)
        peers = with_entry(peers, entry)
        write_peers(out, peers)
        show(entry, console_for(sys.stdout))
    print(out)


def _check(options: argparse.Namespace) -> None:
    missing = missing_packages()
    if missing:
        raise ConfigError(
            expected="the packages of the extra `peers`",
            got=f"none of {', '.join(missing)}",
            do="run: make bench-peers, which installs them",
        )
    if not 1 <= options.threads <= MAX_THREADS:
        raise ConfigError(expected=f"1 to {MAX_THREADS} threads", got=str(options.threads), do="correct --threads")


def _models(options: argparse.Namespace) -> list[str]:
    """The named ones, or all for which both folders have files."""
    if options.model != [ALL]:
        return list(options.model)
    found = sorted(path.parent.name for path in options.artifacts.glob("*/float32.tflite"))
    ready = [name for name in found if (options.prepared / name).is_dir()]
    if not ready:
        raise ConfigError(
            expected=f"networks in both {options.artifacts} and {options.prepared}",
            got="none",
            do="run: make quantize MODEL=all, then python -m quantize stock --model all",
        )
    return ready


def _compare(model: str, folder: Path, options: argparse.Namespace) -> Entry:
    artifacts = find_artifacts(options.artifacts, model)
    card = artifacts[0].card
    subject = subject_of(artifacts, read_prepared(options.prepared, model))
    degradation = find_degradation(card.degradation)
    images = test_sets(locate(options.data), degradation=degradation.name)
    sets = [
        degraded(first_images(each) if options.quick else each, degradation.name, scale=card.scale) for each in images
    ]
    with progress() as stage:
        return compare(
            Race(
                subject=subject,
                sets=sets,
                protocol=PROTOCOLS[degradation.protocol],
                folder=folder,
                threads=options.threads,
                quick=options.quick,
                stage=stage,
            )
        )
