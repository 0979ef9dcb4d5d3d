"""``python -m benchmarks bench``: a suite measured, compared with the machine's reference, shown and kept."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench.cell import plain_name
from benchmarks.bench.cells import plan
from benchmarks.bench.process import in_a_process
from benchmarks.bench.records import BenchResult, as_results, write_bench
from benchmarks.bench.reference import Comparison, compare_with, read_reference, reference_of, shares_cells
from benchmarks.bench.roofline import write_rooflines
from benchmarks.bench.runner import RESULT, Run, run_suite
from benchmarks.bench.show import BUSY, show, warnings_of
from benchmarks.bench.suites import known_suites, read_suite
from benchmarks.progress import one_bar
from benchmarks.table import console_for
from octopix.conditions import read_conditions
from octopix.errors import ResultError
from octopix.files import dump_json
from octopix.results import write_result

SLOWER, BROKEN = 1, 3
EPILOG = """\
exit codes: 0 all cells measured, none slower than the reference beyond the noise; 1 a cell is slower; 2 a mistake in
the suite or the options, or artifacts that are missing; 3 a cell failed (the others are measured); 130 stopped by
Ctrl-C. A run that was stopped or broke goes on where it was; cells that failed are tried again.
"""


def add_bench(commands: Any) -> None:
    """``bench``: see the module."""
    parser = commands.add_parser(
        "bench",
        help="measure a suite: latency, memory, complexity, profile, roofline",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--suite", default="quick", help=f"{', '.join(known_suites())}, or a YAML file (default: %(default)s)"
    )
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("reports/bench"), help="default: %(default)s/<suite>")
    parser.add_argument("--fresh", action="store_true", help="measure finished cells again")
    parser.add_argument("--reference", type=Path, help="result to compare with (default: this machine's committed one)")
    parser.add_argument("--as-reference", action="store_true", help="commit the result as this machine's reference")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout, and nothing else there")
    parser.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    name, suite = read_suite(options.suite)
    conditions = read_conditions()
    if options.reference is not None:
        read_reference(options.reference, conditions)  # a wrong one is met now, not after minutes
    run = Run(name, suite, plan(suite, options.artifacts), options.out / name)
    with one_bar(run.steps) as watch:
        result = run_suite(run, in_a_process(timeout=suite.timeout), watch=watch, fresh=options.fresh)
    written = [run.out / RESULT, *_write_for_compare(result, run.out), *write_rooflines(result, run.out)]
    committed = reference_of(conditions)
    usable = committed.is_file() and not options.as_reference and shares_cells(committed, result)
    reference = options.reference or (committed if usable else None)
    comparison = None if reference is None else compare_with(reference, result)
    if options.as_reference:
        written.append(keep_as_reference(result, committed))
    _tell(options, result, comparison, written)
    return BROKEN if result.failed else SLOWER if comparison is not None and comparison.worse else 0


def _write_for_compare(result: BenchResult, folder: Path) -> Iterator[Path]:
    """What was timed on each delegate, for `octopix compare A.json B.json`."""
    for delegate, timed in as_results(result).items():
        path = folder / f"latency-{plain_name(delegate)}.json"
        write_result(path, timed)
        yield path


def _tell(options: argparse.Namespace, result: BenchResult, comparison: Comparison | None, written: list[Path]) -> None:
    if options.json:
        print(dump_json(result.to_json()), end="")
        return
    show(result, comparison, console_for(sys.stdout))
    if comparison is None and not options.as_reference:
        print(f"no reference of these cells on this machine; --as-reference writes {_reference_name(result)}")
    for path in written:
        print(path)


def _reference_name(result: BenchResult) -> str:
    return reference_of(result.conditions).name


def keep_as_reference(result: BenchResult, path: Path) -> Path:
    """Only what is whole and was made on a quiet machine is worth comparing with.

    A cell that is unsteady all the same may stay: it is shown, and never judged.

    Raises:
        ResultError: a cell failed, or the machine was busy.
    """
    doubts = [f"{each.cell.name} failed" for each in result.failed]
    doubts += [warning for warning in warnings_of(result) if BUSY in warning]
    if doubts:
        raise ResultError(
            expected="a whole result of a quiet machine for a reference",
            got=f"{len(doubts)} doubts: {'; '.join(doubts[:3])}",
            do="leave the machine alone and run again with --fresh",
        )
    write_bench(path, result)
    return path
