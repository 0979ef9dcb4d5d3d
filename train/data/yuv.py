"""Raw video: I420 frames one after the other, no header; and the way from RGB to I420 and back.

I420 is 8-bit 4:2:0: the luma plane, then Cb and Cr at half size each way. A frame in memory has the shape OpenCV uses,
uint8 (H·3/2, W). OpenCV's conversion is BT.601 studio swing, chroma taken from the upper left pixel of each 2×2 block.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from octopix.errors import DataError, ImageError
from octopix.files import replacing
from octopix.images import Array


@dataclass(frozen=True)
class FrameSize:
    """Width and height of a frame in pixels, both even; written as video people write it, ``480x320``.

    Raises:
        DataError: an odd or non-positive side.
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 2 or self.width % 2 or self.height % 2:
            raise DataError(
                expected="even width and height, as 4:2:0 halves both for chroma",
                got=str(self),
                do="correct the size, or crop the frames",
            )

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def rows(self) -> int:
        """Rows of the I420 array: those of luma, and half as many again for both chroma planes."""
        return self.height * 3 // 2

    @property
    def bytes(self) -> int:
        """Bytes of one frame."""
        return self.rows * self.width


BSD_SIZE = FrameSize(480, 320)
"""What the QECNN document's ``BSD500train.yuv`` and its like hold: Berkeley photographs without the odd last row."""
_SIZE_IN_NAME = re.compile(r"(?<!\d)(\d{1,5})x(\d{1,5})(?!\d)", re.IGNORECASE)
_BERKELEY = re.compile(r"bsd[ _-]?s?[ _-]?[35]00", re.IGNORECASE)


def size_from_name(path: Path) -> FrameSize:
    """Frame size that the name states: ``clip_480x320.yuv``; ``BSD500….yuv`` is 480x320.

    Raises:
        DataError: the name states none, or one with an odd side.
    """
    stated = _SIZE_IN_NAME.findall(path.name)
    if stated:
        width, height = stated[-1]
        return FrameSize(int(width), int(height))
    if _BERKELEY.match(path.name):
        return BSD_SIZE
    raise DataError(
        expected="the frame size, which raw video does not hold",
        got=f"none in the name {path.name}",
        do="give it, or rename the file like clip_480x320.yuv",
    )


def parse_frame_size(text: str) -> FrameSize:
    """A frame size as it is written: ``480x320``.

    Raises:
        DataError: anything else, or an odd side.
    """
    stated = _SIZE_IN_NAME.fullmatch(text)
    if not stated:
        raise DataError(expected="a frame size like 480x320", got=repr(text), do="correct it")
    return FrameSize(int(stated[1]), int(stated[2]))


def read_i420(path: Path, size: FrameSize | None = None, *, frames: int | None = None) -> Array:
    """All frames of a raw file, mapped and not loaded: uint8 (frames, H·3/2, W).

    Args:
        path: the ``.yuv`` file.
        size: of a frame; read from the name where it is left out.
        frames: how many there must be; any number where it is left out.

    Raises:
        DataError: no such file, no size, not a whole number of frames, or another number than ``frames``.
    """
    size = size or size_from_name(path)
    length = _length(path)
    if not length or length % size.bytes:
        raise DataError(
            expected=f"{path} to hold whole frames of {size}, {size.bytes:,} bytes each",
            got=f"{length:,} bytes, {length / size.bytes:.2f} frames",
            do="correct the size, or copy the file again: it may be cut off",
        )
    count = length // size.bytes
    if frames is not None and count != frames:
        raise DataError(
            expected=f"{frames} frames of {size} in {path}", got=str(count), do="correct the size or the file"
        )
    return np.memmap(path, dtype=np.uint8, mode="r", shape=(count, size.rows, size.width))


def write_i420(path: Path, frames: Sequence[Array]) -> None:
    """Write I420 frames, uint8 (H·3/2, W) of one size, at once or not at all.

    Raises:
        DataError: no frames, or frames of several sizes.
        ImageError: an array that is no I420 frame.
        OctopixError: the place cannot be written, or the disk is full.
    """
    shapes = {frame.shape for frame in frames}
    if len(shapes) != 1:
        raise DataError(
            expected="frames of one size", got=f"{len(shapes)} sizes" if shapes else "no frame", do="crop them first"
        )
    for frame in frames:
        _check_i420(frame)
    with replacing(path) as part, part.open("wb") as stream:
        for frame in frames:
            stream.write(np.ascontiguousarray(frame).data)


def to_i420(rgb: Array) -> Array:
    """RGB uint8 (H, W, 3), H and W even, as I420 uint8 (H·3/2, W), by OpenCV.

    Raises:
        ImageError: another shape or dtype.
        DataError: odd sides.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(expected="RGB (H, W, 3) of uint8", got=f"{rgb.shape} of {rgb.dtype}", do="convert it first")
    FrameSize(rgb.shape[1], rgb.shape[0])
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2YUV_I420)


def to_rgb(frame: Array) -> Array:
    """I420 uint8 (H·3/2, W) as RGB uint8 (H, W, 3), by OpenCV.

    Raises:
        ImageError: an array that is no I420 frame.
    """
    _check_i420(frame)
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_YUV2RGB_I420)


def read_twins(good: Path, poor: Path, size: FrameSize | None = None) -> tuple[Array, Array]:
    """`read_i420` of a raw file and its compressed twin: ``(poor, good)`` of one shape.

    Raises:
        DataError: a file that `read_i420` refuses, or twins that differ in size or number of frames.
    """
    size = size or size_from_name(good)
    frames = read_i420(good, size)
    return read_i420(poor, size, frames=len(frames)), frames


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(
            expected=f"raw video at {path}", got=error.strerror or str(error), do="correct the path"
        ) from error


def _check_i420(frame: Array) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 2 or frame.shape[0] % 3 or frame.shape[1] % 2:
        raise ImageError(
            expected="an I420 frame (H·3/2, W) of uint8", got=f"{frame.shape} of {frame.dtype}", do="convert it first"
        )
