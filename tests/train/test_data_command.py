from pathlib import Path

import numpy as np
import pytest
from skimage import data

from octopix.images import Picture, write_picture
from train.data.__main__ import main
from train.data.hevc import compress_i420, crop_for_qecnn
from train.data.yuv import read_i420, to_i420

PHOTOS = (data.coffee(), np.rot90(data.rocket()))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, photo in enumerate(PHOTOS):
        write_picture(tmp_path / "photos" / f"{number}.png", Picture(np.ascontiguousarray(photo)))
    return tmp_path / "photos"


def test_a_folder_becomes_raw_video_and_its_compressed_twin(photos, tmp_path, capsys):
    out, twin = tmp_path / "BSD500train.yuv", tmp_path / "BSD500train_hevc.yuv"
    assert main(["yuv", str(photos), str(out), "--compressed", str(twin)]) == 0
    assert capsys.readouterr().out == f"{out}: 2 frames\n{twin}: 2 frames\n"
    frames = [to_i420(crop_for_qecnn(photo)) for photo in PHOTOS]
    assert np.array_equal(read_i420(out), frames)
    assert np.array_equal(read_i420(twin), compress_i420(frames))


@pytest.mark.parametrize("content", [b"no picture", None], ids=["damaged", "small"])
def test_an_image_that_cannot_serve_is_named_and_skipped_on_request(photos, tmp_path, capsys, content):
    if content:
        (photos / "00.png").write_bytes(content)
    else:
        write_picture(photos / "00.png", Picture(PHOTOS[0][:319]))
    words = ["yuv", str(photos), str(tmp_path / "BSD500.yuv")]
    assert main(words) == 2
    assert "00.png" in capsys.readouterr().err
    assert not (tmp_path / "BSD500.yuv").exists()
    assert main([*words, "--skip-damaged"]) == 0
    assert capsys.readouterr().err.startswith("left out: 00.png: ")
    assert len(read_i420(tmp_path / "BSD500.yuv")) == 2


def test_a_folder_without_images_is_an_error(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none"):
        assert main(["yuv", str(tmp_path / name), str(tmp_path / "a.yuv")]) == 2
    assert capsys.readouterr().err.count("error: expected") == 2


def test_sets_are_listed_with_what_is_known_of_them(capsys):
    assert main(["sets"]) == 0
    listed = capsys.readouterr().out
    for words in ("div2k ", "bsds500 ", "set5 ", "set14 ", "sha256:9d0b9c46", "no checksum", "terms: "):
        assert words in listed


def test_an_unknown_set_is_refused(tmp_path, capsys):
    assert main(["download", "imagenet", "--to", str(tmp_path)]) == 2
    assert "a set (div2k, bsds500, set5, set14), got 'imagenet'" in capsys.readouterr().err
