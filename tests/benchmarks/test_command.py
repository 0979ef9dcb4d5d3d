"""``python -m benchmarks`` as users call it, on real models and the built-in photographs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import skimage

from octopix.card import graph_sha256
from octopix.results import read_result

ROOT = Path(__file__).parents[2]


def benchmarks(*words: str | Path, data: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "OCTOPIX_DATA"}
    if data is not None:
        environment["OCTOPIX_DATA"] = data
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def measured(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A report's folder and what ``--json`` printed."""
    reports = tmp_path_factory.mktemp("reports")
    done = benchmarks("table", "--artifacts", artifacts, "--reports", reports, "--quick", "--json")
    assert done.returncode == 0, done.stderr
    return reports / "espcn_x4", done.stdout


def test_json_alone_is_on_stdout_and_is_the_result(measured: tuple[Path, str]) -> None:
    folder, stdout = measured
    assert json.loads(stdout) == json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("of_these", [True, False])
def test_the_sensitivity_of_other_weights_is_left_out(artifacts: Path, tmp_path: Path, of_these: bool) -> None:
    float32 = artifacts / "espcn_x4" / "float32.tflite"
    places = tmp_path / "artifacts" / "espcn_x4", tmp_path / "reports" / "espcn_x4"
    for place in places:
        place.mkdir(parents=True)
    shutil.copy(float32, places[0])
    layer = {"name": "head", "operator": "CONV_2D", "macs": 1, "alone_drop_db": 0.1, "left_out_gain_db": 0.1}
    found = {
        "version": 1,
        "model": "espcn_x4",
        "float_sha256": graph_sha256(float32) if of_these else "0" * 64,
        "scheme": "int8-ptq-mse",
        "images": 1,
        "protocol": "y",
        "base_psnr_db": 30.0,
        "layers": [layer],
    }
    (places[0] / "sensitivity.json").write_text(json.dumps(found))
    (places[1] / "sensitivity.json").write_text("what an earlier table brought")
    done = benchmarks("table", "--artifacts", places[0].parent, "--reports", places[1].parent, "--quick")
    assert done.returncode == 0, done.stderr
    brought = places[1] / "sensitivity.json"
    assert json.loads(brought.read_text()) == found if of_these else not brought.exists()
    assert ("sensitivity.json is left out" in done.stderr) != of_these


def test_rows_come_from_files_that_were_run(measured: tuple[Path, str]) -> None:
    rows = read_result(measured[0] / "results.json").rows
    assert [row.scheme for row in rows] == ["bicubic", "float32", "int8-ptq-minmax"]
    bicubic, float32, int8 = json.loads(measured[1])["rows"]
    assert set(float32["psnr_per_image"]) == {"astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"}
    assert float32["psnr_db"] == pytest.approx(sum(float32["psnr_per_image"].values()) / 4)
    assert int8["drop_db"] == pytest.approx(float32["psnr_db"] - int8["psnr_db"])
    assert bicubic["psnr_db"] < int8["psnr_db"] < float32["psnr_db"]
    assert (float32["drop_db"], float32["identical_to_float32"], float32["fidelity_db"]) == (0, True, None)
    assert float32["ratio_to_float32"] == 1
    assert bicubic["latency"] is None
    for row in (float32, int8):
        assert row["flops_g"] == pytest.approx(2 * row_macs() / 1e9)
        assert len(row["latency"]["samples_ms"]) >= 20
        assert (row["facts"]["threads"], row["shape"]) == (1, [1, 128, 128, 1])
        assert row["card"]["scheme"] == row["scheme"]
    assert float32["graph_sha256"] != int8["graph_sha256"]


def row_macs() -> int:
    """ESPCN ×4: 5×5×1×64, 3×3×64×32 and 3×3×32×16 weights at each of 128×128 pixels."""
    return (25 * 64 + 9 * 64 * 32 + 9 * 32 * 16) * 128 * 128


def test_the_report_shows_crops_of_the_int8_model(measured: tuple[Path, str]) -> None:
    folder = measured[0]
    crops = json.loads((folder / "plots" / "crops.json").read_text(encoding="utf-8"))["crops"]
    assert [crop["drop_db"] for crop in crops] == sorted((crop["drop_db"] for crop in crops), reverse=True)
    for crop in crops:
        assert list(crop["tiles"]) == ["bicubic", "float32", "int8-ptq-minmax", "ground truth", "heat map"]
        sizes = {cv2.imread(str(folder / "plots" / name)).shape for name in crop["tiles"].values()}
        assert sizes == {(96, 96, 3)}
    assert (folder / "report.html").read_text(encoding="utf-8").count("ground truth</figcaption>") == len(crops)


def test_the_report_is_made_again(measured: tuple[Path, str]) -> None:
    folder = measured[0]
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    done = benchmarks("report", "--results", folder / "results.json")
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").read_bytes() == before


def test_the_table_names_its_set_and_where_the_report_is(artifacts: Path, tmp_path: Path) -> None:
    done = benchmarks("table", "--artifacts", artifacts, "--reports", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    assert "astronaut, chelsea, coffee, rocket (scikit-image) (quick) · 4 images · protocol y" in done.stdout
    assert str(tmp_path / "espcn_x4" / "report.html") in done.stdout


def test_a_folder_of_the_user_s_is_tested_on_its_quarter(artifacts: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "holiday"
    pictures.mkdir()
    photograph = cv2.imread(str(Path(skimage.__file__).parent / "data" / "coffee.png"))
    for place in range(8):
        cv2.imwrite(str(pictures / f"{place}.png"), photograph[: 96 + place, : 120 + place])
    words = ("table", "--artifacts", artifacts, "--reports", tmp_path, "--data", pictures, "--quick", "--json")
    done = benchmarks(*words)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert {row["image_set"] for row in rows} == {"folder holiday, test quarter (quick)"}
    assert list(rows[0]["psnr_per_image"]) == ["2.png", "6.png"]


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_measured(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "espcn_x4").write_text("a file where the report's folder should be")
    done = benchmarks("table", "--artifacts", artifacts, "--reports", tmp_path)
    assert done.returncode == 2
    assert f"expected a writable place for {tmp_path / 'espcn_x4'}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_fails_leaves_the_earlier_report_whole(
    measured: tuple[Path, str], artifacts: Path, tmp_path: Path
) -> None:
    shutil.copytree(measured[0], tmp_path / "reports" / "espcn_x4")
    before = contents(tmp_path / "reports")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        (pictures / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    words = ("table", "--artifacts", artifacts, "--reports", tmp_path / "reports", "--data", pictures, "--quick")
    done = benchmarks(*words)
    assert done.returncode == 2
    assert ".png" in done.stderr
    assert contents(tmp_path / "reports") == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_collection_without_test_sets_says_which_are_known(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "T91").mkdir()
    done = benchmarks("table", "--artifacts", artifacts, "--reports", tmp_path / "reports", data=str(tmp_path))
    assert done.returncode == 2
    assert "Set5, Set14 or BSDS500/val" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table", "--model", "nobody"), "make quantize MODEL=nobody"),
        (("table", "--data", "nowhere"), "expected a folder of images, got nowhere"),
        (("report", "--results", "nowhere.json"), "nowhere.json"),
    ],
)
def test_errors_of_the_user_s_exit_with_2_and_write_nothing(
    artifacts: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    where = ("--artifacts", str(artifacts), "--reports", str(tmp_path)) if words[0] == "table" else ()
    done = benchmarks(*words, *where)
    assert done.returncode == 2
    assert done.stderr.startswith("error: expected ")
    assert message in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())
