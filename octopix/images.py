"""Pictures in files and in memory: reading, writing, value ranges, BT.601 colour, crops.

Pixels are (height, width, channels), RGB or grey, never BGR. ICC profiles are neither read nor written:
values are taken as sRGB, as super-resolution papers do.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from octopix import files
from octopix.containers import READABLE, Container, probe
from octopix.errors import ImageError
from octopix.native import lines_taken

Array = npt.NDArray[Any]

JPEG_QUALITY = 95

# libjpeg fills what is missing and says so on stderr only. Bytes too many before the end mark (D9) harm no pixel.
_JPEG_DAMAGE = re.compile(rb"^(Premature end of JPEG|Corrupt JPEG data: (?!bad ICC|.*before marker 0xd9))")

# ITU-R BT.601-7, 8-bit studio swing: [0, 1] RGB to Y 16..235 and Cb, Cr 16..240, as MATLAB's rgb2ycbcr writes it.
_TO_YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_YCBCR_OFFSET = (16.0, 128.0, 128.0)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory.

    Raises:
        ImageError: shapes or dtypes other than those below, or no pixels.
    """

    pixels: Array
    """(H, W, C), C = 1 grey or 3 RGB, uint8 or uint16."""
    alpha: Array | None = None
    """(H, W) of the same dtype, 0 transparent, not multiplied into the pixels; None where all is opaque."""

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        known = pixels.dtype in (np.uint8, np.uint16) and pixels.ndim == 3 and pixels.shape[2] in (1, 3)
        if not known or not pixels.size:
            raise _wrong_array("pixels (H, W, 1 or 3) of uint8 or uint16", pixels)
        if alpha is not None and (alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype):
            raise _wrong_array(f"an alpha of shape {pixels.shape[:2]} and {pixels.dtype}", alpha)


@dataclass(frozen=True)
class _Format:
    """What a file format can hold, and how OpenCV is told to write it."""

    alpha: bool
    sixteen_bit: bool
    options: tuple[int, ...]


_JPEG = _Format(
    alpha=False,
    sixteen_bit=False,
    # Full-resolution chroma: a restored picture should not lose half its colour detail on the way to disk.
    options=(
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ),
)
_FORMATS: Mapping[str, _Format] = {
    ".png": _Format(alpha=True, sixteen_bit=True, options=()),
    ".webp": _Format(alpha=True, sixteen_bit=False, options=(cv2.IMWRITE_WEBP_QUALITY, 101)),  # over 100: lossless
    ".bmp": _Format(alpha=False, sixteen_bit=False, options=()),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}
WRITABLE_SUFFIXES = tuple(_FORMATS)


def read_picture(path: Path) -> Picture:
    """Read a PNG, JPEG, BMP or WebP file; the format is found by content, not by name.

    8 and 16 bits are kept as they are, palettes become RGB, 1, 2 and 4 bits become 8. The EXIF orientation is applied.

    Raises:
        ImageError: missing, unreadable, empty, truncated, damaged, not an image, CMYK or animated.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(
            expected=f"{READABLE} at {path}", got=error.strerror or str(error), do="check the path and its permissions"
        ) from error
    container = probe(content, path)
    return _picture(_decode(content, path), container)


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture, at once or not at all; the format goes by the suffix, one of ``WRITABLE_SUFFIXES``.

    PNG and WebP are lossless; JPEG has quality 95 without chroma subsampling. Grey with alpha is stored as RGBA.

    Raises:
        ImageError: unknown suffix, or a format that cannot hold this picture's depth, alpha or size.
        OctopixError: the place cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(WRITABLE_SUFFIXES)
        raise ImageError(expected=f"a name that ends in {known}", got=f"{path.name!r}", do="rename the output")
    form = _FORMATS[suffix]
    if picture.alpha is not None and not form.alpha:
        raise ImageError(expected=f"no alpha for {suffix}", got="a picture with alpha", do="write .png or .webp")
    if picture.pixels.dtype == np.uint16 and not form.sixteen_bit:
        raise ImageError(expected=f"8 bits for {suffix}", got="a 16-bit picture", do="write .png")
    files.write_bytes(path, _encode(picture, suffix, form))


def to_unit(pixels: Array) -> npt.NDArray[np.float32]:
    """Integer pixels of any shape as float32 in [0, 1]: uint8 / 255 or uint16 / 65535.

    Raises:
        ImageError: another dtype.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise _wrong_array("uint8 or uint16 pixels", pixels)
    unit = pixels.astype(np.float32)
    unit /= np.float32(np.iinfo(pixels.dtype).max)
    return unit


def to_bytes(unit: Array) -> npt.NDArray[np.uint8]:
    """Floats, 0 black and 1 white, of any shape as uint8: clipped to [0, 1], times 255, rounded half up.

    Raises:
        ImageError: not floating point.
    """
    if not np.issubdtype(unit.dtype, np.floating):
        raise _wrong_array("floats, 0 black and 1 white", unit)
    levels = np.clip(unit, 0, 1)
    levels *= 255
    levels += 0.5  # the cast below cuts the fraction off
    return levels.astype(np.uint8)


def rgb_to_ycbcr(rgb: Array) -> Array:
    """RGB to YCbCr, ITU-R BT.601 studio swing, the same as MATLAB's ``rgb2ycbcr`` of floats.

    Args:
        rgb: (..., 3) float32 or float64 in [0, 1].

    Returns:
        Same shape and dtype, [0, 1] scale: Y in 16/255..235/255, Cb and Cr in 16/255..240/255.

    Raises:
        ImageError: another shape or dtype.
    """
    return _affine(rgb, np.divide(_TO_YCBCR, 255), np.divide(_YCBCR_OFFSET, 255))


def ycbcr_to_rgb(ycbcr: Array) -> Array:
    """The inverse of :func:`rgb_to_ycbcr`; colours outside the RGB cube are not clipped.

    Raises:
        ImageError: another shape or dtype than (..., 3) of float32 or float64.
    """
    inverse = np.linalg.inv(np.divide(_TO_YCBCR, 255))
    return _affine(ycbcr, inverse, -inverse @ np.divide(_YCBCR_OFFSET, 255))


def luma(pixels: Array) -> npt.NDArray[np.float64]:
    """BT.601 luma as super-resolution papers use it, not rounded.

    Args:
        pixels: (H, W, 1 or 3) uint8, grey or RGB.

    Returns:
        (H, W) float64; 16..235 from RGB. Grey is passed through as it is, 0..255, as the papers' code does.

    Raises:
        ImageError: another shape or dtype.
    """
    _check_bytes(pixels)
    if pixels.shape[2] == 1:
        return pixels[..., 0].astype(np.float64)
    exact = _scaled_luma(pixels) / 255_000.0
    exact += 16
    return exact


def luma_bytes(pixels: Array) -> npt.NDArray[np.uint8]:
    """:func:`luma` rounded half up to uint8, in exact integer arithmetic: the plane of protocol ``y``."""
    _check_bytes(pixels)
    if pixels.shape[2] == 1:
        return pixels[..., 0].copy()
    scaled = _scaled_luma(pixels)
    scaled += 16 * 255_000 + 127_500
    scaled //= 255_000
    return scaled.astype(np.uint8)


def shave(image: Array, border: int) -> Array:
    """Cut ``border`` pixels off each side of an (H, W, ...) image; a view.

    Raises:
        ImageError: a negative border, or nothing is left.
    """
    height, width = image.shape[:2]
    if border < 0 or min(height, width) <= 2 * border:
        raise ImageError(
            expected=f"an image of more than {2 * border} pixels a side, and a border of 0 or more",
            got=f"{height}x{width} and a border of {border}",
            do="use a larger image or a smaller border",
        )
    return image[border : height - border, border : width - border]


def crop_to_multiple(image: Array, multiple: int) -> Array:
    """The largest top-left part of an (H, W, ...) image whose sides are multiples of ``multiple``; a view.

    Super-resolution papers call this modcrop.

    Raises:
        ImageError: the image is smaller than ``multiple``.
    """
    height, width = image.shape[:2]
    if multiple < 1 or min(height, width) < multiple:
        raise ImageError(
            expected=f"an image of at least {multiple}x{multiple}, and a multiple of 1 or more",
            got=f"{height}x{width}",
            do="use a larger image",
        )
    return image[: height - height % multiple, : width - width % multiple]


def _decode(content: bytes, path: Path) -> Array:
    """(H, W, C) in OpenCV's channel order, C = 1, 3 or 4."""
    try:
        # IMREAD_UNCHANGED never turns the picture: orientation is ours to apply, the same under every OpenCV.
        with lines_taken(_JPEG_DAMAGE) as complaints:
            decoded: Array | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(
            expected=f"{READABLE} of at most 2^30 pixels at {path}",
            got=f"one OpenCV refuses ({error.err})",
            do="cut it into smaller pictures",
        ) from error
    if complaints:
        raise ImageError(
            expected=f"a complete image at {path}",
            got=f"a damaged one ({complaints[0].decode(errors='replace')})",
            do="copy or download it again",
        )
    if decoded is None:
        raise ImageError(
            expected=f"{READABLE} at {path}",
            got="a damaged one, or a variant that OpenCV does not decode",
            do="copy it again, or convert it to PNG first",
        )
    return decoded if decoded.ndim == 3 else decoded[..., None]


def _picture(decoded: Array, container: Container) -> Picture:
    """Split colour from alpha, put RGB in order, turn upright."""
    turn = _TURNS[container.orientation]
    colour, alpha = decoded, None
    if decoded.shape[2] == 4:
        alpha = decoded[..., 3]
        colour = decoded[..., :1] if container.grey_alpha else cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGB)
    elif decoded.shape[2] == 3:
        colour = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    elif container.transparent_grey is not None:
        opaque = np.iinfo(decoded.dtype).max
        alpha = np.where(decoded[..., 0] == container.transparent_grey, 0, opaque).astype(decoded.dtype)
    return Picture(
        pixels=np.ascontiguousarray(turn(colour)),
        alpha=None if alpha is None else np.ascontiguousarray(turn(alpha)),
    )


def _encode(picture: Picture, suffix: str, form: _Format) -> memoryview:
    """The file's content, not copied once more: of a large picture it is large itself."""
    pixels = picture.pixels
    if picture.alpha is not None:
        colour = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
        pixels = np.dstack([colour[..., ::-1], picture.alpha])
    elif pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    try:
        done, encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels), form.options)
    except cv2.error as error:
        raise _unencodable(picture, suffix) from error
    if not done:
        raise _unencodable(picture, suffix)
    return encoded.data


def _unencodable(picture: Picture, suffix: str) -> ImageError:
    height, width = picture.pixels.shape[:2]
    return ImageError(expected=f"a picture that {suffix} can hold", got=f"{height}x{width} pixels", do="write .png")


def _affine(image: Array, matrix: Array, offset: Array) -> Array:
    """``matrix @ pixel + offset`` for every pixel; OpenCV does it in one pass over memory."""
    if image.dtype not in (np.float32, np.float64) or image.shape[-1:] != (3,):
        raise _wrong_array("(..., 3) of float32 or float64", image)
    if not image.size:
        return image.copy()
    return cv2.transform(image.reshape(-1, 1, 3), np.column_stack([matrix, offset])).reshape(image.shape)


def _scaled_luma(rgb: Array) -> npt.NDArray[np.int32]:
    """255,000 times the luma above black. Integers are exact: ties round the same way on every machine."""
    # Widened first: NumPy 1 would multiply uint8 by a scalar in 16 bits, and overflow.
    scaled = rgb[..., 0].astype(np.int32)
    scaled *= 65_481
    for channel, weight in ((1, 128_553), (2, 24_966)):
        part = rgb[..., channel].astype(np.int32)
        part *= weight
        scaled += part
    return scaled


def _check_bytes(pixels: Array) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise _wrong_array("pixels (H, W, 1 or 3) of uint8", pixels)


def _wrong_array(expected: str, got: Array) -> ImageError:
    return ImageError(
        expected=expected, got=f"shape {got.shape} of {got.dtype}", do="convert it, channels last, before the call"
    )


# EXIF orientation: how the stored rows and columns become the upright picture.
_TURNS: Mapping[int, Callable[[Array], Array]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
