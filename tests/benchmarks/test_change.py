"""What changed between two results: one verdict per model, a page, and an exit code for CI."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from octopix.latency import Latency
from octopix.results import QuantizeRow, Result, write_result

Make = Callable[..., Result]


def written(result: Result, folder: Path, model: str = "espcn_x4") -> Path:
    path = folder / model / "results.json"
    rows = tuple(dataclasses.replace(row, model=model) for row in result.rows)
    write_result(path, dataclasses.replace(result, rows=rows))
    return path


def changed(result: Result, *, psnr: float = 0.0, slower: float = 1.0, cpu: str | None = None) -> Result:
    """``result`` with int8-qat's PSNR and time altered, on another CPU where one is named."""

    def alter(row: QuantizeRow) -> QuantizeRow:
        if row.scheme != "int8-qat" or row.latency is None or row.psnr_db is None or row.drop_db is None:
            return row
        latency = Latency(tuple(sample * slower for sample in row.latency.samples_ms), warmup=3)
        return dataclasses.replace(row, psnr_db=row.psnr_db + psnr, drop_db=row.drop_db - psnr, latency=latency)

    conditions = dataclasses.replace(result.conditions, cpu=cpu or "Cortex-A76")
    rows = tuple(map(alter, result.rows))  # type: ignore[arg-type]
    return dataclasses.replace(result, rows=rows, conditions=conditions)


def compare(base: Path, head: Path, out: Path) -> int:
    return main(["compare", str(base), str(head), "--out", str(out)])


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        ({}, 0, "Nothing changed beyond the noise, in 1 model."),
        ({"psnr": -0.05}, 1, "espcn_x4 is worse."),
        ({"psnr": 0.05}, 0, "espcn_x4 is better."),
        ({"slower": 1.5}, 1, "espcn_x4 is worse."),
        ({"slower": 1.03}, 0, "Nothing changed"),  # below the 5 % from which medians count
        ({"slower": 1.5, "cpu": "another"}, 0, "Nothing changed"),  # times of two machines are not judged
    ],
)
def test_the_exit_code_and_the_verdict(
    make_result: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, float],
    code: int,
    sentence: str,
) -> None:
    base = written(changed(make_result()), tmp_path / "base")
    head = written(changed(make_result(), **change), tmp_path / "head")  # type: ignore[arg-type]
    assert compare(base, head, tmp_path / "out") == code
    assert sentence in capsys.readouterr().out
    for name in ("report.html", "report.md"):
        assert sentence in (tmp_path / "out" / name).read_text(encoding="utf-8")


def test_folders_are_matched_model_by_model(
    make_result: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, models in (("base", ("espcn_x4", "gone_x2")), ("head", ("espcn_x4", "new_x3"))):
        for model in models:
            worse = -0.05 if folder == "head" else 0.0
            written(changed(make_result(), psnr=worse), tmp_path / folder, model)
    assert compare(tmp_path / "base", tmp_path / "head", tmp_path / "out") == 1
    shown = capsys.readouterr().out
    for line in ("only in BASE: gone_x2", "only in HEAD: new_x3", "espcn_x4 is worse."):
        assert line in shown


def test_another_machine_is_named(make_result: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = written(changed(make_result()), tmp_path / "base")
    head = written(changed(make_result(), cpu="Cortex-X4"), tmp_path / "head")
    assert compare(base, head, tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "cpu: Cortex-A76 -> Cortex-X4" in shown
    assert "times are shown but not judged" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "result JSON in"),
        (b'{"octopix_result": 1, "kind": "quantize", "rows": [', "result JSON in"),
        (b'{"octopix_result": 99}', "head/espcn_x4/results.json, got version 99"),
        (b"[]", "got JSON of another kind"),
    ],
)
def test_damaged_and_foreign_results_are_named_and_nothing_is_written(
    make_result: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    base = written(make_result(), tmp_path / "base")
    head = written(make_result(), tmp_path / "head")
    head.write_bytes(content)
    assert compare(base, head, tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_result_of_another_kind_is_refused(
    make_result: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = written(make_result(), tmp_path / "base")
    raw = json.loads(base.read_text(encoding="utf-8")) | {"kind": "bench", "rows": []}
    other = tmp_path / "bench.json"
    other.write_text(json.dumps(raw))
    assert compare(base, other, tmp_path / "out") == 2
    assert "expected two results of one kind, got quantize and bench" in capsys.readouterr().err


def test_results_without_a_common_row_say_so_in_one_line(
    make_result: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = written(make_result(), tmp_path / "base")
    head = written(make_result(images={"Urban100": {"a.png": 30.0}}), tmp_path / "head")
    assert compare(base, head, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "(10 rows)" in error
    assert len(error) < 400
