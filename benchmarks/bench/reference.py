"""The committed result of the same kind of machine, and whether a new one is slower beyond the noise.

The rule is that of `octopix compare` (`octopix.verdict`): medians that differ by more than its share *and* whose
interquartile ranges lie apart; nothing is judged where a measurement warns of itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench.records import BenchResult, as_results, read_bench
from octopix.conditions import Conditions
from octopix.errors import ResultError
from octopix.verdict import RowVerdict, Verdict, compare_results

RESULTS = Path(__file__).parents[1] / "results"
_KIND = ("cpu", "board", "machine")


@dataclass(frozen=True)
class Comparison:
    """A result against its reference."""

    reference: Path
    verdicts: Mapping[str, Verdict]
    """Delegate -> verdict; only for delegates with a cell in common."""

    @property
    def worse(self) -> tuple[RowVerdict, ...]:
        """Cells that are slower."""
        return tuple(row for each in self.verdicts.values() for row in each.rows if row.judgement == "worse")

    @property
    def rows(self) -> tuple[RowVerdict, ...]:
        """All cells in common."""
        return tuple(row for each in self.verdicts.values() for row in each.rows)


def machine_kind(conditions: Conditions) -> str:
    """The CPU's, or else the board's name, or the instruction set, in letters for file names."""
    named = conditions.cpu or conditions.board or conditions.machine
    plain = re.sub(r"\((?:r|tm)\)", "", named.lower())  # (R) and (TM) are no part of a name
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def reference_of(conditions: Conditions) -> Path:
    """Where the committed reference of this kind of machine stands, or would."""
    return RESULTS / f"bench-{machine_kind(conditions)}.json"


def compare_with(path: Path, result: BenchResult) -> Comparison:
    """Judge ``result`` against the reference at ``path``.

    Raises:
        ResultError: not readable, of another version, of another kind of machine, or without a cell in common.
    """
    reference = read_reference(path, result.conditions)
    old, new = as_results(reference), as_results(result)
    shared = [name for name in old if name in new and _rows_in_common(reference, result, name)]
    if not shared:
        raise ResultError(
            expected=f"a cell in common with {path.name}",
            got=f"the suites {reference.suite} and {result.suite}, which share none",
            do="measure the suite of the reference, or give another --reference",
        )
    return Comparison(path, {name: compare_results(old[name], new[name]) for name in shared})


def shares_cells(path: Path, result: BenchResult) -> bool:
    """Whether the reference at ``path`` measured something that ``result`` has, too.

    Raises:
        ResultError: see `compare_with`.
    """
    reference = read_reference(path, result.conditions)
    return any(_rows_in_common(reference, result, each.cell.delegate) for each in result.cells)


def read_reference(path: Path, conditions: Conditions) -> BenchResult:
    """A reference, if it is of this kind of machine.

    Raises:
        ResultError: see `compare_with`.
    """
    reference = read_bench(path)
    theirs, ours = ([getattr(each, name) for name in _KIND] for each in (reference.conditions, conditions))
    if theirs != ours or not any(ours[:2]):
        raise ResultError(
            expected=f"a reference measured on {_shown(ours)}",
            got=f"{path.name}, measured on {_shown(theirs)}",
            do="times of different machines do not compare: give a reference of this one (--as-reference makes it)",
        )
    return reference


def _rows_in_common(a: BenchResult, b: BenchResult, delegate: str) -> bool:
    timed = [{each.cell for each in side.cells if each.latency is not None} for side in (a, b)]
    return any(cell.delegate == delegate for cell in timed[0] & timed[1])


def _shown(names: list[str | None]) -> str:
    return ", ".join(name for name in names if name) if any(names[:2]) else "a machine that does not say what it is"
