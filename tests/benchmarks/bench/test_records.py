"""Reading a result back, refusing what is no such result, and judging one against a reference."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench.cell import Cell
from benchmarks.bench.commands import keep_as_reference
from benchmarks.bench.records import BenchResult, CellResult, Cost, Peaks, Rate, read_bench, write_bench
from benchmarks.bench.reference import compare_with, machine_kind
from benchmarks.bench.roofline import write_rooflines
from octopix.conditions import Conditions
from octopix.errors import ResultError
from octopix.latency import Latency
from octopix.session import RunFacts

CPU = "Intel(R) Xeon(R) Processor @ 2.10GHz"
CONDITIONS = Conditions(CPU, None, "x86_64", 2, None, None, None, 0.1, 8192.0, "Linux", "3.11.2", "0.1.0")
FACTS = RunFacts("ai-edge-litert", "2.3.0", "cpu-xnnpack", "cpu-xnnpack", 1, 1, 1)
COST = Cost(1_000_000, 10, 1.0, {"2*MAC": 2e-3, "lesrcnn-table": 20e-3 / 9}, 100_000, 20.0, 0.1)


def cell(scheme: str, milliseconds: float, *, delegate: str = "cpu", warnings: tuple[str, ...] = ()) -> CellResult:
    latency = Latency((milliseconds,) * 12, warmup=3, warnings=warnings)
    key = Cell("espcn_x4", scheme, 128, 128, 1, delegate)
    return CellResult(key, "f" * 64, "0" * 64, (1, 128, 128, 1), COST, FACTS, latency)


def result(*cells: CellResult, **changes: Any) -> BenchResult:
    rate = (Rate("something", 1e6, (1.0,)),)
    facts = {"suite": "quick", "peaks": (Peaks(1, rate, rate, rate),), "conditions": CONDITIONS}
    return BenchResult(cells=cells or (cell("float32", 4.0), cell("int8-qat", 1.0)), **(facts | changes))


@pytest.fixture
def reference(tmp_path: Path) -> Callable[..., Path]:
    def write(*cells: CellResult, **changes: Any) -> Path:
        write_bench(tmp_path / "reference.json", result(*cells, **changes))
        return tmp_path / "reference.json"

    return write


def test_what_is_written_is_read(reference: Callable[..., Path]) -> None:
    kept = result()

    assert read_bench(reference(created=kept.created)) == kept


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: raw[: len(raw) // 2], "a truncated file has to be measured again"),
        (lambda raw: b"", "the JSON of a `make bench`"),
        (lambda raw: raw.replace(b'"octopix_bench": 1', b'"octopix_bench": 2'), "version 1 .*, got version 2"),
        (lambda raw: raw.replace(b'"octopix_bench": 1', b'"octopix_result": 1'), "got JSON of another kind"),
        (lambda raw: raw.replace(b'"threads": 1', b'"threads": "one"'), "threads"),
        (lambda raw: raw.replace(b"4.0", b"-4.0"), "positive samples"),
        (lambda raw: raw.replace(b'"file_sha256"', b'"file"'), "file_sha256"),
    ],
)
def test_what_is_no_such_result_is_refused(
    reference: Callable[..., Path], damage: Callable[[bytes], bytes], says: str
) -> None:
    path = reference()
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ResultError, match=says):
        read_bench(path)


@pytest.mark.parametrize("change", [{"cpu": "Cortex-A76"}, {"board": "Raspberry Pi 5"}, {"machine": "aarch64"}])
def test_another_kind_of_machine_is_refused(reference: Callable[..., Path], change: dict[str, str]) -> None:
    path = reference(conditions=dataclasses.replace(CONDITIONS, **change))

    with pytest.raises(
        ResultError, match=r"expected a reference measured on Intel.*, got reference\.json, measured on"
    ):
        compare_with(path, result())


def test_a_machine_that_hides_its_name_is_no_ground(reference: Callable[..., Path]) -> None:
    hidden = dataclasses.replace(CONDITIONS, cpu=None)

    with pytest.raises(ResultError, match="a machine that does not say what it is"):
        compare_with(reference(conditions=hidden), result(conditions=hidden))


def test_slower_beyond_the_noise_is_worse(reference: Callable[..., Path]) -> None:
    found = compare_with(reference(), result(cell("float32", 4.1), cell("int8-qat", 1.2)))

    assert [row.judgement for row in found.rows] == ["same", "worse"]
    assert len(found.worse) == 1


def test_what_warns_of_itself_is_not_judged(reference: Callable[..., Path]) -> None:
    found = compare_with(reference(), result(cell("float32", 40.0, warnings=("unstable",))))

    assert [(row.time, row.judgement) for row in found.rows] == [(None, "same")]


def test_delegates_are_judged_apart(reference: Callable[..., Path]) -> None:
    both = cell("float32", 4.0), cell("float32", 9.0, delegate="cpu-builtin")
    found = compare_with(reference(*both), result(cell("float32", 4.0), cell("float32", 12.0, delegate="cpu-builtin")))

    assert {name: verdict.worse for name, verdict in found.verdicts.items()} == {"cpu": False, "cpu-builtin": True}


def test_suites_without_a_common_cell_do_not_compare(reference: Callable[..., Path]) -> None:
    with pytest.raises(ResultError, match="a cell in common"):
        compare_with(reference(cell("float16", 4.0)), result())


def test_only_a_quiet_machine_makes_a_reference(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"

    with pytest.raises(ResultError, match="busy machine"):
        keep_as_reference(result(cell("float32", 4.0, warnings=("busy machine: load average 9",))), path)

    assert not path.exists()
    unsteady = result(cell("float32", 4.0, warnings=("unstable: a little",)))
    assert read_bench(keep_as_reference(unsteady, path)).suite == "quick"


def test_kinds_of_machines_are_safe_in_file_names() -> None:
    assert machine_kind(CONDITIONS) == "intel-xeon-processor-2-10ghz"


def test_rooflines_are_drawn_for_pages_of_both_themes(tmp_path: Path) -> None:
    png, svg = write_rooflines(result(), tmp_path)

    assert png.read_bytes().startswith(b"\x89PNG")
    assert "prefers-color-scheme" in svg.read_text(encoding="utf-8")


def test_without_peaks_there_is_no_roofline(tmp_path: Path) -> None:
    assert write_rooflines(result(peaks=()), tmp_path) == ()


def test_derived_figures_are_for_other_readers(reference: Callable[..., Path]) -> None:
    raw = json.loads(reference().read_text(encoding="utf-8"))

    assert [each["speed"] for each in raw["cells"]] == [1.0, 4.0]
    assert raw["cells"][1]["gmacs_per_s"] == pytest.approx(1.0)
    assert raw["peaks"][0]["int8_gmacs"] == pytest.approx(1.0)
