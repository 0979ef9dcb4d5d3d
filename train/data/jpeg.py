"""JPEG as a degradation: the same picture after a round trip through a JPEG file in memory."""

import cv2
import numpy as np

from octopix.errors import ConfigError, ImageError
from octopix.images import Array

_SUBSAMPLED = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420


def jpeg_twin(image: Array, *, quality: int = 20) -> Array:
    """``image`` as a JPEG of that quality shows it; the same shape and dtype.

    Baseline JPEG, the standard's example tables scaled as the Independent JPEG Group does, chroma 4:2:0 (for RGB),
    integer "islow" DCT, smooth chroma upsampling: libjpeg's defaults, so the pixels are those of Pillow's
    ``save(quality=…)`` too, its ``optimize`` only makes the file smaller. Decoders without smooth upsampling differ in
    the chroma; OpenCV and Pillow both ship libjpeg-turbo, whose pixels have not changed between versions.

    Args:
        image: uint8 (H, W, 3) RGB or (H, W, 1) grey.
        quality: 1..100.

    Raises:
        ImageError: another shape or dtype, no pixels, or sides beyond JPEG's 65,535.
        ConfigError: another quality.
    """
    if not 1 <= quality <= 100:
        raise ConfigError(expected="a JPEG quality of 1 to 100", got=str(quality), do="correct it")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise _unfit(image)
    options = (cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SUBSAMPLED)
    mode = cv2.IMREAD_COLOR if image.shape[2] == 3 else cv2.IMREAD_GRAYSCALE
    try:
        # OpenCV thinks in BGR, both ways.
        done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
        decoded = cv2.imdecode(encoded, mode) if done else None
    except cv2.error as error:
        raise _unfit(image) from error
    if decoded is None:
        raise _unfit(image)
    return np.ascontiguousarray(decoded.reshape(image.shape)[..., ::-1])


def _unfit(image: Array) -> ImageError:
    return ImageError(
        expected="pixels (H, W, 1 or 3) of uint8 with sides up to 65,535, as JPEG holds them",
        got=f"shape {image.shape} of {image.dtype}",
        do="convert or crop it first",
    )
