import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octopix.conditions import read_conditions
from octopix.errors import ResultError
from octopix.latency import Latency
from octopix.results import (
    BenchRow,
    ConversionSpeedRow,
    QuantizeRow,
    Result,
    decibels,
    read_result,
    write_result,
)
from octopix.runtime import RunFacts

FACTS = RunFacts("ai-edge-litert", "2.3.0", "cpu-xnnpack", "cpu-xnnpack", 1, 6, 4)
LATENCY = Latency(samples_ms=(1.5, 1.25, 1.0), warmup=3, init_ms=4.0, first_ms=2.0, warnings=("only 3 samples",))
BENCH = BenchRow(
    model="m",
    scheme=None,
    shape=(1, 8, 8, 1),
    macs=64,
    parameters=4,
    kib=1.5,
    latency=LATENCY,
    facts=FACTS,
    graph_sha256="ab",
    file_sha256="cd",
)
QUANTIZE = QuantizeRow(
    model="m",
    scheme="float32",
    image_set="Set5",
    protocol="y",
    psnr_db=30.5,
    ssim=0.9,
    shape=(1, 8, 8, 1),
    flops_convention="2*MAC",
    drop_db=0.0,
    fidelity_db=math.inf,
    latency=LATENCY,
    facts=FACTS,
    psnr_per_image={"bird": 30.5, "copy": math.inf},
)
SPEED = ConversionSpeedRow(
    model="m", scheme="int8-ptq-mse", method="octopix", images=64, shape=(1, 128, 128, 1), samples_s=(0.5, 0.6)
)
RESULTS = {
    "bench": Result("bench", (BENCH,)),
    "quantize": Result("quantize", (QUANTIZE,)),
    "conversion-speed": Result("conversion-speed", (SPEED,)),
}


@pytest.fixture(params=RESULTS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Result, Path]:
    write_result(tmp_path / "result.json", RESULTS[request.param])
    return RESULTS[request.param], tmp_path / "result.json"


def test_what_is_written_is_read(written: tuple[Result, Path]) -> None:
    result, path = written
    read = read_result(path)

    assert (read.kind, read.created, read.conditions) == (result.kind, result.created, result.conditions)
    (row,) = result.rows
    if isinstance(row, QuantizeRow):  # identical pictures are None per image: JSON has no infinity
        row = dataclasses.replace(row, psnr_per_image={"bird": 30.5, "copy": None})
    assert read.rows == (row,)


def test_files_are_strict_json(written: tuple[Result, Path]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(written[1].read_text(), parse_constant=refuse)


def test_readers_without_octopix_find_the_summary(tmp_path: Path) -> None:
    write_result(tmp_path / "r.json", RESULTS["bench"])

    raw = json.loads((tmp_path / "r.json").read_text())["rows"][0]["latency"]

    assert (raw["median_ms"], raw["p95_ms"], raw["min_ms"]) == (1.25, 1.5, 1.0)


def test_identical_pictures_are_null_and_flagged() -> None:
    assert decibels(math.inf) == {"psnr_db": None, "identical": True}
    assert decibels(30.0) == {"psnr_db": 30.0, "identical": False}
    assert decibels(None, name="fidelity_db", flag="same") == {"fidelity_db": None, "same": False}


def _without(name: str) -> Callable[[Any], None]:
    return lambda raw: raw["rows"][0].pop(name)


def _with(value: object, *path: str | int) -> Callable[[Any], None]:
    def change(raw: Any) -> None:
        for step in path[:-1]:
            raw = raw[step]
        raw[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_with(2, "octopix_result"), "version 2"),
        (_with("unknown", "kind"), "kind 'unknown'"),
        (_with({}, "rows"), "list of rows"),
        (_without("graph_sha256"), "the field 'graph_sha256'"),
        (_with("fast", "rows", 0, "kib"), r"rows\[0\]\.kib, got 'fast'"),
        (_with(math.inf, "rows", 0, "kib"), "Infinity, which is not JSON"),
        (_with(math.nan, "rows", 0, "kib"), "NaN, which is not JSON"),
        (_with(True, "rows", 0, "macs"), r"rows\[0\]\.macs, got True"),
        (_with([1, "x"], "rows", 0, "latency", "samples_ms"), r"samples_ms\[1\], got 'x'"),
        (_with([], "rows", 0, "latency", "samples_ms"), "positive samples"),
        (_with([1.0, 0.0], "rows", 0, "latency", "samples_ms"), "positive samples"),
        (_with([3], "rows", 0), "an object"),
        (_with(None, "rows", 0, "facts"), "an object"),
        (_with({"cpu": None}, "conditions"), "the field 'board'"),
    ],
)
def test_damaged_results_name_what_is_wrong(tmp_path: Path, change: Callable[[Any], None], says: str) -> None:
    raw = RESULTS["bench"].to_json()
    change(raw)
    (tmp_path / "r.json").write_text(json.dumps(raw))

    with pytest.raises(ResultError, match=says):
        read_result(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("number", "says"), [("1e999", "out of range"), ("9" * 400, "400 digits"), ("[" * 100_000, "nested too deep")]
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, number: str, says: str) -> None:
    text = json.dumps(RESULTS["bench"].to_json()).replace('"samples_ms": [1.5', f'"samples_ms": [{number}')
    (tmp_path / "r.json").write_text(text)

    with pytest.raises(ResultError, match=says):
        read_result(tmp_path / "r.json")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"octopix_result": Infinity}', '{"other": 1}', "\xff"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content, encoding="latin-1")

    with pytest.raises(ResultError):
        read_result(tmp_path / "r.json")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="No such file"):
        read_result(tmp_path / "none.json")


def test_conditions_are_read_from_the_kernel(tmp_path: Path) -> None:
    _fill(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\ncpu MHz\t\t: 1999.5\n",
            "proc/device-tree/model": "A Board Rev 1.4\0",
            "proc/meminfo": "MemTotal:        2048 kB\nMemFree: 1 kB\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
            "sys/class/thermal/thermal_zone0/temp": "41500\n",
            "sys/class/thermal/thermal_zone1/temp": "-273000\n",
            "sys/class/thermal/thermal_zone2/temp": "52000\n",
        },
    )

    found = read_conditions(tmp_path)

    assert (found.cpu, found.board, found.governor) == ("A CPU @ 2 GHz", "A Board Rev 1.4", "performance")
    assert (found.frequency_mhz, found.temperature_c, found.memory_mib) == (1500, 52, 2)
    assert found.cores >= 1


def test_unreadable_facts_are_none(tmp_path: Path) -> None:
    _fill(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "0\n", "proc/cpuinfo": "Features : neon\n"})

    found = read_conditions(tmp_path)

    assert found.cpu is found.board is found.governor is found.frequency_mhz is None
    assert found.temperature_c is found.memory_mib is None


def _fill(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
