from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from octopix.errors import DataError, ImageError
from octopix.images import Picture, write_picture
from train.data.degradations import degraded
from train.data.sources import LISTS, committed_list, image_files, images_for, locate
from train.data.test_sets import test_sets as sets_for_testing

USED = ("train", "validate", "calibrate")
PURPOSES = (*USED, "test")


def photographs(folder: Path, count: int) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        write_picture(folder / f"{number:02}.png", Picture(pixels))
    return folder


def write_listed(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(folder / name, Picture(np.zeros((8, 8, 3), np.uint8)))


@pytest.mark.parametrize("lists", ["collection", "builtin", "bsds500", "div2k"])
def test_no_image_serves_two_purposes(lists):
    named = {purpose: set(committed_list(lists, purpose)) for purpose in USED}
    assert all(named.values())
    assert len(set().union(*named.values())) == sum(map(len, named.values()))
    assert not set().union(*named.values()) & kept_for_testing()


def kept_for_testing() -> set[str]:
    """Every image that any committed list keeps for testing."""
    return {name for file in LISTS.glob("*.test.txt") for name in committed_list(file.name.partition(".")[0], "test")}


def test_b100_and_the_published_sets_are_test_only():
    files = [file for file in LISTS.glob("*.txt") if ".test." not in file.name]
    used = [name for file in files for name in committed_list(*file.name.split(".")[:2])]
    assert len(files) == 4 * len(USED)
    assert not [name for name in used if name.startswith(("BSDS500/val", "Set5", "Set14", "DIV2K_valid", "published"))]
    assert sum(name.startswith("BSDS500/val") for name in kept_for_testing()) == 100


def test_the_hevc_protocol_trains_on_bsds500_train_alone():
    assert {name.rpartition("/")[0] for name in committed_list("bsds500", "train")} == {"BSDS500/train"}
    assert len(committed_list("bsds500", "train")) == 200
    for purpose in ("validate", "calibrate"):
        assert {name.rpartition("/")[0] for name in committed_list("bsds500", purpose)} == {"BSDS500/test"}


def test_a_collection_is_divided_by_the_lists_asked_for(tmp_path):
    write_listed(tmp_path, committed_list("bsds500", "calibrate"))
    images = images_for(locate(tmp_path), "calibrate", lists="bsds500")
    assert (images.name, images.title) == ("bsds500-calibrate", "BSDS500, calibrate list")
    assert [ref.name for ref in images.refs] == list(committed_list("bsds500", "calibrate"))


def test_the_set_that_is_there_serves_before_the_built_in_photographs(tmp_path):
    write_listed(tmp_path, committed_list("div2k", "validate"))
    images = images_for(locate(tmp_path), "validate")
    assert images.name == "div2k-validate"
    assert images.title == "DIV2K, validate list (the collection lacks CID22, FreePhotos)"


def test_builtin_photographs_need_no_download_and_no_folder():
    home = locate(None)
    assert home.kind == "builtin"
    for purpose in ("train", "validate", "calibrate"):
        for ref in images_for(home, purpose).refs:
            assert ref.read().dtype == np.uint8
    assert [ref.name for ref in sets_for_testing(home, degradation="bicubic")[0].refs] == [
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "rocket.jpg",
    ]


def test_a_plain_folder_is_divided_in_quarters(tmp_path):
    home = locate(photographs(tmp_path, 9))
    parts = {purpose: [ref.name for ref in images_for(home, purpose).refs] for purpose in USED}
    parts["test"] = [ref.name for ref in sets_for_testing(home, degradation="bicubic")[0].refs]
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
    write_listed(tmp_path, committed_list("collection", "validate"))
    write_listed(tmp_path, committed_list("collection", "test")[:5])
    home = locate(tmp_path)
    assert home.kind == "collection"
    assert [each.name for each in sets_for_testing(home, degradation="bicubic")] == ["Set5"]
    assert images_for(home, "validate").name == "collection-validate"
    assert images_for(home, "validate").title == "data collection, validate list"
    (tmp_path / committed_list("collection", "validate")[-1]).unlink()
    with pytest.raises(DataError, match="as the committed list says"):
        images_for(home, "validate")


def test_a_collection_of_test_sets_only_is_no_plain_folder(tmp_path):
    """Its test images must serve no choice: what the lists lack comes from the built-in photographs."""
    write_listed(tmp_path, committed_list("collection", "test"))
    home = locate(tmp_path)
    assert home.kind == "collection"
    assert [each.name for each in sets_for_testing(home, degradation="bicubic")] == ["Set5", "Set14", "BSDS500-val"]
    for purpose in USED:
        images = images_for(home, purpose)
        assert [ref.name for ref in images.refs] == list(committed_list("builtin", purpose))
        assert images.name == f"builtin-{purpose}"
        assert "the collection lacks" in images.title
        assert "CID22, FreePhotos" in images.title


def test_test_images_are_refused_at_run_time():
    with pytest.raises(ValueError, match="only for train, validate, calibrate"):
        images_for(locate(None), "test")


def test_hidden_files_are_no_images(tmp_path):
    photographs(tmp_path, 4)
    for name in ("._00.png", ".part-x.png", ".thumbnails/00.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    assert [path.name for path in image_files(tmp_path)] == ["00.png", "01.png", "02.png", "03.png"]


def test_an_image_that_cannot_serve_is_named(tmp_path):
    photographs(tmp_path, 4)
    write_picture(tmp_path / "00.png", Picture(np.zeros((3, 16, 3), np.uint8)))
    (tmp_path / "01.png").write_bytes((tmp_path / "02.png").read_bytes()[:90])
    home = locate(tmp_path)
    for purpose, complaint in (("train", "00.png: 3x16"), ("calibrate", "01.png")):
        with pytest.raises(ImageError, match=complaint):
            degraded(images_for(home, purpose), "bicubic", scale=4).refs[0].read()


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
