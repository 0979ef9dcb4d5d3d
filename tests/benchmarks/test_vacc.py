"""The table of the LESRCNN document: its protocol, its columns, its file."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage

from benchmarks.__main__ import main
from benchmarks.vacc import BEGIN, END, read_vacc

PHOTOGRAPHS = ("astronaut.png", "coffee.png")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crops of 256×256 where those of DIV2K would be."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "DIV2K_valid_crop256").mkdir()
    for name in PHOTOGRAPHS:
        photograph = cv2.imread(str(Path(skimage.__file__).parent / "data" / name))
        cv2.imwrite(str(folder / "DIV2K_valid_crop256" / name), photograph[:256, :256])
    return folder


def run(artifacts: Path, data: Path, folder: Path, *words: str) -> int:
    readme = folder / "README.md"
    if not readme.exists():
        readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    places = ["--artifacts", artifacts, "--data", data, "--out", folder / "vacc.json", "--readme", readme]
    return main(["vacc", *map(str, places), *words])


def test_float_and_int8_in_the_document_s_columns(
    artifacts: Path, collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(artifacts, collection, tmp_path) == 0
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    for title in ("DIV2K, LR by OpenCV INTER_AREA", "DIV2K, LR by MATLAB bicubic"):
        assert f"**{title}**, protocol `div2k-128`, 2 images of DIV2K:" in text
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "espcn_x4" in line]
    assert [line[0] for line in lines] == ["espcn_x4", "espcn_x4 **int8-ptq-minmax**"] * 2
    # 2 and 20/9 per multiply-accumulate; LR of a quarter of 256 pixels; luma.
    assert {(*line[1:4], line[6]) for line in lines} == {("0.807", "0.897", "0.025", "1x64x64")}
    assert "espcn_x4" in capsys.readouterr().out
    found = read_vacc(tmp_path / "vacc.json")
    assert found is not None
    for area, cubic in zip(*found.tables.values(), strict=True):
        assert area.psnr_db != cubic.psnr_db


def test_figures_are_of_rgb_over_the_whole_frame(artifacts: Path, collection: Path, tmp_path: Path) -> None:
    assert run(artifacts, collection, tmp_path) == 0
    found = read_vacc(tmp_path / "vacc.json")
    assert found is not None
    row = found.tables["DIV2K, LR by OpenCV INTER_AREA"][0]
    expected = []
    from octopix.images import Picture
    from octopix.restore import Restorer

    restorer = Restorer(artifacts / "espcn_x4" / "float32.tflite")
    for name in PHOTOGRAPHS:
        truth = cv2.imread(str(collection / "DIV2K_valid_crop256" / name))[..., ::-1]
        low = cv2.resize(np.ascontiguousarray(truth), (64, 64), interpolation=cv2.INTER_AREA)
        error = restorer.restore(Picture(low)).pixels.astype(float) - truth
        expected.append(10 * np.log10(255**2 / np.mean(error**2)))
    assert row.psnr_db == pytest.approx(np.mean(expected), abs=1e-9)  # the same sums in another order


def test_other_models_keep_their_figures(artifacts: Path, collection: Path, tmp_path: Path) -> None:
    assert run(artifacts, collection, tmp_path) == 0
    path = tmp_path / "vacc.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    for rows in raw["tables"].values():
        rows.append(rows[0] | {"model": "abpn_x2"})
    path.write_text(json.dumps(raw))
    assert run(artifacts, collection, tmp_path) == 0
    found = read_vacc(path)
    assert found is not None
    assert {row.model for rows in found.tables.values() for row in rows} == {"abpn_x2", "espcn_x4"}
    assert "abpn_x2" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_quick_updates_nothing(
    artifacts: Path, collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(artifacts, collection, tmp_path, "--quick") == 0
    assert "not for figures" in capsys.readouterr().out
    assert not (tmp_path / "vacc.json").exists()
    assert "old" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_what_is_missing_or_damaged_is_named(
    artifacts: Path, collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "T91").mkdir()
    assert run(artifacts, tmp_path, tmp_path) == 2
    assert "expected DIV2K_valid_crop256 or DIV2K_valid_HR" in capsys.readouterr().err
    (tmp_path / "vacc.json").write_text('{"version": 7}')
    assert run(artifacts, collection, tmp_path) == 2
    assert "got version 7" in capsys.readouterr().err
