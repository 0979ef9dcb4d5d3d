"""What a run keeps, what it measures again, and what a broken cell leaves alone; measured by a stand-in."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench.cells import plan
from benchmarks.bench.jobs import Apart, Dissected, Dissection, Likeness, Probe, Probed, Race, Raced, Summit
from benchmarks.bench.process import JobFailedError
from benchmarks.bench.records import BenchResult, Cost, Memory, OperatorTime, Peaks, Rate, read_bench
from benchmarks.bench.runner import RESULT, Run, run_suite
from benchmarks.bench.suites import Suite
from octopix.latency import Latency
from octopix.session import RunFacts

FACTS = RunFacts("ai-edge-litert", "2.3.0", "cpu-xnnpack", "cpu-xnnpack", 1, 1, 1)
COST = Cost(1000, 10, 1.0, {"2*MAC": 2e-6, "lesrcnn-table": 20e-6 / 9}, 100, 20.0, 0.1)
MILLISECONDS = {"float32": 4.0, "int8-ptq-minmax": 1.0}


class StandIn:
    """Answers jobs at once; files whose path holds a word of ``deadly`` break the process they are in."""

    def __init__(self) -> None:
        self.deadly: set[str] = set()
        self.deadly_together = False
        self.jobs: list[Any] = []

    def __call__(self, job: Any) -> Any:
        self.jobs.append(job)
        subjects = [*getattr(job, "subjects", {}).values(), *filter(None, [getattr(job, "subject", None)])]
        if any(word in subject.path for word in self.deadly for subject in subjects):
            raise JobFailedError(-11, "its last words")
        if self.deadly_together and len(subjects) > 1:
            raise JobFailedError(-9, "")
        return self._answer(job)

    def _answer(self, job: Any) -> Any:
        if isinstance(job, Summit):
            rate = (Rate("something", 1e6, (1.0,)),)
            return Peaks(job.threads, rate, rate, rate)
        if isinstance(job, Probe):
            return Probed("0" * 64, (1, 8, 8, 4), COST, FACTS, 2.0, 5.0, Memory(80.0, 10.0))
        if isinstance(job, Race):
            return Raced({name: _latency(subject.path) for name, subject in job.subjects.items()})
        if isinstance(job, Dissection):
            time = OperatorTime(0, "CONV_2D", (1, 8, 8, 4), 1000, 1.0, 1.1)
            return Dissected((time,), (), _latency(job.subject.path))
        assert isinstance(job, Likeness)
        return Apart(1e-6)

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(job, kind) for job in self.jobs)


def _latency(path: str) -> Latency:
    return Latency((MILLISECONDS[Path(path).stem],) * 12, warmup=3)


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def go(plain: Path, tmp_path: Path, make_suite: Callable[..., Suite], stand_in: StandIn) -> Callable[..., BenchResult]:
    """Run a suite of ``plain`` and ``other`` in the same folder each time."""

    def run(*, fresh: bool = False, **changes: Any) -> BenchResult:
        suite = make_suite(**{"models": ["plain", "other"], **changes})
        given = Run("a-suite", suite, plan(suite, plain), tmp_path / "out")
        seen: list[str] = []
        result = run_suite(given, stand_in, watch=seen.append, fresh=fresh)
        assert len(seen) == given.steps  # else a progress bar never ends, or ends early
        return result

    return run


def test_every_cell_has_its_figures(go: Callable[..., BenchResult], tmp_path: Path) -> None:
    result = go(phases=["latency", "memory", "profile"], slowest=1)

    assert [(each.cell.model, each.cell.scheme) for each in result.cells] == [
        (model, scheme) for model in ("other", "plain") for scheme in MILLISECONDS
    ]
    float32, int8 = result.cells[:2]
    assert (result.speed(float32), result.speed(int8)) == (1.0, 4.0)
    assert int8.gmacs == pytest.approx(1000 / 1e-3 / 1e9)
    assert int8.latency is not None
    assert (int8.latency.init_ms, int8.latency.first_ms) == (2.0, 5.0)
    assert [profile.cell.scheme for profile in result.profiles] == list(MILLISECONDS)
    assert read_bench(tmp_path / "out" / RESULT) == result


def test_a_broken_cell_loses_no_other(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    stand_in.deadly = {"plain/int8"}

    result = go()

    (failed,) = result.failed
    assert failed.cell.name == "plain 8x8 1 thread cpu int8-ptq-minmax"
    assert failed.failure is not None
    assert (failed.failure.phase, failed.failure.exit_code, failed.failure.words) == (
        "first run",
        -11,
        "its last words",
    )
    assert [result.speed(each) for each in result.cells if each.failure is None] == [1.0, 4.0, 1.0]


def test_a_later_run_tries_only_what_failed(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    stand_in.deadly = {"plain/int8"}
    broken = go()
    stand_in.jobs.clear()

    again = go()

    assert [Path(job.subject.path).parts[-2:] for job in stand_in.jobs] == [("plain", "int8-ptq-minmax.tflite")]
    assert again.cells == broken.cells


def test_what_comes_to_life_is_timed_in_turns_with_its_group(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    stand_in.deadly = {"plain/int8"}
    go()
    stand_in.deadly = set()
    stand_in.jobs.clear()

    result = go()

    assert not result.failed
    assert [len(job.subjects) for job in stand_in.jobs if isinstance(job, Race)] == [2]
    assert stand_in.count(Probe) == 1


def test_a_finished_run_measures_nothing_again_unless_asked(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    first = go()
    stand_in.jobs.clear()

    assert go().cells == first.cells
    assert stand_in.jobs == []
    go(fresh=True)
    assert stand_in.count(Probe) == 4


def test_another_file_or_setting_is_measured_again(
    go: Callable[..., BenchResult], stand_in: StandIn, plain: Path
) -> None:
    go()
    stand_in.jobs.clear()
    changed = plain / "plain" / "float32.tflite"
    changed.write_bytes((plain / "other" / "float32.tflite").read_bytes())

    go()
    assert [Path(job.subject.path) for job in stand_in.jobs if isinstance(job, Probe)] == [changed]
    go(seconds=0.02)
    assert stand_in.count(Probe) == 1 + 4


def test_a_damaged_record_is_as_if_it_were_not_there(
    go: Callable[..., BenchResult], stand_in: StandIn, tmp_path: Path
) -> None:
    first = go()
    stand_in.jobs.clear()
    (record,) = (tmp_path / "out" / "cells").glob("plain-float32*.json")
    record.write_bytes(record.read_bytes()[:-20])

    assert go().cells == first.cells
    assert stand_in.count(Probe) == 1


def test_what_breaks_only_together_is_timed_one_by_one(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    stand_in.deadly_together = True

    result = go()

    assert not result.failed
    assert [result.speed(each) for each in result.cells] == [1.0, 4.0] * 2
    assert len(result.notes) == 2
    assert "one by one" in result.notes[0]


def test_peaks_that_break_are_told_and_lose_no_cell(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    answer = stand_in._answer

    def breaks(job: Any) -> Any:
        if isinstance(job, Summit):
            raise JobFailedError(-4, "illegal instruction")
        return answer(job)

    stand_in._answer = breaks  # type: ignore[method-assign]
    result = go()

    assert (result.peaks, len(result.cells), result.failed) == ((), 4, ())
    assert "illegal instruction" in result.notes[0]


def test_two_models_beside_each_other_take_turns(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    result = go(beside="other")

    assert [len(job.subjects) for job in stand_in.jobs if isinstance(job, Race)] == [4]
    assert [(pair.cell.model, pair.cell.scheme, pair.beside) for pair in result.pairs] == [
        ("plain", scheme, "other") for scheme in MILLISECONDS
    ]
    assert [(pair.speed, pair.judgement) for pair in result.pairs] == [(1.0, "same")] * 2


def test_without_the_latency_phase_the_single_call_warns(go: Callable[..., BenchResult], stand_in: StandIn) -> None:
    result = go(phases=["memory"])

    assert stand_in.count(Race) == 0
    latency = result.cells[0].latency
    assert latency is not None
    assert latency.samples_ms == (5.0,)
    assert "only 1 samples" in latency.warnings[0]


def test_records_do_not_depend_on_where_the_folder_is(go: Callable[..., BenchResult], tmp_path: Path) -> None:
    result = go()
    text = (tmp_path / "out" / RESULT).read_text(encoding="utf-8")

    assert str(tmp_path) not in text
    assert dataclasses.asdict(result.cells[0])["cell"]["model"] == "other"
