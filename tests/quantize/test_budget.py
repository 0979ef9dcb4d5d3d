"""The ladder: from cheap to dear, no further than needed."""

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from octopix.errors import ConfigError
from quantize import budget
from quantize.schemes import CORRECTIONS, parse_scheme, selective
from quantize.selective import Cost

BEST = "int8-ptq-entropy+" + "+".join(CORRECTIONS)


@dataclass(frozen=True)
class Found:
    """Stands for `quantize.pipeline.Measured`."""

    scheme: str
    drop: float


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Drops by scheme; measuring and choosing calibrators are replaced, the climb is the real one."""
    drops = {
        "int8-ptq-minmax": 0.4,
        "int8-ptq-entropy": 0.3,
        BEST: 0.05,
        "int8-qat": 0.08,
    }
    monkeypatch.setattr(
        budget,
        "measured",
        lambda bench, scheme: Found(scheme.name, drops.get(scheme.name) or (0.02, 0.005)[len(scheme.keep_float) - 1]),
    )
    monkeypatch.setattr(budget, "_best_calibrator", lambda bench: "entropy")
    monkeypatch.setattr(budget, "_left_out", lambda bench, scheme: iter([["head"], ["head", "tail"]]))
    monkeypatch.setattr(budget, "_cost", lambda bench, found, scheme: Cost(1.0, 1.5) if scheme.keep_float else None)
    best = parse_scheme(BEST)
    return drops | {selective(best, ["head"]).name: 0.02, selective(best, ["head", "tail"]).name: 0.005}


def climbed(limit: float, kinds: tuple[str, ...] = ("int8-ptq", "int8-qat")) -> list[Any]:
    bench = SimpleNamespace(subject=SimpleNamespace(kinds=kinds))
    return list(budget.climb(bench, limit))  # type: ignore[arg-type]


@pytest.mark.parametrize(("limit", "rungs"), [(1.0, 1), (0.4, 1), (0.35, 2), (0.05, 3), (0.03, 5), (0.01, 6)])
def test_it_stops_at_the_first_rung_within(ladder: dict[str, float], limit: float, rungs: int) -> None:
    found = climbed(limit)
    assert [rung.measured.scheme for rung in found] == list(ladder)[:rungs]
    assert [rung.within for rung in found[:-1]] == [False] * (rungs - 1)


def test_a_model_that_cannot_be_trained_climbs_without_training(ladder: dict[str, float]) -> None:
    trained = [name for name in ladder if name != "int8-qat"]
    assert [rung.measured.scheme for rung in climbed(0.01, kinds=("int8-ptq",))] == trained


def test_layers_in_float_say_what_they_cost(ladder: dict[str, float]) -> None:
    found = climbed(0.03)
    assert [rung.cost is not None for rung in found] == [False] * 4 + [True]
    assert found[-1].cost.extra_ms == 0.5


def test_the_rung_within_the_budget_ships(ladder: dict[str, float]) -> None:
    assert budget.best(climbed(0.35)).measured.scheme == "int8-ptq-entropy"


def test_the_least_drop_ships_where_none_is_within(ladder: dict[str, float]) -> None:
    chosen = budget.best(climbed(0.001))
    assert (chosen.measured.drop, chosen.within) == (0.005, False)


@pytest.mark.parametrize("limit", [-0.1, math.nan, math.inf])
def test_a_budget_is_a_number_of_decibels(ladder: dict[str, float], limit: float) -> None:
    with pytest.raises(ConfigError, match="BUDGET"):
        climbed(limit)
