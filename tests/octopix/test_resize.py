"""Bicubic against exact rational arithmetic, against hand-computed weights and, where present, published images."""

import math
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from octopix.errors import ImageError
from octopix.images import read_picture
from octopix.resize import bicubic

PUBLISHED = Path(os.environ.get("OCTOPIX_DATA", "")) / "published" / "Set5_x2"


def keys(x: Fraction) -> Fraction:
    """Keys' cubic as his paper prints it, a = -1/2."""
    x, a = abs(x), Fraction(-1, 2)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else Fraction(0)


def exact_line(line: list[Fraction], target: int, scale: Fraction, *, whole: bool) -> list[Fraction]:
    """Resize one row or column without any floating point; ``whole`` rounds half up to 0..255."""
    stretch = min(Fraction(1), scale)
    result = []
    for i in range(target):
        centre = (i + Fraction(1, 2)) / scale - Fraction(1, 2)
        near = range(math.floor(centre - 2 / stretch), math.ceil(centre + 2 / stretch) + 1)
        weights = {j: keys(stretch * (centre - j)) for j in near}
        value = sum(w * line[min(max(j, 0), len(line) - 1)] for j, w in weights.items()) / sum(weights.values())
        result.append(Fraction(min(max(math.floor(value + Fraction(1, 2)), 0), 255)) if whole else value)
    return result


def exact(image: np.ndarray, target: tuple[int, int], scales: tuple[Fraction, Fraction], *, whole: bool) -> np.ndarray:
    """Resize an (H, W) image of integers; the dimension with the smaller scale goes first, height when equal."""
    rows = [[Fraction(int(value)) for value in row] for row in image]
    for axis in sorted((0, 1), key=lambda k: scales[k]):
        lines = rows if axis == 1 else [list(column) for column in zip(*rows, strict=True)]
        lines = [exact_line(line, target[axis], scales[axis], whole=whole) for line in lines]
        rows = lines if axis == 1 else [list(row) for row in zip(*lines, strict=True)]
    return np.array([[float(value) for value in row] for row in rows])


def noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Full-range noise: every edge overshoots, so clipping and rounding are exercised."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(16, 20), (15, 23), (1, 5), (1, 1)])
@pytest.mark.parametrize("scale", [Fraction(k) for k in (2, 3, 4)] + [Fraction(1, k) for k in (2, 3, 4)])
def test_bytes_equal_exact_arithmetic(shape, scale):
    image = noise(shape, seed=shape[1])
    target = (math.ceil(shape[0] * scale), math.ceil(shape[1] * scale))
    result = bicubic(image, scale=float(scale))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, exact(image, target, (scale, scale), whole=True))


@pytest.mark.parametrize("target", [(5, 60), (40, 9), (50, 30), (20, 7)])
def test_sizes_scale_each_dimension_and_shrink_the_most_shrunk_first(target):
    image = noise((20, 21), seed=5)
    scales = (Fraction(target[0], 20), Fraction(target[1], 21))
    np.testing.assert_array_equal(bicubic(image, size=target), exact(image, target, scales, whole=True))


# float64: sums of 16 to 64 products of values up to 255, so errors near 255 * 64 * 1e-16 = 2e-12.
# float32: the same with 6e-8 instead of 1e-16 gives 1e-3; errors average out, 1e-4 is what may be seen.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 2e-4)])
@pytest.mark.parametrize("scale", [Fraction(4), Fraction(1, 3), Fraction(1, 4)])
def test_floats_are_neither_rounded_nor_clipped(dtype, tolerance, scale):
    image = noise((19, 26), seed=7)
    target = (math.ceil(19 * scale), math.ceil(26 * scale))
    result = bicubic(image.astype(dtype), scale=float(scale))
    expected = exact(image, target, (scale, scale), whole=False)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance)
    if scale > 1:
        assert expected.min() < 0  # the case is there: overshoot must survive
        assert result.min() < 0


def test_halving_weights_computed_by_hand():
    """Keys at 1/4, 3/4, 5/4, 7/4 is 111/128, 29/128, -9/128, -3/128; halved by the wider kernel."""
    line = np.zeros((1, 20))
    line[0, 9] = 256
    # Result i has its centre at 2i + 0.5: samples 3, 4, 5, 6 are 2.5, 0.5, 1.5, 3.5 away from the impulse.
    expected = [0, 0, 0, -9, 111, 29, -3, 0, 0, 0]
    # All weights are binary fractions: float64 is exact.
    np.testing.assert_array_equal(bicubic(line, size=(1, 10))[0], expected)


def test_doubling_weights_computed_by_hand():
    line = np.zeros((1, 9))
    line[0, 4] = 128
    expected = np.zeros(18)
    expected[5:13] = [-3, -9, 29, 111, 111, 29, -9, -3]
    np.testing.assert_array_equal(bicubic(line, size=(1, 18))[0], expected)


def test_edges_are_replicated():
    """Left of this ramp is its first value, 5: a mirrored edge would bring in 15 and 25, an empty one 0."""
    ramp = np.arange(5, 165, 10.0)[None]
    # [111, 29, -9, -3] / 256 on both sides of 0.5; the left half of all weight falls on samples that are 5.
    expected = 5 / 2 + (111 * 15 + 29 * 25 - 9 * 35 - 3 * 45) / 256
    assert bicubic(ramp, size=(1, 8))[0, 0] == expected


def test_whole_photograph_in_blocks_equals_its_crops():
    """Inner pixels do not depend on where the picture ends: photograph and crop agree away from the border."""
    photograph = data.astronaut()
    whole, part = bicubic(photograph, scale=0.25), bicubic(photograph[128:384, 64:448], scale=0.25)
    np.testing.assert_array_equal(whole[34:94, 18:110], part[2:62, 2:94])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_flat_stays_flat_and_same_size_stays_itself(dtype):
    flat = np.full((30, 31, 3), 200, dtype)
    # Floats: weights sum to 1 within a rounding error of the dtype.
    np.testing.assert_allclose(bicubic(flat, scale=1 / 3), flat[:10, :11], rtol=1e-6)
    image = noise((13, 17, 2), seed=3).astype(dtype)
    np.testing.assert_array_equal(bicubic(image, scale=1), image)


def test_sixteen_bits_reach_white_without_wrapping():
    step = np.zeros((8, 16), np.uint16)
    step[:, 8:] = 65535
    result = bicubic(step, scale=2)
    assert result.dtype == np.uint16
    assert set(np.unique(result[:, :10])) == {0}
    assert set(np.unique(result[:, 22:])) == {65535}


def test_channels_are_resized_alone():
    image = data.chelsea()[:61, :47]
    each = [bicubic(image[..., channel], scale=2) for channel in range(3)]
    np.testing.assert_array_equal(bicubic(image, scale=2), np.dstack(each))


def test_rounding_error_of_the_scale_adds_no_pixel():
    assert bicubic(noise((100, 50), seed=1), scale=1.1).shape == (110, 55)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (np.zeros((4, 4), np.int32), {"scale": 2}),
        (np.zeros((4, 4), bool), {"scale": 2}),
        (np.zeros((1, 4, 4, 3), np.uint8), {"scale": 2}),
        (np.zeros((0, 4), np.uint8), {"scale": 2}),
        (np.zeros((4, 4), np.uint8), {}),
        (np.zeros((4, 4), np.uint8), {"scale": 2, "size": (8, 8)}),
        (np.zeros((4, 4), np.uint8), {"scale": 0}),
        (np.zeros((4, 4), np.uint8), {"scale": -1}),
        (np.zeros((4, 4), np.uint8), {"scale": math.nan}),
        (np.zeros((4, 4), np.uint8), {"size": (0, 8)}),
    ],
)
def test_bad_arguments_are_told(image, options):
    with pytest.raises(ImageError, match=r"expected .*, got .*; "):
        bicubic(image, **options)


@pytest.mark.skipif(
    not PUBLISHED.is_dir(),
    reason="OCTOPIX_DATA/published/Set5_x2 is absent; test_bytes_equal_exact_arithmetic stands in for it",
)
@pytest.mark.parametrize("number", range(1, 6))
def test_published_matlab_images_are_met_bit_for_bit(number):
    high, low = (read_picture(PUBLISHED / f"img_{number:03}_SRF_2_{kind}.png").pixels for kind in ("HR", "LR"))
    np.testing.assert_array_equal(bicubic(high, scale=0.5), low)
