from pathlib import Path

import numpy as np
import pytest

from octopix.errors import DataError, ImageError
from octopix.images import Picture, write_picture
from train.data.damage import usable
from train.data.pairs import paired_folder, paired_videos, pairs_for, split_picture
from train.data.yuv import to_i420, to_rgb, write_i420

RANDOM = np.random.default_rng(0)


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(pixels))
    return pixels


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """hr/ and lr/ with five pairs of scale 2."""
    for number in range(5):
        write(tmp_path / "hr" / f"{number}.png", picture(16, 24))
        write(tmp_path / "lr" / f"{number}.png", picture(8, 12))
    return tmp_path


@pytest.fixture
def side_by_side(tmp_path: Path) -> Path:
    for number in range(5):
        write(tmp_path / f"{number}.png", picture(8, 16))
    return tmp_path


@pytest.mark.parametrize("names", [("hr", "lr"), ("good", "poor"), ("HR", "LR")])
def test_twins_are_found_by_name(tmp_path, names):
    good = write(tmp_path / names[0] / "in" / "a.png", picture(6, 8))
    poor = write(tmp_path / names[1] / "in" / "a.bmp", picture(3, 4))
    (pair,) = paired_folder(tmp_path, scale=2)
    assert pair.name == "in/a"
    assert all(np.array_equal(got, want) for got, want in zip(pair.read(), (poor, good), strict=True))


def test_a_side_by_side_picture_is_good_on_the_left(side_by_side):
    whole = write(side_by_side / "0.png", picture(8, 16))
    poor, good = paired_folder(side_by_side)[0].read()
    assert np.array_equal(good, whole[:, :8])
    assert np.array_equal(poor, whole[:, 8:])


def test_pairs_serve_one_purpose_each_in_the_networks_channels(twins):
    sets = {
        purpose: pairs_for([twins], purpose, scale=2, channels="y") for purpose in ("train", "validate", "calibrate")
    }
    assert {purpose: [ref.name for ref in each.refs] for purpose, each in sets.items()} == {
        "train": ["0", "4"],
        "calibrate": ["1"],
        "validate": ["3"],
    }
    assert [pixels.shape for pixels in sets["train"].refs[0].read()] == [(8, 12, 1), (16, 24, 1)]
    with pytest.raises(ValueError, match="only for train, validate, calibrate"):
        pairs_for([twins], "test")


def test_a_grey_twin_of_a_coloured_one_becomes_rgb(twins):
    write(twins / "lr" / "0.png", picture(8, 12, 1))
    assert [pixels.shape for pixels in paired_folder(twins, scale=2)[0].read()] == [(8, 12, 3), (16, 24, 3)]


def test_raw_videos_are_pairs_of_frames(tmp_path):
    good, poor = [to_i420(picture(32, 48)) for _ in range(4)], [to_i420(picture(32, 48)) for _ in range(4)]
    write_i420(tmp_path / "good_48x32.yuv", good)
    write_i420(tmp_path / "poor.yuv", poor)
    paths = [tmp_path / "good_48x32.yuv", tmp_path / "poor.yuv"]
    refs = paired_videos(*paths)
    assert [ref.name for ref in refs][2:] == ["good_48x32.yuv frame 2", "good_48x32.yuv frame 3"]
    assert np.array_equal(refs[3].read()[0], to_rgb(poor[3]))
    assert np.array_equal(refs[3].read()[1], to_rgb(good[3]))
    assert len(pairs_for(paths, "train")) == 1


def test_unequal_sizes_are_named(twins):
    write(twins / "lr" / "3.png", picture(8, 11))
    with pytest.raises(ImageError, match=r"good twin of 22x16.*hr/3\.png: 24x16"):
        paired_folder(twins, scale=2)[3].read()


@pytest.mark.parametrize("width", [15, 1])
def test_an_odd_width_is_named(side_by_side, width):
    write(side_by_side / "2.png", picture(8, width))
    with pytest.raises(ImageError, match=rf"even width, got 2\.png: {width} pixels"):
        paired_folder(side_by_side)[2].read()


def test_empty_and_tiny_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="got none"):
        paired_folder(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        paired_folder(tmp_path / "no")
    (tmp_path / "hr").mkdir()
    (tmp_path / "lr").mkdir()
    with pytest.raises(DataError, match="got no picture"):
        paired_folder(tmp_path)
    for name in ("a", "b", "c"):
        write(tmp_path / "tiny" / f"{name}.png", picture(4, 8))
    with pytest.raises(DataError, match="at least 4 pairs"):
        pairs_for([tmp_path / "tiny"], "train")


def test_twins_without_a_partner_or_with_two_are_refused(twins):
    write(twins / "hr" / "9.png", picture(16, 24))
    with pytest.raises(DataError, match="1 without a partner, such as 9"):
        paired_folder(twins, scale=2)
    write(twins / "hr" / "0.bmp", picture(16, 24))
    with pytest.raises(DataError, match=r"0\.bmp and 0\.png"):
        paired_folder(twins, scale=2)


def test_side_by_side_pictures_are_not_for_enlarging(side_by_side):
    with pytest.raises(DataError, match="side-by-side pictures are for scale 1"):
        paired_folder(side_by_side, scale=2)


def test_a_damaged_image_is_named_and_left_out_on_request_only(side_by_side):
    whole = (side_by_side / "1.png").read_bytes()
    (side_by_side / "1.png").write_bytes(whole[:90])
    refs = paired_folder(side_by_side)
    with pytest.raises(ImageError, match=r"1\.png"):
        [ref.read() for ref in refs]
    told: list[str] = []
    assert [ref.name for ref in usable(refs, tell=told.append)] == ["0.png", "2.png", "3.png", "4.png"]
    assert len(told) == 1
    assert told[0].startswith("left out: 1.png: ")


def test_nothing_usable_is_an_error(side_by_side):
    for path in side_by_side.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of 5"):
        usable(paired_folder(side_by_side), tell=lambda _: None)


def test_more_than_two_sources_are_refused(tmp_path):
    with pytest.raises(DataError, match="got 3 paths"):
        pairs_for([tmp_path] * 3, "train")


def test_a_picture_splits_in_the_middle():
    whole = picture(128, 256)
    poor, good = split_picture(whole)
    assert np.array_equal(np.hstack([good, poor]), whole)
