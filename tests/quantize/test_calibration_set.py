from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octopix.errors import DataError
from octopix.images import Picture, write_picture
from quantize.calibration_set import calibration_set
from train.data.degradations import network_pair
from train.data.sources import ImageRef, ImageSet, images_for, locate
from train.models import find_model

SPEC = find_model("espcn_x4")


def _images(*pictures: Any) -> ImageSet:
    refs = tuple(ImageRef(f"{number}.png", lambda picture=each: picture) for number, each in enumerate(pictures))
    return ImageSet("set", "a set of the test's", refs)


def _noise(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_builtin_photographs_give_all_crops_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCTOPIX_DATA", raising=False)
    images = images_for(locate(None), "calibrate")
    first, second = calibration_set(images, SPEC), calibration_set(images, SPEC)
    assert [crop.shape for crop in first.crops] == [(1, 128, 128, 1)] * len(first)
    assert len(first) >= 8 * len(images)  # each image, turned and mirrored
    assert first.source == "builtin-calibrate"
    assert first.sha256() == second.sha256()
    assert first.sha256() != calibration_set(images, SPEC, count=16).sha256()


def test_crops_are_what_the_network_will_meet() -> None:
    picture = _noise(512, 512)
    (crop,) = calibration_set(_images(picture), SPEC, count=1).crops
    lr, _ = network_pair(picture, scale=4, channels="y")
    np.testing.assert_array_equal(crop[0], lr)
    (image,) = calibration_set(_images(picture), SPEC, count=1).images()
    assert image.dtype == np.float32
    np.testing.assert_array_equal(np.round(image * 255), crop)


def test_a_large_picture_gives_different_crops_before_any_is_turned() -> None:
    crops = calibration_set(_images(_noise(1024, 1024)), SPEC, count=4).crops
    assert len({crop.tobytes() for crop in crops}) == 4
    means = sorted(crop.tobytes() for crop in crops)
    lr, _ = network_pair(_noise(1024, 1024), scale=4, channels="y")
    assert means == sorted(lr[y : y + 128, x : x + 128].tobytes() for y in (0, 128) for x in (0, 128))


def test_many_pictures_are_drawn_from_evenly() -> None:
    shades = [_noise(512, 512, seed=number) for number in range(20)]
    crops = calibration_set(_images(*shades), SPEC, count=3).crops
    expected = [network_pair(shades[number], scale=4, channels="y")[0].tobytes() for number in (0, 9, 19)]
    assert [crop.tobytes() for crop in crops] == expected


def test_small_pictures_are_mirrored_to_the_size_of_a_crop() -> None:
    picture = _noise(120, 200)
    (crop,) = calibration_set(_images(picture), SPEC, count=1).crops
    lr, _ = network_pair(picture, scale=4, channels="y")
    np.testing.assert_array_equal(crop[0, :30, :50], lr)
    np.testing.assert_array_equal(crop[0, 30:60, :50], lr[::-1])


def test_a_wide_receptive_field_gets_larger_and_fewer_crops_as_far_as_the_pictures_reach() -> None:
    images = _images(*[_noise(1600, 1200, seed=number) for number in range(4)])
    crops = calibration_set(images, SPEC, receptive_field=250).crops
    assert [crop.shape for crop in crops] == [(1, 250, 250, 1)] * 16  # 64 of 128 pixels squared have the same area
    crops = calibration_set(images, SPEC, receptive_field=547).crops
    assert [crop.shape for crop in crops] == [(1, 300, 300, 1)] * 11  # 1200 / 4 pixels; and 16 x 250² / 300²
    crops = calibration_set(images, find_model("resnet50_x4"), receptive_field=547).crops
    assert {crop.shape for crop in crops} == {(1, 288, 288, 3)}  # 300 down to a multiple of 32


def test_a_window_of_each_crop_is_looked_at_that_still_shows_the_network_its_field() -> None:
    images = _images(_noise(1024, 1024))
    found = calibration_set(images, SPEC, count=4, receptive_field=17)
    assert [each.shape for each in found.windows()] == [(1, 96, 96, 1)] * 4
    for window, again, crop in zip(found.windows(), found.windows(), found.crops, strict=True):
        assert np.array_equal(window, again)
        places = np.lib.stride_tricks.sliding_window_view(crop[0, ..., 0], (96, 96))
        assert np.any(np.all(places == window[0, ..., 0], axis=(2, 3)))
    wide = calibration_set(images, SPEC, count=4, receptive_field=110)
    assert {each.shape for each in wide.windows()} == {(1, 110, 110, 1)}
    beyond = calibration_set(images, SPEC, count=4, receptive_field=400)
    assert {each.shape for each in beyond.windows()} == {each.shape for each in beyond.crops}


def test_flat_pictures_are_left_out_and_only_flat_ones_are_an_error() -> None:
    flat = np.full((512, 512, 3), 90, np.uint8)
    crops = calibration_set(_images(flat, _noise(512, 512)), SPEC, count=4).crops
    assert all(crop.min() < crop.max() for crop in crops)
    with pytest.raises(DataError, match=r"detail in a set of the test's.*1 crops of one flat colour"):
        calibration_set(_images(flat), SPEC)


def test_no_picture_is_an_error() -> None:
    with pytest.raises(DataError, match="calibration images in a set of the test's, got none"):
        calibration_set(_images(), SPEC)


def test_a_folder_of_the_users_serves_with_its_calibration_quarter(tmp_path: Path) -> None:
    for number in range(8):
        write_picture(tmp_path / f"{number}.png", Picture(_noise(512, 512, seed=number)))
    found = calibration_set(images_for(locate(tmp_path), "calibrate"), SPEC, count=2)
    expected = [network_pair(_noise(512, 512, seed=number), scale=4, channels="y")[0] for number in (1, 5)]
    np.testing.assert_array_equal(np.concatenate(found.crops), expected)
