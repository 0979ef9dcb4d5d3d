"""A user's own model on a user's own pictures: with ground truth, and by fidelity alone."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage

from octopix.results import QuantizeRow, read_result

ROOT = Path(__file__).parents[2]
NAMES = tuple(f"{number:02}" for number in range(8))
BACK = ("03", "07")
"""Every fourth by name, which `quantize` holds back of eight."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``poor`` (JPEG) and ``good`` (PNG): eight crops of a photograph, four times smaller and whole."""
    folder = tmp_path_factory.mktemp("pictures")
    photograph = cv2.imread(str(Path(skimage.__file__).parent / "data" / "coffee.png"))
    for name in ("poor", "good"):
        (folder / name).mkdir()
    for place, name in enumerate(NAMES):
        crop = photograph[place * 20 : place * 20 + 160, 100:260]
        cv2.imwrite(str(folder / "good" / f"{name}.png"), crop)
        cv2.imwrite(str(folder / "poor" / f"{name}.jpg"), cv2.resize(crop, (40, 40), interpolation=cv2.INTER_AREA))
    return folder


def table(artifacts: Path, reports: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    command = ["table", "--artifacts", artifacts, "--reports", reports, "--quick", *words]
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def rows_of(reports: Path) -> dict[str, QuantizeRow]:
    result = read_result(reports / "espcn_x4" / "results.json")
    return {row.scheme: row for row in result.rows if isinstance(row, QuantizeRow)}


def test_pairs_are_matched_by_name_and_compared(artifacts: Path, pictures: Path, tmp_path: Path) -> None:
    done = table(artifacts, tmp_path, "--inputs", pictures / "poor", "--reference", pictures / "good")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path)
    assert list(rows["float32"].psnr_per_image) == list(NAMES[:4])  # --quick takes the first four
    assert rows["float32"].image_set == "folder poor (quick: first 4)"
    assert rows["float32"].protocol == "y"
    assert rows["int8-ptq-minmax"].drop_db is not None
    # A network that enlarges photographs beats nothing at all by far; twins mixed up would be below 15 dB.
    assert (rows["float32"].psnr_db or 0) > 22


def test_without_ground_truth_fidelity_is_all_there_is(artifacts: Path, pictures: Path, tmp_path: Path) -> None:
    done = table(artifacts, tmp_path, "--inputs", pictures / "poor")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path)
    assert set(rows) == {"float32", "int8-ptq-minmax"}  # no bicubic: nothing to compare it with
    int8 = rows["int8-ptq-minmax"]
    assert (int8.psnr_db, int8.ssim, int8.drop_db) == (None, None, None)
    assert (int8.fidelity_db or 0) > 35  # min-max ranges cost this much at most; a broken model has 10
    assert "Without ground truth, what that costs in quality is not known." in " ".join(done.stdout.split())
    page = (tmp_path / "espcn_x4" / "report.html").read_text(encoding="utf-8")
    assert "no ground truth was given" in page
    crops = json.loads((tmp_path / "espcn_x4" / "plots" / "crops.json").read_text(encoding="utf-8"))["crops"]
    assert crops
    assert not any("ground truth" in crop["tiles"] for crop in crops)


def test_of_the_calibration_folder_only_what_was_held_back_counts(
    artifacts: Path, pictures: Path, tmp_path: Path
) -> None:
    source = next(row.card for row in _cards(artifacts) if row.card.calibration is not None).calibration
    folder = tmp_path / source.source
    folder.mkdir()
    for path in (pictures / "poor").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    done = table(artifacts, tmp_path / "reports", "--inputs", folder)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "reports")
    assert [Path(name).stem for name in rows["float32"].psnr_per_image] == list(BACK)
    assert "the quarter held back from calibration" in rows["float32"].image_set
    assert "were judged on these pictures when they were made" in " ".join(done.stdout.split())


def _cards(artifacts: Path) -> list:
    from benchmarks.artifacts import find_artifacts

    return list(find_artifacts(artifacts, "espcn_x4"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--reference", "good"), "expected --inputs with --reference, got the reference alone"),
        (("--inputs", "nowhere"), "expected a folder for --inputs"),
        (("--inputs", "poor", "--reference", "nowhere"), "expected a folder for --reference"),
        (("--inputs", "poor", "--reference", "fewer"), "without a partner"),
    ],
)
def test_folders_that_cannot_serve_are_named(
    artifacts: Path, pictures: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    fewer = pictures / "fewer"
    fewer.mkdir(exist_ok=True)
    cv2.imwrite(str(fewer / "00.png"), np.zeros((160, 160, 3), np.uint8))
    done = table(artifacts, tmp_path, *(word if word.startswith("--") else pictures / word for word in words))
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_model_file_is_found_by_its_name(artifacts: Path, pictures: Path, tmp_path: Path) -> None:
    given = tmp_path / "espcn x4.tflite"  # `quantize` makes of it a name that is safe in file names
    given.write_bytes(b"")
    done = table(artifacts, tmp_path / "reports", "--model", given, "--inputs", pictures / "poor")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "espcn_x4" / "report.html").is_file()
