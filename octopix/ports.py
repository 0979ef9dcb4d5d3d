"""Between a picture's values and what a network's input and output store."""

import numpy as np

from octopix.images import Array, to_bytes, to_unit
from octopix.runtime import Session

_BYTE_SCALE = 1 / 255


def plane_bytes(plane: Array) -> Array:
    """What a network gave, as uint8: floats, 0 black and 1 white, are clipped and rounded half up; uint8 stays."""
    return plane if plane.dtype == np.uint8 else to_bytes(plane)


def unit(plane: Array) -> Array:
    """Integers over their full range as float32 in [0, 1]; floats stay."""
    return plane if plane.dtype.kind == "f" else to_unit(plane)


def to_depth(plane: Array, dtype: np.dtype[np.generic]) -> Array:
    """Clip and round half up to a picture's depth, uint8 or uint16."""
    if dtype == np.uint8:
        return plane_bytes(plane)
    levels: Array = np.clip(plane, 0, 1).astype(np.float64) * 65535
    return np.floor(levels + 0.5).astype(np.uint16)


def encode(plane: Array, session: Session) -> Array:
    """Values as the network's input stores them: value = scale · (stored − zero point)."""
    if session.input_dtype.kind == "f":
        return unit(plane).astype(session.input_dtype, copy=False)
    if _holds_bytes(session.input_dtype, session.input_quantization):
        return plane_bytes(plane if plane.dtype == np.uint8 else unit(plane))
    scale, zero_point = session.input_quantization
    limits = np.iinfo(session.input_dtype)
    levels: Array = np.floor(unit(plane) / np.float32(scale) + np.float32(0.5)) + zero_point
    return np.clip(levels, limits.min, limits.max).astype(session.input_dtype)


def decode(stored: Array, session: Session) -> Array:
    """What the network's output stores as float32 values, or as uint8 where it is a picture of 8 bits."""
    if stored.dtype.kind == "f" or _holds_bytes(session.output_dtype, session.output_quantization):
        return stored
    scale, zero_point = session.output_quantization
    values: Array = (stored.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values


def decoded_dtype(session: Session) -> np.dtype[np.generic]:
    """Element type of what `decode` gives."""
    if _holds_bytes(session.output_dtype, session.output_quantization):
        return np.dtype(np.uint8)
    return session.output_dtype if session.output_dtype.kind == "f" else np.dtype(np.float32)


def _holds_bytes(dtype: np.dtype[np.generic], quantization: tuple[float, int]) -> bool:
    """Whether the stored values are an 8-bit picture: uint8, scale 1/255 (to float32's precision), zero point 0."""
    scale, zero_point = quantization
    return dtype == np.uint8 and zero_point == 0 and abs(scale / _BYTE_SCALE - 1) < 1e-6
