"""FSIM and FSIMc against the authors' own program and against PIQ, on photographs, and on input without an answer.

Reference values: the authors' MATLAB program FeatureSIM.m (version 1.0, 2010) run by GNU Octave 7.3.0, and PIQ 0.8.0
(piq.fsim with data_range=255, in float64 on torch 2.15.0), both on the very bytes that the functions below make.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from skimage import data

from octopix.errors import ImageError
from octopix.metrics import FSIM_LEAST_SIDE, fsim, fsimc

# Both sides compute in float64, by formulas that are arranged differently; they agree to 2e-15 where this was made.
# An FFT of another build may round otherwise, but not by this much.
AGREES = 1e-9


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(2011).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).round().astype(np.uint8)


def blurred(image: np.ndarray) -> np.ndarray:
    """Mean of 5×5 pixels in integers, around the edges."""
    steps = range(-2, 3)
    total = sum(np.roll(image.astype(np.uint16), (row, column), (0, 1)) for row in steps for column in steps)
    return ((total + 12) // 25).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    turn = (lambda picture: picture[..., ::-1]) if image.ndim == 3 else (lambda picture: picture)
    _, encoded = cv2.imencode(".jpg", turn(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return turn(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED))


def swapped(image: np.ndarray) -> np.ndarray:
    """Other colours: makes the similarity of the chroma negative at 15 % and more of the pixels."""
    return image[..., [2, 0, 1]]


@dataclass(frozen=True)
class Case:
    picture: Callable[[], np.ndarray]
    degrade: Callable[[np.ndarray], np.ndarray]
    fsim: float
    fsimc: float
    piq: tuple[float, float] | None = None
    """PIQ's FSIM and FSIMc, where its conventions make them comparable."""


CASES = {
    "astronaut, JPEG 10": Case(
        data.astronaut, lambda x: jpeg(x, 10), 0.951371697161400, 0.948023684963479, (0.951371, 0.948030)
    ),
    "astronaut, blur": Case(data.astronaut, blurred, 0.938558485946971, 0.938117539232910, (0.938559, 0.938119)),
    "astronaut, noise": Case(
        data.astronaut, lambda x: noisy(x, 25), 0.914104376525548, 0.904977181753360, (0.914103, 0.905000)
    ),
    "astronaut, other colours": Case(data.astronaut, swapped, 0.988862926327574, 0.959068922136539),
    "chelsea, JPEG 20, not shrunk": Case(
        data.chelsea, lambda x: jpeg(x, 20), 0.934374479997575, 0.933469318419774, (0.934374, 0.933471)
    ),
    "camera, grey, JPEG 10": Case(
        data.camera, lambda x: jpeg(x, 10), 0.935616285774863, 0.935616285774863, (0.935615, 0.935615)
    ),
    "camera, grey, noise": Case(
        data.camera, lambda x: noisy(x, 25), 0.811896919214320, 0.811896919214320, (0.811894, 0.811894)
    ),
    "coffee, other colours": Case(data.coffee, swapped, 0.982942022520249, 0.921813925756680),
    "shrunk by 3": Case(
        lambda: np.tile(data.coffee(), (2, 2, 1)), lambda x: noisy(x, 25), 0.953740556546292, 0.950461127496959
    ),
    "shrunk by 2.5, rounded up": Case(
        lambda: np.tile(data.camera(), (2, 2))[:640, :700], blurred, 0.965669582175977, 0.965669582175977
    ),
    "odd sides": Case(lambda: data.chelsea()[:201, :175], lambda x: noisy(x, 25), 0.758027839911960, 0.738012867509948),
    "small": Case(lambda: data.camera()[100:140, 200:253], blurred, 0.857698191422648, 0.857698191422648),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_the_authors_program(case: Case) -> None:
    reference = case.picture()
    image = case.degrade(reference)
    assert fsim(reference, image) == pytest.approx(case.fsim, abs=AGREES)
    assert fsimc(reference, image) == pytest.approx(case.fsimc, abs=AGREES)


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.piq], ids=[k for k in CASES if CASES[k].piq])
def test_agrees_with_piq_where_its_conventions_allow(case: Case) -> None:
    """PIQ has YIQ with four decimals, the absolute value in place of the real part, and another tiny constant."""
    reference = case.picture()
    image = case.degrade(reference)
    # Luminance: seen 3e-6 apart. Chroma: 2e-5, most of it where its similarity is negative (0.5 % of the noisy pixels).
    assert fsim(reference, image) == pytest.approx(case.piq[0], abs=1e-5)
    assert fsimc(reference, image) == pytest.approx(case.piq[1], abs=5e-5)


@pytest.mark.parametrize("metric", [fsim, fsimc])
@pytest.mark.parametrize("picture", [data.chelsea()[:61, :50], data.camera()[:50, :64], data.camera()[:40, :40, None]])
def test_identical_images_are_exactly_1(metric: Callable[..., float], picture: np.ndarray) -> None:
    assert metric(picture, picture.copy()) == 1


@pytest.mark.parametrize("metric", [fsim, fsimc])
def test_either_image_may_be_the_reference(metric: Callable[..., float]) -> None:
    reference, image = data.chelsea()[:100, :90], blurred(data.chelsea())[:100, :90]
    # Sums of the same products in another order: the last bits may differ.
    assert metric(reference, image) == pytest.approx(metric(image, reference), abs=1e-13)


@pytest.mark.parametrize("metric", [fsim, fsimc])
@pytest.mark.parametrize("peak", [1.0, 65535.0])
def test_every_value_range_gives_the_same_figure(metric: Callable[..., float], peak: float) -> None:
    reference, image = data.chelsea()[:90, :81], noisy(data.chelsea()[:90, :81], 10)
    scaled = [picture / 255 if peak == 1 else picture.astype(np.uint16) * 257 for picture in (reference, image)]
    # Dividing by 255 rounds at 1e-16; the median of the noise estimate and the threshold keep the order of that.
    assert metric(*scaled, peak=peak) == pytest.approx(metric(reference, image), abs=1e-12)


def test_grey_with_and_without_a_channel_axis_are_the_same() -> None:
    reference, image = data.camera()[:50, :60], noisy(data.camera()[:50, :60], 20)
    assert fsim(reference[..., None], image[..., None]) == fsim(reference, image) == fsimc(reference, image)


def test_a_stronger_degradation_scores_lower() -> None:
    reference = data.coffee()[:200, :200]
    figures = [fsimc(reference, noisy(reference, sigma)) for sigma in (2, 8, 32)]
    assert 1 > figures[0] > figures[1] > figures[2] > 0


@pytest.mark.parametrize("metric", [fsim, fsimc])
@pytest.mark.parametrize("side", [50, 64, 101])
def test_a_flat_image_has_no_features_to_compare(metric: Callable[..., float], side: int) -> None:
    flat, photograph = np.full((side, side), 100, np.uint8), data.camera()[:side, :side]
    with pytest.raises(ImageError, match="two flat ones"):
        metric(flat, flat + np.uint8(20))
    assert 0 < metric(photograph, flat) < 0.9


@pytest.mark.parametrize(
    "shape",
    [(FSIM_LEAST_SIDE - 1, 40), (40, FSIM_LEAST_SIDE - 1, 3), (40, 40, 4), (40, 40, 2), (1, 40, 40, 3), (400,)],
)
def test_shapes_that_are_no_picture_are_refused(shape: tuple[int, ...]) -> None:
    image = np.ones(shape, np.uint8)
    with pytest.raises(ImageError, match="12x12"):
        fsim(image, image)


@pytest.mark.parametrize("metric", [fsim, fsimc])
@pytest.mark.parametrize("peak", [0, math.nan, 255])
def test_a_peak_below_the_values_is_refused(metric: Callable[..., float], peak: float) -> None:
    image = np.full((20, 20), 1023, np.uint16)
    with pytest.raises(ImageError, match="peak"):
        metric(image, image, peak=peak)
