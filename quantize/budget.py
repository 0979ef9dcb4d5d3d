"""The cheapest scheme whose drop stays within a budget: a ladder from seconds to minutes of work.

Each rung is one int8 model, measured on the validation list; the first that meets the budget ships, else the best.
Where no full-integer model meets it, layers go back to float, those first that win most, and what that costs in time
is measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from octopix.errors import ConfigError
from quantize.calibrators import CALIBRATORS
from quantize.pipeline import Measured, measured
from quantize.ranges import to_int8
from quantize.schemes import CORRECTIONS, PTQ, Scheme, parse_scheme, selective
from quantize.selective import Cost, cost
from quantize.sensitivity import sensitivity
from quantize.workbench import Workbench

FIRST = PTQ + "minmax"
LAST = "int8-qat"


@dataclass(frozen=True)
class Rung:
    """One attempt."""

    measured: Measured
    within: bool
    """Whether its drop is at most the budget."""
    cost: Cost | None = None
    """In time, of layers in float."""


def climb(bench: Workbench, budget: float) -> Iterator[Rung]:
    """Rung after rung up to the first within the budget, or to the last there is.

    Args:
        bench: the model.
        budget: largest drop in dB, ≥ 0.

    Raises:
        ConfigError: a budget that is none.
    """
    if not 0 <= budget < float("inf"):
        raise ConfigError(expected="a drop in dB, 0 or more", got=str(budget), do="for example BUDGET=0.05")
    for scheme in _ladder(bench):
        found = measured(bench, scheme)
        rung = Rung(found, found.drop <= budget, _cost(bench, found, scheme))
        yield rung
        if rung.within:
            return


def best(rungs: list[Rung]) -> Rung:
    """The rung that ships: the last if it is within the budget, else the one with the least drop."""
    return rungs[-1] if rungs[-1].within else min(rungs, key=lambda rung: rung.measured.drop)


def _ladder(bench: Workbench) -> Iterator[Scheme]:
    """Schemes from the cheapest to the dearest, each found out only when its turn comes."""
    yield parse_scheme(FIRST)
    calibrated = PTQ + _best_calibrator(bench)
    if calibrated != FIRST:
        yield parse_scheme(calibrated)
    corrected = parse_scheme("+".join((calibrated, *CORRECTIONS)))
    yield corrected
    if parse_scheme(LAST).kind in bench.subject.kinds:
        yield parse_scheme(LAST)
    for names in _left_out(bench, corrected):
        yield selective(corrected, names)


def _left_out(bench: Workbench, scheme: Scheme) -> Iterator[list[str]]:
    """Layers to leave in float: one, then twice as many, up to half of all; those first that win most alone."""
    candidate = bench.corrected(scheme).candidate
    found = sensitivity(candidate, bench.judge, watch=lambda done, total: bench.watch("layers", done, total))
    order = [each.name for each in sorted(found, key=lambda each: -each.gain_in_float) if each.gain_in_float > 0]
    count = 1
    while count <= min(len(order), len(found) // 2):
        yield order[:count]
        count *= 2


def _cost(bench: Workbench, found: Measured, scheme: Scheme) -> Cost | None:
    """What layers in float cost in time; None where there is none."""
    if not scheme.keep_float:
        return None
    return cost(bench.candidate(scheme).int8, found.content, multiple_of=bench.subject.spec.multiple_of)


def _best_calibrator(bench: Workbench) -> str:
    """Least error on the calibration crops that are held back."""
    errors = {name: bench.judge.error(to_int8(bench.float_model, bench.ranges(name))) for name in CALIBRATORS}
    return min(errors, key=lambda name: errors[name])
