"""Feature similarity of two images, FSIM and FSIMc.

L. Zhang, L. Zhang, X. Mou, D. Zhang, "FSIM: A Feature Similarity Index for Image Quality Assessment", IEEE TIP 20(8),
2011. Phase congruency is P. Kovesi's PC2 ("Image Features from Phase Congruency", Videre 1(3), 1999).

Where implementations differ, the figures here are those of the paper's authors' MATLAB program:

- images of 384 pixels and more on their shorter side are shrunk first, so that it comes near 256: the mean over F×F
  pixels, F = min(H, W)/256 with halves rounded up, zeros beyond the edge. PIQ rounds halves to even and drops the
  pixels of incomplete blocks; image-similarity-measures does not shrink;
- gradients see zeros beyond the edge;
- frequencies of an odd number of samples are spread over -0.5..0.5 including both ends, as Kovesi's filters are;
- YIQ has three decimals: Y = 0.299 R + 0.587 G + 0.114 B, I = 0.596 R - 0.274 G - 0.322 B, Q = 0.211 R - 0.523 G
  + 0.312 B;
- where the chroma similarity is negative, its power λ is complex, and its real part counts.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.errors import ImageError
from octopix.pairs import check_pair, check_peak

Array = npt.NDArray[Any]
_Floats = npt.NDArray[np.float64]
_Complex = npt.NDArray[np.complex128]

FSIM_LEAST_SIDE = 12
"""Two periods of the finest filter: smaller images hold nothing the filters can see."""

_VIEWED_SIDE = 256
_T1, _T2, _T3, _T4, _LAMBDA = 0.85, 160.0, 200.0, 200.0, 0.03
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))

_ORIENTATIONS = 4
_WAVELENGTHS = (6, 12, 24, 48)  # pixels
_BANDWIDTH = 0.55  # standard deviation of the log-Gabor over its centre frequency
_ANGULAR_SIGMA = math.pi / _ORIENTATIONS / 1.2
_CUTOFF, _ORDER = 0.45, 15  # of the Butterworth low-pass that keeps the spectrum's corners out
_NOISE_DEVIATIONS, _NOISE_RESCALE = 2.0, 1.7  # 1.7 is Kovesi's, found by trial: PC2 overestimates noise by it
_WEAK = 1e-4  # grey levels; keeps the mean phase defined where there is no response
# Grey levels; where all responses together are weaker there is no feature, only rounding errors near 1e-12, and the
# quotient of two such would be anything.
_SILENCE = 1e-9


def fsim(reference: Array, image: Array, *, peak: float = 255.0) -> float:
    """Feature similarity of the luminance, in (0, 1]; 1.0 for identical images. Symmetric in its two images.

    Args:
        reference: (H, W), (H, W, 1), or (H, W, 3) RGB, at least 12 pixels a side, uint8, uint16 or float.
        image: the same.
        peak: largest value the scale allows: 255 for 8 bits, 1 for [0, 1], 65535 for 16 bits. The constants of the
            paper are for 255, to which the images are scaled.

    Raises:
        ImageError: images that do not fit each other or ``peak``, are too small, or are both flat.
    """
    return _index(reference, image, peak, colour=False)


def fsimc(reference: Array, image: Array, *, peak: float = 255.0) -> float:
    """:func:`fsim` with the similarity of the chroma planes I and Q as a further factor, to the power 0.03.

    In (0, 1] too. Of grey images it is the same as :func:`fsim`.

    Raises:
        ImageError: as :func:`fsim`.
    """
    return _index(reference, image, peak, colour=True)


def _index(reference: Array, image: Array, peak: float, *, colour: bool) -> float:
    check_pair(reference, image)
    check_peak(reference, image, peak)
    _check_shape(reference)
    first, second = (_yiq(_viewed(picture)) * (255 / peak) for picture in (reference, image))
    congruent, congruent_too = _phase_congruency(first[0]), _phase_congruency(second[0])
    weight = np.maximum(congruent, congruent_too)
    total = float(weight.sum())
    if total == 0:
        raise ImageError(expected="an image with features", got="two flat ones", do="use psnr for this pair")
    similarity = _similarity(congruent, congruent_too, _T1)
    similarity *= _similarity(_gradient(first[0]), _gradient(second[0]), _T2)
    if colour and len(first) == len(_YIQ):
        similarity *= _chroma_factor(first, second)
    return float((similarity * weight).sum()) / total


def _check_shape(image: Array) -> None:
    known = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    if not known or min(image.shape[:2]) < FSIM_LEAST_SIDE:
        raise ImageError(
            expected=f"images (H, W), (H, W, 1) or (H, W, 3) of at least {FSIM_LEAST_SIDE}x{FSIM_LEAST_SIDE}",
            got=f"shape {image.shape}",
            do="use larger images, channels last, or psnr",
        )


def _viewed(image: Array) -> _Floats:
    """(H, W, C) shrunk so that the shorter side comes near 256: means of factor×factor pixels, zeros beyond the edge.

    Sample i is the mean over the ``factor`` pixels around pixel i·factor, one more behind it than before it where the
    factor is even: MATLAB's "same" convolution, of which every factor-th value is kept.
    """
    pixels = image if image.ndim == 3 else image[..., None]
    factor = max(1, math.floor(min(pixels.shape[:2]) / _VIEWED_SIDE + 0.5))
    height, width = (-(-side // factor) for side in pixels.shape[:2])
    before = (factor - 1) // 2
    canvas = np.zeros((height * factor, width * factor, pixels.shape[2]), pixels.dtype)
    seen = pixels[: height * factor - before, : width * factor - before]
    canvas[before : before + seen.shape[0], before : before + seen.shape[1]] = seen
    blocks = canvas.reshape(height, factor, width, factor, -1)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64))


def _yiq(pixels: _Floats) -> _Floats:
    """Planes (3, H, W) of an RGB image, (1, H, W) of a grey one."""
    planes = np.moveaxis(pixels, 2, 0)
    return np.tensordot(np.asarray(_YIQ), planes, axes=1) if len(planes) == len(_YIQ) else planes


def _similarity(first: _Floats, second: _Floats, constant: float) -> _Floats:
    return (2 * first * second + constant) / (first * first + second * second + constant)


def _chroma_factor(first: _Floats, second: _Floats) -> _Floats:
    product = _similarity(first[1], second[1], _T3) * _similarity(first[2], second[2], _T4)
    power = np.abs(product) ** _LAMBDA
    return np.where(product < 0, math.cos(math.pi * _LAMBDA) * power, power)


def _gradient(plane: _Floats) -> _Floats:
    """Magnitude of the gradient by Scharr's 3×3 filters over 16."""
    padded = np.pad(plane, 1)
    columns = _scharr_mean(padded)
    rows = _scharr_mean(padded.T).T
    return np.hypot(columns[:, 2:] - columns[:, :-2], rows[2:] - rows[:-2])


def _scharr_mean(padded: _Floats) -> _Floats:
    """The smoothing half of the filter, along the first axis."""
    return (3 * padded[:-2] + 10 * padded[1:-1] + 3 * padded[2:]) / 16


def _phase_congruency(plane: _Floats) -> _Floats:
    """How far the phases of all scales agree at each pixel, 0 to 1."""
    spectrum = np.fft.fft2(plane)
    energy, amplitude = np.zeros(plane.shape), np.zeros(plane.shape)
    for filters in _filters(plane.shape):
        responses = np.fft.ifft2(spectrum * filters)
        energy += np.maximum(_energy(responses) - _noise(responses[0], filters), 0)
        amplitude += np.abs(responses).sum(axis=0)
    return np.divide(energy, amplitude, out=np.zeros(plane.shape), where=amplitude > _SILENCE)


def _energy(responses: _Complex) -> _Floats:
    """Sum over the scales of amplitude times (cosine - |sine|) of the deviation from the mean phase."""
    total = responses.sum(axis=0)
    deviating = responses * (total / (np.abs(total) + _WEAK)).conj()
    return np.asarray((deviating.real - np.abs(deviating.imag)).sum(axis=0))


def _noise(finest: _Complex, filters: _Floats) -> float:
    """Energy that noise alone would reach, judged by the median response of the finest filter."""
    power = float(np.median(np.abs(finest) ** 2)) / math.log(2) / float((filters[0] ** 2).sum())
    even = np.fft.ifft2(filters.sum(axis=0)).real  # the sum over scales, squared, has all products of pairs in it
    rayleigh = math.sqrt(power * float((even**2).sum()) * even.size)
    return rayleigh * (math.sqrt(math.pi / 2) + _NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2)) / _NOISE_RESCALE


def _filters(shape: Sequence[int]) -> Iterator[_Floats]:
    """Per orientation, log-Gabor filters (scales, H, W) in the frequency domain, frequency 0 at [0, 0]."""
    y, x = (_frequencies(side) for side in shape)
    radius = np.hypot(y[:, None], x[None, :])
    low_pass = 1 / (1 + (radius / _CUTOFF) ** (2 * _ORDER))
    radius[0, 0] = 1  # any value with a logarithm: the filters are set to 0 there
    centred = np.log(np.stack([radius * wavelength for wavelength in _WAVELENGTHS]))
    radial = np.exp(-(centred**2) / (2 * math.log(_BANDWIDTH) ** 2)) * low_pass
    radial[:, 0, 0] = 0
    direction = x[None, :] - 1j * y[:, None]
    for index in range(_ORIENTATIONS):
        apart = np.angle(direction * np.exp(-1j * math.pi * index / _ORIENTATIONS))
        yield radial * np.exp(-(apart**2) / (2 * _ANGULAR_SIGMA**2))


def _frequencies(side: int) -> _Floats:
    """Cycles per pixel as Kovesi's filters have them: an odd side reaches both -0.5 and 0.5, unlike a DFT's."""
    ramp = np.arange(side) - side // 2
    return np.fft.ifftshift(ramp / (side - side % 2))
