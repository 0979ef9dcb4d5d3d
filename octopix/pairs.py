"""Two images that a metric is to compare: do they fit together, and the scale they are said to have?"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.errors import ImageError

Array = npt.NDArray[Any]


def check_pair(reference: Array, image: Array) -> None:
    """Accept two images of one shape and one kind of values: both uint8, both uint16, or both finite floats.

    Raises:
        ImageError: shapes or dtypes that do not fit, no pixels, or values that are not finite.
    """
    if reference.shape != image.shape or not reference.size:
        raise ImageError(
            expected="two images of one shape",
            got=f"{reference.shape} and {image.shape}",
            do="crop or resize one first",
        )
    kinds = {_kind(reference), _kind(image)}
    if len(kinds) != 1 or not kinds <= {"uint8", "uint16", "float"}:
        raise ImageError(
            expected="both images as uint8, both as uint16, or both as floats",
            got=f"{reference.dtype} and {image.dtype}",
            do="convert one, so that both have one scale",
        )
    if "float" in kinds and not (np.isfinite(reference).all() and np.isfinite(image).all()):
        raise ImageError(expected="finite values", got="NaN or infinity", do="check what made these images")


def check_peak(reference: Array, image: Array, peak: float) -> None:
    """Accept a positive, finite ``peak`` that no integer value of the two images exceeds.

    Raises:
        ImageError: another peak, which would be another scale than the images have.
    """
    highest = max((int(part.max()) for part in (reference, image) if part.dtype.kind == "u" and part.size), default=0)
    if not 0 < peak < math.inf or highest > peak:
        raise ImageError(
            expected="a positive peak, no smaller than any integer value",
            got=f"peak={peak} and values up to {highest}",
            do="give the scale's largest value as peak: 255, or 65535 for 16 bits",
        )


def _kind(image: Array) -> str:
    return "float" if image.dtype.kind == "f" else image.dtype.name
