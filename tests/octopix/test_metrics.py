"""Metrics against scikit-image on photographs, against formulas, and on input that has no answer."""

import math

import numpy as np
import pytest
from skimage import data
from skimage.metrics import mean_squared_error, normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from octopix.errors import ImageError
from octopix.metrics import mse, nrmse, psnr, ssim

METRICS = {"mse": mse, "psnr": psnr, "nrmse": nrmse, "ssim": ssim}
# The agreement this toolkit promises; both sides compute in float64 and in fact agree to 1e-10.
AGREES = 1e-6


def degraded(reference: np.ndarray, strength: float) -> np.ndarray:
    noise = np.random.default_rng(11).normal(0, strength * 255, reference.shape)
    return np.clip(reference + noise, 0, 255).round().astype(np.uint8)


def scaled(image: np.ndarray, scale: str) -> tuple[np.ndarray, float]:
    """The same picture in another value range, with that range's peak."""
    ranges = {
        "uint8": (image, 255.0),
        "uint16": (image.astype(np.uint16) * 257, 65535.0),
        "float 0..1": (image / 255, 1.0),
        "float 0..255": (image.astype(np.float64), 255.0),
    }
    return ranges[scale]


PHOTOGRAPHS = {
    "colour, several strips": data.astronaut,
    "grey": lambda: data.camera()[:300, :211],
    "one channel": lambda: data.camera()[:64, :70, None],
    "the window's size": lambda: data.chelsea()[100:111, 100:111],
    "one strip and one row more": lambda: data.coffee()[:267, :40],
}


@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
@pytest.mark.parametrize("strength", [0.004, 0.1])
def test_agrees_with_scikit_image_on_bytes(photograph, strength):
    reference = PHOTOGRAPHS[photograph]()
    image = degraded(reference, strength)
    assert mse(reference, image) == pytest.approx(mean_squared_error(reference, image), abs=AGREES)
    assert psnr(reference, image) == pytest.approx(peak_signal_noise_ratio(reference, image), abs=AGREES)
    assert nrmse(reference, image) == pytest.approx(normalized_root_mse(reference, image), abs=AGREES)
    assert ssim(reference, image) == pytest.approx(skimage_ssim(reference, image, 255), abs=AGREES)


@pytest.mark.parametrize("scale", ["uint8", "uint16", "float 0..1", "float 0..255"])
def test_agrees_with_scikit_image_in_every_value_range(scale):
    (reference, peak), (image, _) = (
        scaled(picture, scale) for picture in (data.rocket()[:90, :80], degraded(data.rocket()[:90, :80], 0.05))
    )
    expected = peak_signal_noise_ratio(reference, image, data_range=peak)
    assert psnr(reference, image, peak=peak) == pytest.approx(expected, abs=AGREES)
    assert ssim(reference, image, peak=peak) == pytest.approx(skimage_ssim(reference, image, peak), abs=AGREES)


def skimage_ssim(reference: np.ndarray, image: np.ndarray, peak: float) -> float:
    return structural_similarity(
        reference,
        image,
        data_range=peak,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2 if reference.ndim == 3 else None,
    )


def test_a_difference_of_one_level_everywhere():
    reference = data.camera()[:32, :32] // 2
    assert mse(reference, reference + np.uint8(1)) == 1
    assert psnr(reference, reference + np.uint8(1)) == pytest.approx(20 * math.log10(255), abs=1e-12)


def test_differences_do_not_wrap_around_in_bytes():
    black, white = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    assert psnr(black, white) == psnr(white, black) == 0
    assert nrmse(white, black) == 1


def test_ssim_of_two_flat_images_is_the_luminance_term():
    reference, image, c1 = np.full((20, 30), 100.0), np.full((20, 30), 150.0), (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    # Rounding leaves a variance near 1e-12 where there is none; against K2's 58.5 it is nothing.
    assert ssim(reference, image) == pytest.approx(expected, abs=1e-12)


def test_nrmse_divides_by_the_norm_of_the_reference_only():
    reference, image = np.array([[3.0, 4.0]]), np.array([[3.0, 1.0]])
    assert nrmse(reference, image) == pytest.approx(3 / 5)
    assert nrmse(image, reference) == pytest.approx(3 / math.sqrt(10))


@pytest.mark.parametrize("scale", ["uint8", "uint16", "float 0..1"])
def test_identical_images(scale):
    image, peak = scaled(data.chelsea()[:40, :50], scale)
    assert psnr(image, image.copy(), peak=peak) == math.inf
    assert mse(image, image.copy()) == nrmse(image, image.copy()) == 0
    # Numerator and denominator are equal sums; only their last bits may differ.
    assert ssim(image, image.copy(), peak=peak) == pytest.approx(1, abs=1e-12)


def test_strided_views_are_read_as_they_look():
    reference, image = data.astronaut()[::3, ::-2], degraded(data.astronaut(), 0.05)[::3, ::-2]
    for metric in METRICS.values():
        assert metric(reference, image) == metric(np.ascontiguousarray(reference), np.ascontiguousarray(image))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("reference", "image"),
    [
        (np.ones((20, 20), np.uint8), np.ones((20, 21), np.uint8)),
        (np.ones((20, 20), np.uint8), np.ones((20, 20, 1), np.uint8)),
        (np.ones((0, 20), np.uint8), np.ones((0, 20), np.uint8)),
        (np.ones((20, 20), np.uint8), np.ones((20, 20), np.float32)),
        (np.ones((20, 20), np.uint8), np.ones((20, 20), np.uint16)),
        (np.ones((20, 20), np.int32), np.ones((20, 20), np.int32)),
        (np.ones((20, 20), bool), np.ones((20, 20), bool)),
        (np.ones((20, 20)), np.full((20, 20), np.nan)),
        (np.ones((20, 20)), np.full((20, 20), np.inf)),
    ],
    ids=["shape", "dimensions", "empty", "byte and float", "two depths", "int32", "bool", "nan", "inf"],
)
def test_images_that_do_not_fit_are_refused(metric, reference, image):
    with pytest.raises(ImageError, match=r"expected .*, got .*; "):
        METRICS[metric](reference, image)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize("peak", [0, -1, math.nan, 255])
def test_a_peak_below_the_values_is_refused(metric, peak):
    image = np.full((20, 20), 1023, np.uint16)
    with pytest.raises(ImageError, match="peak"):
        metric(image, image, peak=peak)


@pytest.mark.parametrize("shape", [(10, 40), (40, 10, 3), (1, 20, 20, 3), (400,)])
def test_ssim_needs_room_for_its_window(shape):
    image = np.ones(shape, np.uint8)
    with pytest.raises(ImageError, match="11x11"):
        ssim(image, image)


def test_nrmse_of_a_black_reference_is_refused():
    black = np.zeros((20, 20), np.uint8)
    with pytest.raises(ImageError, match="zeros only"):
        nrmse(black, black + np.uint8(1))
