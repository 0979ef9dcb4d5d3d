"""FID between folders, by a stand-in for Inception of known features: the mean red, green and blue in [-1, 1]."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.fid import INCEPTION_VARIABLE, fid
from octopix.errors import DataError, ImageError, ModelFileError

SIDE = 16

Convert = Callable[..., bytes]


@pytest.fixture(scope="module")
def means(to_tflite: Convert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Network of 16×16 RGB to its three mean values."""
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input((SIDE, SIDE, 3)), tf_keras.layers.GlobalAveragePooling2D()])
    path = tmp_path_factory.mktemp("network") / "means.tflite"
    path.write_bytes(to_tflite(model, size=(SIDE, SIDE)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, *pictures: Sequence[int] | np.ndarray) -> Path:
        """Folder of ``pictures``: arrays, RGB or grey, or one RGB colour for a flat one."""
        (tmp_path / name).mkdir()
        for number, picture in enumerate(pictures):
            pixels = np.asarray(picture, np.uint8)
            pixels = np.tile(pixels, (30, 20, 1)) if pixels.ndim == 1 else pixels
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
        return tmp_path / name

    return make


# Features are float32 near 1, with 1e-7 of rounding each; the distances below are near 1.
AGREES = 1e-5


def test_the_distance_of_two_known_sets(means: Path, folder: Callable[..., Path]) -> None:
    """Black and red against two reds: only the first feature differs, so variances of one dimension are left."""
    a, b = folder("a", (0, 0, 0), (255, 0, 0)), folder("b", (255, 0, 0), (204, 0, 0))
    red_a, red_b = np.array([-1, 1]), np.array([1, 0.6])
    # 0.8² for the means, and (√2 - 0.4/√2)² = 1.28
    expected = (red_a.mean() - red_b.mean()) ** 2 + (red_a.std(ddof=1) - red_b.std(ddof=1)) ** 2
    found = fid(a, b, means)
    assert found.distance == pytest.approx(expected, abs=AGREES)
    assert (found.images, found.dimensions) == ((2, 2), 3)


def test_a_folder_against_itself_is_zero(means: Path, folder: Callable[..., Path]) -> None:
    a = folder("a", (10, 20, 30), (200, 100, 50), (0, 255, 0), (1, 2, 3))
    assert fid(a, a, means).distance == pytest.approx(0, abs=AGREES)


def test_grey_pictures_count_as_three_equal_channels_and_sizes_may_differ(
    means: Path, folder: Callable[..., Path]
) -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    grey = [np.tile(ramp[:, None], (1, 48)), np.full((20, 90), 77, np.uint8)]
    found = fid(folder("a", *grey), folder("b", *(np.dstack([each] * 3) for each in grey)), means)
    assert found.distance == pytest.approx(0, abs=AGREES)


def test_more_images_than_features_are_wanted(means: Path, folder: Callable[..., Path]) -> None:
    colours = [(0, 0, 0), (9, 0, 200), (99, 255, 7), (60, 60, 255)]
    four, three = folder("four", *colours), folder("three", *colours[:3])
    assert fid(four, three, means).biased
    assert not fid(four, four, means).biased


def test_each_image_is_reported(means: Path, folder: Callable[..., Path]) -> None:
    seen: list[int] = []
    fid(folder("a", (0, 0, 0), (9, 9, 9)), folder("b", *[(5, 5, 5)] * 3), means, advance=lambda: seen.append(1))
    assert len(seen) == 5


@pytest.mark.parametrize("pictures", [[], [(1, 2, 3)]])
def test_a_folder_with_too_few_images_is_named(
    means: Path, folder: Callable[..., Path], pictures: list[tuple[int, int, int]]
) -> None:
    good, poor = folder("good", (0, 0, 0), (9, 9, 9)), folder("poor", *pictures)
    with pytest.raises(DataError, match=f"at least 2 images at {poor}, got {len(pictures)} images"):
        fid(good, poor, means)
    with pytest.raises(DataError, match="got no folder"):
        fid(good / "nowhere", good, means)


def test_a_damaged_image_is_named(means: Path, folder: Callable[..., Path]) -> None:
    a = folder("a", (0, 0, 0), (9, 9, 9))
    (a / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"1\.png"):
        fid(a, a, means)


@pytest.mark.parametrize("kind", ["picture to picture", "one channel", "int8"])
def test_another_network_is_refused(kind: str, to_tflite: Convert, folder: Callable[..., Path], tmp_path: Path) -> None:
    import tf_keras

    pool: list[Any] = [] if kind == "picture to picture" else [tf_keras.layers.GlobalAveragePooling2D()]
    channels = 1 if kind == "one channel" else 3
    model = tf_keras.Sequential([tf_keras.Input((SIDE, SIDE, channels)), tf_keras.layers.Conv2D(3, 1), *pool])
    path = tmp_path / "other.tflite"
    path.write_bytes(to_tflite(model, size=(SIDE, SIDE), int8=kind == "int8"))
    a = folder("a", (0, 0, 0), (9, 9, 9))
    with pytest.raises(ModelFileError, match="float32 1xHxWx3 to float32 1xD"):
        fid(a, a, path)


def test_the_command_prints_the_figure_and_that_it_is_biased(
    means: Path, folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = folder("a", (0, 0, 0), (255, 0, 0)), folder("b", (255, 0, 0), (204, 0, 0))
    assert main(["fid", str(a), str(b), "--inception", str(means)]) == 0
    first, second, *_, last = capsys.readouterr().out.splitlines()
    assert float(first.removeprefix("FID ")) == pytest.approx(0.64 + 1.28, abs=AGREES)  # as above
    assert second == "images 2 and 2, 3 features of means.tflite"
    assert last.startswith("warning: biased, too high: 2 images cannot fill 3 dimensions")


def test_json_alone_is_on_stdout_and_the_network_comes_from_the_environment(
    means: Path, folder: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INCEPTION_VARIABLE, str(means))
    a = folder("a", (0, 0, 0), (9, 0, 200), (99, 255, 7), (60, 60, 255))
    assert main(["fid", str(a), str(a), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["distance"] == pytest.approx(0, abs=AGREES)
    assert (told["images"], told["dimensions"], told["biased"]) == ([4, 4], 3, False)
    assert len(told["graph_sha256"]) == 64


def test_without_a_network_the_command_that_makes_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(INCEPTION_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["fid", "a", "b"]) == 2
    complaint = capsys.readouterr().err
    assert "1x299x299x3 RGB in [-1, 1] to 1x2048 pooled features" in complaint
    assert "python -m quantize inception" in complaint
