"""Image quality: MSE, PSNR, SSIM, NRMSE, FSIM, and the Fréchet distance, with this field's conventions.

The two images of the full-reference metrics have the same shape and the same kind of values: both uint8, both uint16,
or both floats on one scale. All arithmetic is float64. Which plane, rounding and border a figure stands for is the
protocol's affair.
"""

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from octopix.errors import ImageError
from octopix.frechet import feature_statistics, frechet_distance
from octopix.fsim import FSIM_LEAST_SIDE, fsim, fsimc
from octopix.pairs import check_pair, check_peak

__all__ = [
    "FSIM_LEAST_SIDE",
    "SSIM_WINDOW",
    "feature_statistics",
    "frechet_distance",
    "fsim",
    "fsimc",
    "mse",
    "nrmse",
    "psnr",
    "ssim",
]

Array = npt.NDArray[Any]

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
_SSIM_K1, _SSIM_K2 = 0.01, 0.03
_CHUNK = 1 << 18  # samples at a time: float64 copies of a 24-megapixel photograph would take 600 MB
_STRIP = 256  # rows at a time, for the same reason


def mse(reference: Array, image: Array) -> float:
    """Mean of the squared differences over all samples, in squared units of the images.

    Raises:
        ImageError: shapes or dtypes that do not fit, or values that are not finite.
    """
    check_pair(reference, image)
    return _squared_error(reference, image) / reference.size


def psnr(reference: Array, image: Array, *, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio, ``10 log10(peak² / MSE)`` in dB; ``inf`` for identical images.

    One MSE over all samples and channels, not a mean of ratios per channel.

    Args:
        reference: any shape, uint8, uint16 or float.
        image: the same.
        peak: largest value the scale allows: 255 for 8 bits, 1 for [0, 1], 65535 for 16 bits.

    Raises:
        ImageError: as :func:`mse`; or integers above ``peak``, which would be another scale than said.
    """
    check_peak(reference, image, peak)
    error = mse(reference, image)
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def nrmse(reference: Array, image: Array) -> float:
    """Root of the squared error over the Euclidean norm of the reference: ``‖image - reference‖ / ‖reference‖``.

    Raises:
        ImageError: as :func:`mse`; or a reference that is zero everywhere.
    """
    check_pair(reference, image)
    energy = sum(_energy(part) for (part,) in _chunks(reference))
    if energy == 0:
        raise ImageError(
            expected="a reference with values other than 0", got="zeros only", do="use mse or psnr for this image"
        )
    return math.sqrt(_squared_error(reference, image) / energy)


def ssim(reference: Array, image: Array, *, peak: float = 255.0) -> float:
    """Structural similarity, 1.0 for identical images.

    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13, 2004:
    11×11 Gaussian window of σ 1.5, K1 = 0.01, K2 = 0.03, variances divided by N. Only windows that lie wholly inside
    the image count; colour is the mean over the channels. The same as scikit-image with
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``.

    Args:
        reference: (H, W) or (H, W, C), at least 11 pixels a side, uint8, uint16 or float.
        image: the same.
        peak: largest value the scale allows: 255 for 8 bits, 1 for [0, 1], 65535 for 16 bits.

    Raises:
        ImageError: as :func:`psnr`; or an image smaller than the window.
    """
    check_pair(reference, image)
    check_peak(reference, image, peak)
    if reference.ndim not in (2, 3) or min(reference.shape[:2]) < SSIM_WINDOW:
        raise ImageError(
            expected=f"images (H, W) or (H, W, C) of at least {SSIM_WINDOW}x{SSIM_WINDOW}",
            got=f"shape {reference.shape}",
            do="use larger images, channels last, or psnr",
        )
    height, width = reference.shape[:2]
    margin = SSIM_WINDOW - 1
    pairs = zip(_planes(reference), _planes(image), strict=True)
    total = sum(_ssim_sum(first, second, peak) for first, second in pairs)
    windows: int = (height - margin) * (width - margin) * (reference.size // (height * width))
    return total / windows


def _ssim_sum(reference: Array, image: Array, peak: float) -> float:
    """Sum of the SSIM index over all whole windows of an (H, W) plane, in strips that overlap by the window."""
    total = 0.0
    for start in range(0, reference.shape[0] - SSIM_WINDOW + 1, _STRIP):
        rows = slice(start, start + _STRIP + SSIM_WINDOW - 1)
        index = _ssim_map(reference[rows].astype(np.float64), image[rows].astype(np.float64), peak)
        total += float(index.sum())
    return total


def _ssim_map(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], peak: float) -> npt.NDArray[np.float64]:
    c1, c2 = (_SSIM_K1 * peak) ** 2, (_SSIM_K2 * peak) ** 2
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _blur(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian mean under every window that lies wholly inside (H, W): (H - 10, W - 10)."""
    kernel = cv2.getGaussianKernel(SSIM_WINDOW, SSIM_SIGMA, cv2.CV_64F)
    half = SSIM_WINDOW // 2
    blurred = cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)
    return np.asarray(blurred, np.float64)[half:-half, half:-half]


def _planes(image: Array) -> Iterator[Array]:
    if image.ndim == 2:
        yield image
    else:
        yield from (image[..., channel] for channel in range(image.shape[2]))


def _squared_error(reference: Array, image: Array) -> float:
    return sum(_energy(first - second) for first, second in _chunks(reference, image))


def _energy(samples: npt.NDArray[np.float64]) -> float:
    """Sum of squares. Not by ``np.dot``: its threads wait for each other on a busy machine."""
    return float((samples * samples).sum())


def _chunks(*images: Array) -> Iterator[tuple[npt.NDArray[np.float64], ...]]:
    """The images' samples as float64, ``_CHUNK`` at a time, side by side."""
    flat = [image.reshape(-1) for image in images]
    for start in range(0, flat[0].size, _CHUNK):
        yield tuple(part[start : start + _CHUNK].astype(np.float64) for part in flat)
