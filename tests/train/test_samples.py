"""What a user names on the command line to train on, read and refused before TensorFlow starts."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from octopix.errors import ConfigError, DataError, ImageError
from octopix.images import Picture, write_picture
from train.data.yuv import FrameSize, parse_frame_size, to_i420, write_i420
from train.models import find_family
from train.samples import Sources, members_of

PHOTOGRAPH = skimage.data.astronaut()


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(pixels))


def piece(number: int, height: int = 24, width: int = 40) -> np.ndarray:
    return PHOTOGRAPH[20 * number :][:height, 100 : 100 + width]


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:90])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twins for scale 1, 0 to 7."""
    for number in range(8):
        write(tmp_path / "pairs" / "good" / f"{number}.png", piece(number))
        write(tmp_path / "pairs" / "poor" / f"{number}.png", piece(number) // 2)
    return tmp_path / "pairs"


def members(recipe, sources: Sources, model: str = "srcnn_jpeg20"):
    told: list[str] = []
    return *members_of(find_family(model), recipe, sources, tell=told.append), told


def test_a_quarter_of_the_pairs_trains_and_another_validates(recipe, folder):
    (member,), images, told = members(recipe, Sources(pairs=(folder,)))
    assert (len(member.train), len(member.validate), told) == (2, 2, [])
    assert [pixels.shape for pixels in member.train[0]] == [(24, 40, 1)] * 2  # luma, as the network takes it
    train, validate = images.split("; ")
    assert train.startswith("pairs of pairs, train quarter, ")
    assert validate.startswith("pairs of pairs, validate quarter, ")
    assert members(recipe, Sources(pairs=(folder,)))[1] == images  # so that a stopped run goes on


def test_with_pairs_to_validate_on_all_others_train(recipe, folder, tmp_path):
    write(tmp_path / "more" / "side.png", np.hstack([piece(9), piece(9) // 2]))
    (member,), images, _ = members(recipe, Sources(pairs=(folder,), validate_pairs=(tmp_path / "more",)))
    assert (len(member.train), len(member.validate)) == (8, 1)
    assert "pairs of pairs, " in images
    assert "; pairs of more, " in images


def test_raw_videos_are_pairs(recipe, tmp_path):
    good, poor = tmp_path / "good.yuv", tmp_path / "poor.yuv"
    write_i420(good, [to_i420(piece(number)) for number in range(4)])
    write_i420(poor, [to_i420(piece(number) // 2) for number in range(4)])
    (member,), _, _ = members(recipe, Sources(pairs=(good, poor), frame_size=FrameSize(40, 24)), "qecnn_separable")
    assert [pixels.shape for pixels in member.validate[0]] == [(24, 40, 3)] * 2
    with pytest.raises(DataError, match=r"raw videos good\.yuv and poor\.yuv; .*raw videos are for scale 1"):
        members(recipe, Sources(pairs=(good, poor), frame_size=FrameSize(40, 24)), "espcn_x4")
    with pytest.raises(DataError, match=r"none in the name good\.yuv"):
        members(recipe, Sources(pairs=(good, poor)), "qecnn_separable")


def test_pairs_of_a_network_that_meets_its_input_enlarged(recipe, tmp_path):
    for number in range(4):
        write(tmp_path / "hr" / f"{number}.png", piece(number))
        write(tmp_path / "lr" / f"{number}.png", piece(number)[::2, ::2])
    (member,), _, _ = members(recipe, Sources(pairs=(tmp_path,)), "unet_x2")
    assert [pixels.shape for pixels in member.train[0]] == [(24, 40, 3)] * 2


def test_a_damaged_or_unequal_pair_ends_the_work_or_is_left_out(recipe, folder):
    spoil(folder / "poor" / "0.png")
    with pytest.raises(ImageError, match=r"0\.png"):
        members(recipe, Sources(pairs=(folder,)))
    write(folder / "poor" / "3.png", piece(3, 20))
    (member,), _, told = members(recipe, Sources(pairs=(folder,), skip_damaged=True))
    assert (len(member.train), len(member.validate)) == (1, 1)
    assert [line.split(":")[1] for line in told] == [" 0", " 3"]
    (folder / "poor" / "4.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of 2"):
        members(recipe, Sources(pairs=(folder,), skip_damaged=True))


@pytest.mark.parametrize(("model", "height", "width"), [("espcn_x4", 40, 60), ("qecnn_separable", 320, 480)])
def test_a_damaged_image_ends_the_work_or_is_left_out(recipe, tmp_path, model, height, width):
    for number in range(8):
        write(tmp_path / f"{number}.png", PHOTOGRAPH[number:][:height, :width])
    spoil(tmp_path / "4.png")
    with pytest.raises(ImageError, match=r"4\.png"):
        members(recipe, Sources(data=tmp_path), model)
    (member,), images, told = members(recipe, Sources(data=tmp_path, skip_damaged=True), model)
    assert (len(member.train), len(member.validate)) == (1, 2)
    assert len(told) == 1
    assert told[0].startswith("left out: 4.png: ")
    # A folder that is mended is another training's.
    write(tmp_path / "4.png", PHOTOGRAPH[4:][:height, :width])
    assert members(recipe, Sources(data=tmp_path, skip_damaged=True), model)[1] != images


def test_an_image_that_one_network_of_a_family_cannot_use_is_left_out_for_all(recipe, tmp_path):
    for number in range(8):
        write(tmp_path / f"{number}.png", piece(number, 40))
    write(tmp_path / "4.png", piece(4, 3, 3))  # no ×4 in it
    found, _, told = members(recipe, Sources(data=tmp_path, skip_damaged=True), "lesrcnn_blind")
    assert [len(member.train) for member in found] == [1, 1, 1]
    assert len(told) == 1


def test_pictures_too_small_for_a_patch_are_refused_at_once(recipe, folder):
    large = recipe.model_copy(update={"stages": (recipe.stages[0].model_copy(update={"patch": 25}),)})
    with pytest.raises(DataError, match="at least 25 pixels a side, got 2 images, none of that size"):
        members(large, Sources(pairs=(folder,)))


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ({"pairs": ["pairs"], "data": "pairs"}, "--data or --pairs, got both"),
        ({"validate_pairs": ["pairs"]}, "--pairs with --validate-pairs and --frame-size, got none"),
        ({"frame_size": FrameSize(2, 2)}, "--pairs with --validate-pairs and --frame-size, got none"),
        ({"pairs": ["pairs"], "validate_pairs": ["pairs/../pairs"]}, "other pairs for --validate-pairs"),
    ],
)
def test_sources_that_contradict_each_other_are_refused(recipe, folder, sources, complaint):
    def placed(value):
        if isinstance(value, list):
            return tuple(folder.parent / each for each in value)
        return folder.parent / value if isinstance(value, str) else value

    with pytest.raises(ConfigError, match=complaint):
        members(recipe, Sources(**{key: placed(value) for key, value in sources.items()}))


def test_pairs_of_one_scale_are_not_for_a_family_of_several(recipe, folder):
    with pytest.raises(ConfigError, match="a model of one scale for --pairs, got lesrcnn_blind_x2, lesrcnn_blind_x3"):
        members(recipe, Sources(pairs=(folder,)), "lesrcnn_blind")


def test_frame_sizes_are_read_as_they_are_written():
    assert parse_frame_size("480x320") == FrameSize(480, 320)
    for wrong in ("480", "480x", "480x320x3", "a480x320"):
        with pytest.raises(DataError, match="a frame size like 480x320"):
            parse_frame_size(wrong)
    with pytest.raises(DataError, match="even width and height"):
        parse_frame_size("481x320")
