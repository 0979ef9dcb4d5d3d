"""Figures of real models on real images, against arithmetic of scikit-image's."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks import quality
from benchmarks.artifacts import Artifact, find_artifacts
from benchmarks.quality import Score, counted_images, evaluate, mean_fidelity, mean_score
from octopix.errors import DataError
from octopix.images import Array
from octopix.protocols import PROTOCOLS
from octopix.resize import bicubic
from octopix.restore import Restorer
from train.data.degradations import PairSet, degraded
from train.data.sources import ImageRef, ImageSet, builtin_ref

PHOTOS = ("chelsea.png", "rocket.jpg")  # 300×451 and 427×640: rocket is cropped to a multiple of 4


@pytest.fixture(scope="module")
def models(artifacts: Path) -> tuple[Artifact, ...]:
    return find_artifacts(artifacts, "espcn_x4")


@pytest.fixture(scope="module")
def scores(models: tuple[Artifact, ...]) -> quality.Scores:
    return evaluate(models, photos(), PROTOCOLS["y"], advance=lambda: None)


def photos() -> PairSet:
    return pairs(*(builtin_ref(name) for name in PHOTOS))


def pairs(*refs: ImageRef) -> PairSet:
    return degraded(ImageSet("some", "some photographs", refs), "bicubic", scale=4)


def flat(name: str, side: int = 64) -> ImageRef:
    return ImageRef(name, lambda: np.full((side, side, 3), 128, np.uint8))


def compared(rgb: Array) -> Array:
    """Rounded luma without the border of 4, by scikit-image's colour conversion."""
    return np.rint(rgb2ycbcr(rgb)[..., 0])[4:-4, 4:-4]


def reference_figures(name: str, output: Array) -> tuple[float, float]:
    """PSNR and SSIM of an upscaled luma (H, W), already without its border, by scikit-image."""
    truth = builtin_ref(name).read()
    truth = compared(truth[: truth.shape[0] // 4 * 4, : truth.shape[1] // 4 * 4])
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return peak_signal_noise_ratio(truth, output, data_range=255), structural_similarity(truth, output, **options)


@pytest.mark.parametrize("name", PHOTOS)
def test_bicubic_row_agrees_with_scikit_image(scores: quality.Scores, name: str) -> None:
    truth = builtin_ref(name).read()
    small = bicubic(truth[: truth.shape[0] // 4 * 4, : truth.shape[1] // 4 * 4], scale=1 / 4)
    psnr, ssim = reference_figures(name, compared(bicubic(small, scale=4)))
    found = scores["bicubic"][name]
    # Both conversions to luma round; an exact half, where they may part, is rarer than one pixel in ten thousand.
    assert found.psnr_db == pytest.approx(psnr, abs=1e-3)
    assert found.ssim == pytest.approx(ssim, abs=1e-4)
    assert found.fidelity_db is None


def test_a_network_sees_luma_and_its_rounded_output_is_compared(
    scores: quality.Scores, models: tuple[Artifact, ...]
) -> None:
    name = PHOTOS[0]
    truth = builtin_ref(name).read()
    small = bicubic(truth[: truth.shape[0] // 4 * 4, : truth.shape[1] // 4 * 4], scale=1 / 4)
    luma = np.rint(rgb2ycbcr(small)[..., :1]).astype(np.float32) / 255
    output = np.rint(Restorer(models[0].path).run_plane(luma)[..., 0].clip(0, 1) * 255)[4:-4, 4:-4]
    psnr, ssim = reference_figures(name, output)
    found = scores["float32"][name]
    # As above: rounding an exact half either way.
    assert found.psnr_db == pytest.approx(psnr, abs=1e-3)
    assert found.ssim == pytest.approx(ssim, abs=1e-4)


def test_float32_is_identical_to_itself_and_int8_is_near(scores: quality.Scores) -> None:
    for name in PHOTOS:
        assert scores["float32"][name].fidelity_db == math.inf
        # An int8 network that differed by 6 grey levels on average would be broken: 20 log10(255 / 6) = 32.6.
        assert 32 < (scores["int8-ptq-minmax"][name].fidelity_db or 0) < math.inf
        assert scores["float32"][name].psnr_db > scores["bicubic"][name].psnr_db


def test_figures_do_not_depend_on_the_number_of_threads(
    scores: quality.Scores, models: tuple[Artifact, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MAX_WORKERS", 1)
    assert evaluate(models, photos(), PROTOCOLS["y"], advance=lambda: None) == scores


def test_progress_is_told_of_each_image(models: tuple[Artifact, ...]) -> None:
    steps: list[None] = []
    evaluate(models, photos(), PROTOCOLS["y"], advance=lambda: steps.append(None))
    assert len(steps) == len(PHOTOS)


def test_an_image_too_small_for_the_window_is_named(models: tuple[Artifact, ...]) -> None:
    images = pairs(builtin_ref(PHOTOS[0]), flat("icon.png", side=17))
    with pytest.raises(DataError, match=r"19x19 .* got icon\.png of 16x16"):
        evaluate(models, images, PROTOCOLS["y"], advance=lambda: None)


def test_flat_images_count_in_no_mean_and_cannot_be_all(models: tuple[Artifact, ...]) -> None:
    images = pairs(builtin_ref(PHOTOS[0]), flat("grey.png"))
    scores = evaluate(models, images, PROTOCOLS["y"], advance=lambda: None)
    assert scores["bicubic"]["grey.png"].psnr_db == math.inf
    assert counted_images(scores) == (PHOTOS[0],)
    only = {scheme: {"grey.png": row["grey.png"]} for scheme, row in scores.items()}
    with pytest.raises(DataError, match=r"detail, got grey\.png"):
        counted_images(only)


def test_means_are_unweighted_over_the_counted_images() -> None:
    row: Mapping[str, Score] = {
        "a": Score(30.0, 0.5, 40.0),
        "b": Score(33.0, 0.75, math.inf),
        "left out": Score(90.0, 1.0, 90.0),
    }
    mean = mean_score(row, ("a", "b"))
    assert (mean.psnr_db, mean.ssim, mean.fidelity_db) == (31.5, 0.625, 40.0)


def test_fidelity_is_infinite_only_where_everything_is_identical() -> None:
    assert mean_fidelity([math.inf, math.inf]) == math.inf
    assert mean_fidelity([math.inf, 50.0, 40.0]) == 45.0
    assert mean_fidelity([None]) is None
