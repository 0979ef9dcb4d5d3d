"""The table and the report of what deploy measured."""

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.devices import show_devices, verdict_of
from octopix.conditions import Conditions, read_conditions
from octopix.device_rows import DeviceRow, DeviceState, Parity, ProcessTiming
from octopix.results import Result, write_result
from octopix.runtime import RunFacts

CHECKED = Parity("within", largest=2, mean=0.1, allowed_largest=5, reason="another runtime")
UNCHECKED = Parity("unchecked", reason="the tool cannot")


def row(scheme: str, *, median: float, psnr: float | None = 30.0, parity: Parity = CHECKED) -> DeviceRow:
    timings = tuple(
        ProcessTiming(50, 10, median * share, median * 1.2, median, median, 3.0) for share in (1, 1.01, 0.99)
    )
    return DeviceRow(
        model="espcn_x4",
        scheme=scheme,
        device="pixel|8",
        tool="benchmark_model (classic), native shell",
        shape=(1, 128, 128, 1),
        flops_convention="2*MAC",
        flops_g=0.807,
        params_m=0.0248,
        kib=34.2,
        image_set="photographs <b>",
        images=3,
        protocol="y",
        psnr_db=psnr,
        host_psnr_db=30.0,
        drop_db=None if psnr is None else 30.0 - psnr,
        parity=parity,
        processes=timings,
        rejected=(),
        ratio_to_float32=8.0 / median,
        facts=RunFacts("benchmark_model-classic", "sha256:0", "gpu", "gpu-partly", 1, None, None),
        before=DeviceState(),
        after=DeviceState(throttling=1, temperature_c=44.2),
        graph_sha256="0" * 64,
        file_sha256="0" * 64,
    )


@pytest.fixture
def conditions() -> Conditions:
    return dataclasses.replace(read_conditions(), board="Google Pixel 8", cpu="Tensor G3")


@pytest.fixture
def result(conditions: Conditions) -> Result:
    rows = (row("float32", median=8.0), row("int8-qat", median=2.0, psnr=29.95))
    return Result("device", rows, conditions, notes=("gpu: not got: no driver",))


def text_of(result: Result) -> str:
    stream = io.StringIO()
    show_devices({Path("a"): result}, Console(file=stream, width=200))
    return stream.getvalue()


def test_the_table_says_all_that_was_measured(result: Result) -> None:
    shown = text_of(result)

    line = next(line for line in shown.splitlines() if line.startswith("int8-qat"))
    assert line.split() == [
        *("int8-qat", "gpu-partly", "(asked", "gpu)", "1", "0.807", "0.0248", "34.2", "29.950", "0.050"),
        *("≤", "2", "LSB", "3.0", "2.00", "2.40", "2%", "–", "4.00×"),
    ]
    assert "espcn_x4 on pixel|8 (Google Pixel 8, Tensor G3) · 1x128x128" in shown
    assert "note: gpu: not got: no driver" in shown
    assert "throttling 0x1" in shown
    assert "Fastest int8: int8-qat on gpu-partly (asked gpu), 1 thread: 2.00 ms, 4.00× float32's speed" in shown


def test_what_is_unchecked_is_said_and_not_recommended(result: Result) -> None:
    rows = (row("float32", median=8.0), row("int8-qat", median=2.0, psnr=None, parity=UNCHECKED))
    shown = text_of(dataclasses.replace(result, rows=rows))

    assert "warning: parity unchecked: the tool cannot" in shown
    assert "No int8 file was measured and checked." in shown


def test_no_speed_is_claimed_on_processes_that_differ() -> None:
    shaky = dataclasses.replace(
        row("int8-qat", median=2.0),
        processes=tuple(ProcessTiming(50, 10, median, 9.0, 1.0, 1.0) for median in (2.0, 3.0)),
    )

    assert "speed" not in verdict_of([row("float32", median=8.0), shaky])


def test_the_report_from_the_command_line(result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(tmp_path / "pixel/results.json", result)

    assert main(["devices", str(tmp_path)]) == 0

    assert "int8-qat" in capsys.readouterr().out
    page, markdown = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    assert "photographs &lt;b&gt;" in page
    assert "http" not in page
    assert "| int8-qat | gpu-partly (asked gpu) | 1 |" in markdown


@pytest.mark.parametrize("kind", ["none", "another"])
def test_a_folder_without_device_results_is_said(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], conditions: Conditions
) -> None:
    if kind == "another":
        write_result(tmp_path / "x/results.json", Result("bench", (), conditions))

    assert main(["devices", str(tmp_path)]) == 2
    assert "results of `make deploy`" in capsys.readouterr().err
