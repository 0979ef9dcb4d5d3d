"""One page over all models, made from results alone."""

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from octopix.device_rows import DeviceRow, DeviceState, Parity, ProcessTiming
from octopix.results import QuantizeRow, Result, write_result
from octopix.runtime import RunFacts

Make = Callable[..., Result]


def renamed(result: Result, model: str, *, scale: int = 4) -> Result:
    def rename(row: QuantizeRow) -> QuantizeRow:
        card = None if row.card is None else dataclasses.replace(row.card, model=model, scale=scale)
        return dataclasses.replace(row, model=model, card=card)

    return dataclasses.replace(result, rows=tuple(map(rename, result.rows)))  # type: ignore[arg-type]


@pytest.fixture
def reports(make_result: Make, tmp_path: Path) -> Path:
    """Three models, one of them without int8."""
    write_result(tmp_path / "espcn_x4" / "results.json", make_result())
    write_result(tmp_path / "abpn_x2" / "results.json", renamed(make_result(), "abpn_x2", scale=2))
    write_result(tmp_path / "cnn_x4" / "results.json", renamed(make_result(schemes=("bicubic", "float32")), "cnn_x4"))
    return tmp_path


def text_of(reports: Path, name: str = "report.html") -> str:
    return (reports / name).read_text(encoding="utf-8")


def test_every_model_is_summed_up_and_has_its_section(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--all", str(reports)]) == 0
    assert capsys.readouterr().out.split() == [str(reports / f"report.{kind}") for kind in ("html", "md", "csv")]
    page, markdown = text_of(reports), text_of(reports, "report.md")
    for model in ("espcn_x4", "abpn_x2", "cnn_x4"):
        assert f'href="#model-{model}"' in page
        assert f'<details class="model" id="model-{model}">' in page
        assert f"]({model}/report.md)" in markdown
    # 0.0625 dB is what int8-qat loses in both models that have it.
    for text in (page, markdown):
        assert "int8 costs 0.062 dB in the median of 2 models, 0.062 dB at most" in text
        assert "no int8 file was measured: cnn_x4" in text


def test_the_csv_holds_all_models(reports: Path) -> None:
    assert main(["report", "--all", str(reports)]) == 0
    with (reports / "report.csv").open(encoding="utf-8", newline="") as file:
        assert {line["model"] for line in csv.DictReader(file)} == {"espcn_x4", "abpn_x2", "cnn_x4"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"octopix_result": 2}', "got version 2"),
        ('{"octopix_result": 1, "kind": "quantize"', "result JSON in"),
        ('{"octopix_result": 1, "kind": "bench", "created": "", "rows": []}', "conditions"),
    ],
)
def test_one_damaged_result_is_named_and_nothing_is_written(
    reports: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    (reports / "cnn_x4" / "results.json").write_text(content)
    assert main(["report", "--all", str(reports)]) == 2
    error = capsys.readouterr().err
    assert str(Path("cnn_x4") / "results.json") in error
    assert message in error
    assert not list(reports.glob("report.*"))


def test_a_folder_without_reports_says_how_to_make_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--all", str(tmp_path)]) == 2
    assert "make quantize MODEL=all" in capsys.readouterr().err


def layers(folder: Path, **changes: object) -> None:
    """``sensitivity.json`` of two layers."""
    content = {
        "version": 1,
        "model": "espcn_x4",
        "scheme": "int8-ptq-mse",
        "images": 30,
        "protocol": "y",
        "base_psnr_db": 29.875,
        "layers": [
            {"name": "conv", "operator": "CONV_2D", "macs": 750, "alone_drop_db": 0.03125, "left_out_gain_db": None},
            {"name": "last", "operator": "CONV_2D", "macs": 250, "alone_drop_db": None, "left_out_gain_db": 0.0625},
        ],
    }
    (folder / "sensitivity.json").write_text(json.dumps(content | changes))


def test_the_sensitivity_of_layers_is_shown(reports: Path) -> None:
    layers(reports / "espcn_x4")
    assert main(["report", "--results", str(reports / "espcn_x4" / "results.json")]) == 0
    page, markdown = text_of(reports / "espcn_x4"), text_of(reports / "espcn_x4", "report.md")
    assert "Sensitivity per layer" in page
    assert "| conv | CONV_2D | 0.0 | 75.0 | 0.0312 | – |" in markdown
    assert "int8-ptq-mse on 30 images, protocol y; the whole int8 model has 29.875 dB" in markdown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"layers": []}, "no layer"),
        ({"model": "other"}, "expected the sensitivity of espcn_x4"),
        ({"layers": [{"name": "conv"}]}, "'operator'"),
    ],
)
def test_a_sensitivity_that_does_not_fit_is_refused(
    reports: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], message: str
) -> None:
    layers(reports / "espcn_x4", **changes)
    assert main(["report", "--results", str(reports / "espcn_x4" / "results.json")]) == 2
    assert message in capsys.readouterr().err


def on_device(device: str, scheme: str, *, median: float, threads: int = 1, model: str = "espcn_x4") -> DeviceRow:
    return DeviceRow(
        model=model,
        scheme=scheme,
        device=device,
        tool="octopix bench",
        shape=(1, 128, 128, 1),
        flops_convention="2*MAC",
        flops_g=0.8,
        params_m=0.02,
        kib=30.0,
        image_set="photographs",
        images=4,
        protocol="y",
        psnr_db=30.0,
        host_psnr_db=30.0,
        drop_db=0.125,
        parity=Parity("within", largest=1),
        processes=(ProcessTiming(50, 3, median, median, median, median),),
        rejected=(),
        ratio_to_float32=8.0 / median,
        facts=RunFacts("ai-edge-litert", "2.3.0", "cpu-xnnpack", "cpu-xnnpack", threads, 6, 4),
        before=DeviceState(),
        after=DeviceState(),
        graph_sha256="0" * 64,
        file_sha256="0" * 64,
    )


def test_devices_stand_side_by_side_each_in_its_fastest_way(reports: Path) -> None:
    for device, faster in (("pi5", 2.0), ("pixel", 1.0)):
        rows = (
            on_device(device, "float32", median=8.0),
            on_device(device, "int8-qat", median=4.0),
            on_device(device, "int8-qat", median=faster, threads=4),
        )
        write_result(reports / "espcn_x4-on-devices" / device / "results.json", Result(kind="device", rows=rows))
    assert main(["report", "--all", str(reports)]) == 0
    assert main(["report", "--results", str(reports / "espcn_x4" / "results.json")]) == 0
    page, markdown = text_of(reports / "espcn_x4"), text_of(reports / "espcn_x4", "report.md")
    assert re.search(r'colspan="5">this machine</th>.*colspan="5">pi5</th>.*colspan="5">pixel</th>', page)
    (line,) = [
        line
        for line in markdown.split("## Devices")[1].split("## ")[0].splitlines()
        if "int8-qat" in line and "|" in line
    ]
    cells = [cell.strip(" *") for cell in line.split("|")[1:-1]]
    assert cells[6:11] == ["2.00", "4.00×", "xnnpack, 4", "0.125", "≤ 1 LSB"]
    assert cells[11:] == ["1.00", "8.00×", "xnnpack, 4", "0.125", "≤ 1 LSB"]
    assert "Devices side by side" in page


def test_devices_of_another_model_are_refused(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (on_device("pi5", "float32", median=8.0, model="other"),)
    write_result(reports / "espcn_x4-on-devices" / "pi5" / "results.json", Result(kind="device", rows=rows))
    assert main(["report", "--all", str(reports)]) == 2
    assert "make deploy MODEL=espcn_x4" in capsys.readouterr().err
