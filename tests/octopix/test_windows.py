import numpy as np
import pytest

from octopix.images import luma_bytes
from octopix.resize import bicubic
from octopix.windows import Source

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_windows_of_an_enlarged_picture_are_bit_for_bit_parts_of_it(scale: int, dtype: type) -> None:
    pixels = RANDOM.integers(0, np.iinfo(dtype).max, (23, 31, 3), dtype, endpoint=True)
    source = Source(pixels, enlarged=scale)
    large = bicubic(pixels, scale=scale)

    assert source.size == large.shape[:2]
    for top, left, height, width in [(0, 0, 5, 7), (8, 3, 13, 11), (0, 0, *large.shape[:2]), (22, 30, 1, 1)]:
        np.testing.assert_array_equal(
            source.window(top, left, height, width), large[top : top + height, left : left + width]
        )


def test_beyond_the_lower_right_edge_it_is_repeated() -> None:
    pixels = RANDOM.integers(0, 255, (6, 5, 1), np.uint8)

    window = Source(pixels).window(4, 2, 4, 5)

    np.testing.assert_array_equal(window, np.pad(pixels, ((0, 2), (0, 2), (0, 0)), mode="edge")[4:, 2:])


def test_the_view_makes_the_networks_plane() -> None:
    pixels = RANDOM.integers(0, 255, (6, 5, 3), np.uint8)

    window = Source(pixels, lambda part: luma_bytes(part)[..., None]).window(1, 1, 4, 3)

    np.testing.assert_array_equal(window[..., 0], luma_bytes(pixels)[1:5, 1:4])
