"""`octopix run` on videos, in tiles, and on many pictures at once."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from octopix.__main__ import main
from octopix.commands.progress import Progress
from octopix.images import Picture, read_picture, write_picture
from octopix.video import VideoSource, writing


@pytest.fixture
def pictures(photos: Path, tmp_path: Path) -> Path:
    """A folder of twelve small pictures that differ."""
    pixels = read_picture(photos / "chelsea.png").pixels
    for number in range(12):
        part = np.ascontiguousarray(pixels[10 * number : 10 * number + 32, :40])
        write_picture(tmp_path / "in" / f"{number:02}.png", Picture(pixels=part))
    return tmp_path / "in"


@pytest.fixture
def clip(pictures: Path, tmp_path: Path) -> Path:
    with writing(tmp_path / "clip.mkv", rate=12.5) as target:
        for path in sorted(pictures.iterdir()):
            target.put(read_picture(path))
    return tmp_path / "clip.mkv"


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, object]]:
    code = main(["run", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_videos_come_out_frame_by_frame(
    models: Mapping[str, Path], pictures: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = run(capsys, clip, "--model", models["nearest"], "--out", tmp_path / "out")
    run(capsys, pictures, "--model", models["nearest"], "--out", tmp_path / "out")

    (entry,) = report["images"]  # type: ignore[misc]
    assert code == 0
    assert (entry["frames"], entry["frames_announced"], entry["frames_per_second"]) == (12, 12, 12.5)
    assert (entry["input_size"], entry["output_size"]) == ([32, 40], [64, 80])
    with VideoSource(tmp_path / "out/clip.nearest_x2.float32.mkv") as source:
        for frame, name in zip(source, sorted(pictures.iterdir()), strict=True):
            alone = read_picture(tmp_path / f"out/{name.stem}.nearest_x2.float32.png")
            np.testing.assert_array_equal(frame.pixels, alone.pixels)


def test_tiles_are_told_and_change_nothing(
    models: Mapping[str, Path], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (pictures / "00.png", "--model", models["nearest-uint8"], "--out")
    _, whole = run(capsys, *words, tmp_path / "whole.png", "--tile", "none")
    _, tiled = run(capsys, *words, tmp_path / "tiled.png", "--tile", "16", "--threads", "2")

    assert whole["images"][0]["tiling"]["tiles"] == 1  # type: ignore[index]
    told = tiled["images"][0]["tiling"]  # type: ignore[index]
    assert (told["tiles"], told["tile"], told["exact"]) == (6, [16, 16], True)
    assert (tmp_path / "tiled.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert main(["run", *map(str, words), str(tmp_path / "tiled.png"), "--tile", "16"]) == 0
    assert "6 tiles of 16x16" in capsys.readouterr().out


def test_many_pictures_are_restored_side_by_side_into_the_same_files(
    models: Mapping[str, Path], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "05.png").write_bytes(b"no picture")
    reports = []
    for threads in ("1", "3"):
        out = tmp_path / threads
        code, report = run(capsys, pictures, "--model", models["nearest"], "--out", out, "--threads", threads)
        assert code == 2
        reports.append(report)
    alone, together = reports
    assert (alone["pictures_at_once"], together["pictures_at_once"]) == (1, 3)
    for report in reports:
        assert [Path(entry["input"]).name for entry in report["failed"]] == ["05.png"]  # type: ignore[index, attr-defined]
    names = [[Path(entry["output"]).name for entry in report["images"]] for report in reports]  # type: ignore[index, attr-defined]
    assert names[0] == names[1]
    for name in names[0]:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


@pytest.mark.parametrize("words", [("--threads", "2", "--memory", "64"), ("--threads", "7")])
def test_few_pictures_and_tight_memory_go_one_by_one(
    models: Mapping[str, Path],
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    code, report = run(capsys, pictures, "--model", models["nearest"], "--out", tmp_path / "out", *words)
    assert (code, report["pictures_at_once"]) == (0, 1)


def test_padding_is_told(models: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_picture(tmp_path / "odd.png", Picture(pixels=np.zeros((5, 4, 1), np.uint8)))

    assert main(["run", str(tmp_path / "odd.png"), "--model", str(models["even"]), "--out", str(tmp_path / "o")]) == 0
    assert "not exact" in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["in/03.png", "clip.mkv"])
def test_bad_inputs_do_not_stop_the_others(
    models: Mapping[str, Path],
    pictures: Path,
    clip: Path,
    tmp_path: Path,
    bad: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / bad).write_bytes(b"nothing")

    code, report = run(capsys, pictures, clip, "--model", models["nearest"], "--out", tmp_path / "out")

    assert code == 2
    assert [entry["input"] for entry in report["failed"]] == [str(tmp_path / bad)]  # type: ignore[attr-defined, index]
    good = [path for path in [*sorted(pictures.iterdir()), clip] if path != tmp_path / bad]
    assert [entry["input"] for entry in report["images"]] == [str(path) for path in good]  # type: ignore[attr-defined, index]
    assert len(list((tmp_path / "out").iterdir())) == len(good)  # nothing half-written


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("clip.mkv", "--out", "still.png"), "a picture of a picture"),
        (("in/00.png", "--out", "moving.mp4"), "a picture of a picture"),
        (("clip.mkv", "--out", "clip.mov"), "ends in"),
        (("clip.mkv", "--out", "clip.mkv"), "an input"),
        (("none.mp4",), "none.mp4"),
    ],
)
def test_mistakes(
    models: Mapping[str, Path],
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())

    assert main(["run", *words, "--model", str(models["nearest"])]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("words", [("--tile", "0"), ("--tile", "some"), ("--memory", "-1")])
def test_wrong_options(models: Mapping[str, Path], words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", "a.png", "--model", str(models["nearest"]), *words])


@pytest.mark.parametrize(("given", "shown"), [("in", "pictures"), ("clip.mkv", "frames of clip.mkv")])
def test_many_have_a_bar(
    models: Mapping[str, Path], pictures: Path, clip: Path, tmp_path: Path, given: str, shown: str
) -> None:
    keyboard, terminal = pty.openpty()
    words = ["run", tmp_path / given, "--model", models["nearest"], "--out", tmp_path / "out"]

    subprocess.run([sys.executable, "-m", "octopix", *words], stdout=subprocess.DEVNULL, stderr=terminal, check=True)
    os.close(terminal)

    seen = os.read(keyboard, 10_000).decode()
    os.close(keyboard)
    assert re.search(r"\[-{24}\] 0/12|\[#+-+\] \d+/12", seen)
    assert f"[{'#' * 24}] 12/12 {'11.png' if shown == 'pictures' else shown}" in seen


def test_nobody_watching_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(20)
    progress.begin(1, "a")
    progress.count(20, "b")

    assert capsys.readouterr().err == ""
