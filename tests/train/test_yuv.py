import errno
import os
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from octopix.errors import DataError, ImageError, OctopixError
from octopix.metrics import psnr
from train.data.yuv import (
    BSD_SIZE,
    FrameSize,
    read_i420,
    read_twins,
    size_from_name,
    to_i420,
    to_rgb,
    write_i420,
)

PHOTO = data.coffee()[:32, :48]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("clip_48x32.yuv", FrameSize(48, 32)),
        ("2x2_of_BSD500_640X480.yuv", FrameSize(640, 480)),
        ("BSD500train.yuv", BSD_SIZE),
        ("BSD 500 test.yuv", BSD_SIZE),
        ("BSDS500val_hevc.yuv", BSD_SIZE),
    ],
)
def test_the_name_states_the_size(name, size):
    assert size_from_name(Path(name)) == size


@pytest.mark.parametrize(("name", "complaint"), [("clip.yuv", "does not hold"), ("a_47x32.yuv", "even")])
def test_a_name_without_a_usable_size_is_refused(name, complaint):
    with pytest.raises(DataError, match=complaint):
        size_from_name(Path(name))


@pytest.mark.parametrize("size", [(47, 32), (48, 31), (0, 2), (-2, 2)])
def test_odd_sizes_are_refused(size):
    with pytest.raises(DataError, match="even width and height"):
        FrameSize(*size)


def test_frames_come_back_as_they_were_written(tmp_path):
    frames = [to_i420(PHOTO), to_i420(PHOTO[::-1])]
    write_i420(tmp_path / "clip_48x32.yuv", frames)
    assert (tmp_path / "clip_48x32.yuv").stat().st_size == 2 * 48 * 32 * 3 // 2
    assert np.array_equal(read_i420(tmp_path / "clip_48x32.yuv"), frames)
    assert np.array_equal(read_i420(tmp_path / "clip_48x32.yuv", FrameSize(48, 32), frames=2), frames)


def test_planes_lie_in_the_order_of_i420():
    blue = to_i420(np.tile(np.uint8([0, 0, 255]), (4, 8, 1))).reshape(-1)
    # BT.601 studio swing: blue has Y 41, Cb 240, Cr 110.
    assert np.split(blue, [32, 40])[0].tolist() == [41] * 32
    assert blue[32:40].tolist() == [240] * 8
    assert blue[40:].tolist() == [110] * 8


def test_a_photograph_survives_i420():
    assert to_rgb(to_i420(PHOTO)).shape == PHOTO.shape
    # Chroma at half size costs about this much; swapped planes or colours would leave less than 20 dB.
    assert psnr(to_rgb(to_i420(PHOTO)), PHOTO) > 30


@pytest.mark.parametrize(
    ("bytes_more", "options", "complaint"),
    [
        (-1, {}, "2,303 bytes, 1.00 frames"),
        (100, {}, "whole frames of 48x32, 2,304 bytes each"),
        (-2304, {}, "0 bytes"),
        (0, {"frames": 2}, "2 frames of 48x32"),
        (0, {"size": FrameSize(48, 64)}, "0.50 frames"),
    ],
)
def test_a_file_of_another_size_is_refused(tmp_path, bytes_more, options, complaint):
    (tmp_path / "a_48x32.yuv").write_bytes(bytes(2304 + bytes_more))
    with pytest.raises(DataError, match=complaint):
        read_i420(tmp_path / "a_48x32.yuv", **options)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no_48x32\.yuv"):
        read_i420(tmp_path / "no_48x32.yuv")


def test_twins_must_have_the_same_frames(tmp_path):
    write_i420(tmp_path / "good_48x32.yuv", [to_i420(PHOTO)] * 2)
    write_i420(tmp_path / "poor.yuv", [to_i420(PHOTO)] * 2)
    poor, good = read_twins(tmp_path / "good_48x32.yuv", tmp_path / "poor.yuv")
    assert np.array_equal(poor, good)
    write_i420(tmp_path / "poor.yuv", [to_i420(PHOTO)])
    with pytest.raises(DataError, match="expected 2 frames of 48x32"):
        read_twins(tmp_path / "good_48x32.yuv", tmp_path / "poor.yuv")


def test_frames_of_several_sizes_or_none_are_not_written(tmp_path):
    for frames, complaint in (([], "no frame"), ([to_i420(PHOTO), to_i420(PHOTO[:30])], "2 sizes")):
        with pytest.raises(DataError, match=complaint):
            write_i420(tmp_path / "a.yuv", frames)
    with pytest.raises(ImageError, match="I420 frame"):
        write_i420(tmp_path / "a.yuv", [PHOTO])
    assert not list(tmp_path.iterdir())


def test_pictures_that_are_no_rgb_bytes_are_refused():
    with pytest.raises(ImageError, match="of uint8"):
        to_i420(PHOTO[..., :1])
    with pytest.raises(DataError, match="got 47x32"):
        to_i420(PHOTO[:, :47])


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    class Full:
        shape = (48, 48)
        ndim = 2
        dtype = np.dtype(np.uint8)

        def __array__(self, *_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OctopixError, match="No space left"):
        write_i420(tmp_path / "a.yuv", [Full()])
    assert not list(tmp_path.iterdir())
