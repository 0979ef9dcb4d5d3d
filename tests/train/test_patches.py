import numpy as np
import pytest

from octopix.errors import DataError
from octopix.resize import bicubic
from train.data.degradations import bicubic_pair, network_pair
from train.data.patches import PatchSampler

SCALE = 4


def coded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair in which every HR block carries the value of its LR pixel, so that misalignment shows."""
    lr = np.random.default_rng(height).integers(0, 256, (height, width, 1), dtype=np.uint8)
    return lr, lr.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def test_patches_stay_aligned_through_turns_and_mirrors():
    lr, hr = PatchSampler([coded(20, 30), coded(40, 17)], SCALE, 8, 64, seed=1).draw(0)
    assert lr.shape == (64, 8, 8, 1)
    assert np.array_equal(hr, lr.repeat(SCALE, axis=1).repeat(SCALE, axis=2))


def test_all_eight_orientations_are_drawn():
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    sampler = PatchSampler([(ramp, ramp)], 1, 8, 100, seed=1)
    assert len({patch.tobytes() for patch in sampler.draw(0)[0]}) == 8


def test_a_batch_depends_on_seed_and_step_alone():
    pairs = [coded(20, 30), coded(40, 17)]
    first = PatchSampler(pairs, SCALE, 8, 4, seed=1)
    first.draw(0)
    assert np.array_equal(first.draw(5)[0], PatchSampler(pairs, SCALE, 8, 4, seed=1).draw(5)[0])
    assert not np.array_equal(first.draw(5)[0], first.draw(6)[0])
    assert not np.array_equal(first.draw(5)[0], PatchSampler(pairs, SCALE, 8, 4, seed=2).draw(5)[0])


def test_images_smaller_than_a_patch_are_never_drawn():
    small, large = coded(7, 30), coded(8, 8)
    batch = PatchSampler([small, large], SCALE, 8, 16, seed=1).draw(0)[0]
    assert {patch.sum() for patch in batch} == {large[0].sum()}


@pytest.mark.parametrize("pairs", [[], [coded(7, 30)]])
def test_nothing_to_draw_from_is_an_error(pairs):
    with pytest.raises(DataError, match="at least 32 pixels a side"):
        PatchSampler(pairs, SCALE, 8, 4, seed=1)


def test_the_bicubic_pair_is_cropped_to_the_scale():
    photo = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    lr, hr = bicubic_pair(photo, SCALE)
    assert hr.shape == (20, 32, 3)
    assert np.array_equal(lr, bicubic(photo[:20, :32], scale=1 / SCALE))


@pytest.mark.parametrize(("channels", "depth"), [("y", 1), ("rgb", 3)])
@pytest.mark.parametrize("photo_depth", [1, 3])
def test_grey_and_colour_photographs_serve_luma_and_rgb_networks(channels, depth, photo_depth):
    photo = np.full((16, 16, photo_depth), 255, np.uint8)
    lr, hr = network_pair(photo, scale=SCALE, channels=channels)
    assert (lr.shape, hr.shape) == ((4, 4, depth), (16, 16, depth))
    # BT.601 puts white of RGB at 235; grey is taken as the luma it is.
    assert hr.max() == (235 if channels == "y" and photo_depth == 3 else 255)
