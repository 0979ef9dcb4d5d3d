from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from octopix.errors import DataError
from octopix.images import Picture, write_picture
from train.data.sources import committed_list, images_for, locate
from train.data.test_sets import test_sets as sets_for_testing

PURPOSES = ("train", "validate", "calibrate", "test")


def photographs(folder: Path, count: int) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        write_picture(folder / f"{number:02}.png", Picture(pixels))
    return folder


@pytest.mark.parametrize("kind", ["collection", "builtin"])
def test_no_image_serves_two_purposes(kind):
    lists = {purpose: set(committed_list(kind, purpose)) for purpose in PURPOSES}
    assert all(lists.values())
    assert len(set().union(*lists.values())) == sum(map(len, lists.values()))


def test_b100_and_the_published_sets_are_test_only():
    used = [name for purpose in ("train", "validate", "calibrate") for name in committed_list("collection", purpose)]
    assert not [name for name in used if name.startswith(("BSDS500/val", "Set5", "Set14", "DIV2K", "published"))]
    assert sum(name.startswith("BSDS500/val") for name in committed_list("collection", "test")) == 100


def test_builtin_photographs_need_no_download_and_no_folder():
    home = locate(None)
    assert home.kind == "builtin"
    for purpose in ("train", "validate", "calibrate"):
        for ref in images_for(home, purpose).refs:
            assert ref.read().dtype == np.uint8
    assert [ref.name for ref in sets_for_testing(home)[0].refs] == [
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "rocket.jpg",
    ]


def test_a_plain_folder_is_divided_in_quarters(tmp_path):
    home = locate(photographs(tmp_path, 9))
    parts = {purpose: [ref.name for ref in images_for(home, purpose).refs] for purpose in PURPOSES[:3]}
    parts["test"] = [ref.name for ref in sets_for_testing(home)[0].refs]
    assert home.kind == "folder"
    assert parts["train"] == ["00.png", "04.png", "08.png"]
    assert sorted(chain(*parts.values())) == [f"{number:02}.png" for number in range(9)]


def test_octopix_data_is_used_and_an_explicit_folder_wins(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("OCTOPIX_DATA", str(photographs(tmp_path / "a", 4)))
    assert locate(None).root == tmp_path / "a"
    assert locate(photographs(tmp_path / "b", 4)).root == tmp_path / "b"


def test_a_collection_is_recognised_by_its_folders(tmp_path):
    for name in committed_list("collection", "validate")[:1] + committed_list("collection", "test")[:5]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture((tmp_path / name).with_suffix(".png"), Picture(np.zeros((8, 8, 3), np.uint8)))
    home = locate(tmp_path)
    assert home.kind == "collection"
    assert [each.name for each in sets_for_testing(home)] == ["Set5"]
    with pytest.raises(DataError, match="as the committed list says"):
        images_for(home, "train")


@pytest.mark.parametrize(("count", "complaint"), [(0, "got none"), (3, "at least 4 images")])
def test_a_folder_too_small_is_refused(tmp_path, count, complaint):
    with pytest.raises(DataError, match=complaint):
        images_for(locate(photographs(tmp_path, count)), "train")


def test_a_misspelt_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        locate(tmp_path / "phtoos")


def test_sixteen_bit_images_are_read_as_eight(tmp_path):
    photographs(tmp_path, 4)
    write_picture(tmp_path / "00.png", Picture(np.full((12, 16, 3), 257 * 9, np.uint16)))
    assert np.unique(images_for(locate(tmp_path), "train").refs[0].read()).tolist() == [9]
