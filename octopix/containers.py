"""What an image file says about itself before its pixels are decoded: format, orientation, completeness.

OpenCV decodes a JPEG that lost its end as if grey were the picture, turns CMYK into wrong RGB, and treats the
EXIF orientation differently from version to version. So the containers are walked here first.
Sources: ITU-T T.81 (JPEG), W3C PNG third edition, RFC 9649 (WebP), the BITMAPINFOHEADER of Windows, CIPA DC-008 (EXIF).
"""

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from octopix.errors import ImageError

READABLE = "a PNG, JPEG, BMP or WebP image"

_EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_END_OF_IMAGE, _EXIF_SEGMENT = 0xD9, 0xE1
_STANDALONE_MARKERS = {0x01, 0xD8}
_FRAME_HEADERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Skips entropy-coded bytes: there 0xFF is followed by a stuffed zero or belongs to a restart marker (D0..D7).
_NEXT_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_PNG_GREY, _PNG_GREY_ALPHA = 0, 4
_PNG_ONE_FRAME = b"\0\0\0\1"
_WEBP_ANIMATED = 0x02
_BMP_UNCOMPRESSED = {0, 3}


@dataclass(frozen=True)
class Container:
    """What the headers of a complete image file say."""

    orientation: int = 1
    """EXIF orientation, 1..8; 1 is upright."""
    grey_alpha: bool = False
    """Grey with an alpha channel, which OpenCV widens to four channels."""
    transparent_grey: int | None = None
    """The grey level, in the scale of the decoded pixels, that stands for "transparent"; OpenCV drops it."""


@dataclass(frozen=True)
class _File:
    """The bytes of a file, read within bounds."""

    path: Path
    content: bytes

    def take(self, start: int, length: int) -> bytes:
        part = self.content[start : start + length]
        if len(part) < length:
            raise self.truncated()
        return part

    def number(self, start: int, layout: str) -> int:
        return int(struct.unpack(layout, self.take(start, struct.calcsize(layout)))[0])

    def truncated(self) -> ImageError:
        size = len(self.content)
        return self.error("a complete image", f"a truncated one ({size} bytes)", "copy or download it again")

    def animated(self, form: str) -> ImageError:
        return self.error("a still image", f"an animated {form}", "save one of its frames first")

    def error(self, expected: str, got: str, do: str) -> ImageError:
        return ImageError(expected=f"{expected} in {self.path}", got=got, do=do)


def probe(content: bytes, path: Path) -> Container:
    """Walk the headers of an image file.

    Args:
        content: the whole file.
        path: its name, for messages.

    Raises:
        ImageError: empty, not an image of a known format, truncated, damaged, CMYK, or animated.
    """
    file = _File(path, content)
    if not content:
        raise file.error(READABLE, "an empty file", "copy or download it again")
    for pattern, walk in _WALKERS.items():
        if re.match(pattern, content, re.DOTALL):
            return walk(file)
    raise file.error(READABLE, f"a file that begins with {content[:8]!r}", "choose an image, or convert this to PNG")


def _walk_png(file: _File) -> Container:
    kind, at, key, exif = b"", 8, b"", b""
    depth, colour = file.number(24, ">B"), file.number(25, ">B")
    while kind != b"IEND":
        length, kind = file.number(at, ">I"), file.take(at + 4, 4)
        body = file.take(at + 8, length)
        if file.number(at + 8 + length, ">I") != zlib.crc32(body, zlib.crc32(kind)):
            raise file.error("an intact PNG", "a checksum that does not fit", "copy or download it again")
        if kind == b"acTL" and body[:4] != _PNG_ONE_FRAME:
            raise file.animated("PNG")
        key = body if kind == b"tRNS" else key
        exif = body if kind == b"eXIf" else exif
        at += 12 + length
    return Container(
        orientation=_orientation(exif),
        grey_alpha=colour == _PNG_GREY_ALPHA,
        transparent_grey=_decoded_grey(key, depth) if colour == _PNG_GREY and len(key) == 2 else None,
    )


def _decoded_grey(key: bytes, depth: int) -> int:
    """A PNG grey level as it looks after decoding, where 1, 2 and 4 bits are stretched to 8."""
    level = int.from_bytes(key, "big")
    return level if depth >= 8 else level * 255 // ((1 << depth) - 1)


def _walk_jpeg(file: _File) -> Container:
    at, orientation = 2, 1
    while True:
        found = _NEXT_MARKER.search(file.content, at)
        if found is None:
            raise file.truncated()
        marker, at = found[1][0], found.end()
        if marker == _END_OF_IMAGE:
            return Container(orientation=orientation)
        if marker in _STANDALONE_MARKERS:
            continue
        segment = file.take(at, file.number(at, ">H"))
        if marker in _FRAME_HEADERS:
            _check_frame(file, segment)
        elif marker == _EXIF_SEGMENT and segment[2:8] == _EXIF_PREFIX:
            orientation = _orientation(segment[2:])
        at += max(2, len(segment))


def _check_frame(file: _File, segment: bytes) -> None:
    """A JPEG frame header: length (2 bytes), bits, height (2), width (2), number of components, ..."""
    if segment[7:8] == b"\x04":
        raise file.error("grey or RGB colours", "CMYK (4 components)", "convert it to sRGB first")
    if segment[2:3] != b"\x08":
        raise file.error("8 bits per sample", "a JPEG of another depth", "convert it to a 16-bit PNG first")


def _walk_webp(file: _File) -> Container:
    end = 8 + file.number(4, "<I")
    if len(file.content) < end:
        raise file.truncated()
    at, orientation = 12, 1
    while at + 8 <= end:
        kind, length = file.take(at, 4), file.number(at + 4, "<I")
        body = file.take(at + 8, length)
        if kind == b"VP8X" and not body:
            raise file.error("an intact WebP", "an empty header", "copy or download it again")
        if kind == b"VP8X" and body[0] & _WEBP_ANIMATED:
            raise file.animated("WebP")
        if kind == b"EXIF":
            orientation = _orientation(body)
        at += 8 + length + length % 2
    return Container(orientation=orientation)


def _walk_bmp(file: _File) -> Container:
    pixels, width, height = file.number(10, "<I"), file.number(18, "<i"), file.number(22, "<i")
    bits, compression = file.number(28, "<H"), file.number(30, "<I")
    row = (abs(width) * bits + 31) // 32 * 4
    if compression in _BMP_UNCOMPRESSED and len(file.content) < pixels + row * abs(height):
        raise file.truncated()
    return Container()


def _orientation(exif: bytes) -> int:
    """The orientation in an EXIF block; 1 when it has none or is malformed, as all viewers do."""
    block = exif.removeprefix(_EXIF_PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if order and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


_WALKERS: Mapping[bytes, Callable[[_File], Container]] = {
    rb"\x89PNG\r\n\x1a\n": _walk_png,
    rb"\xff\xd8\xff": _walk_jpeg,
    rb"RIFF....WEBP": _walk_webp,
    # "BM" alone begins many a text; a header's length follows. Not the 12 bytes of OS/2: OpenCV reads those as grey.
    rb"BM.{12}[\x28\x34\x38\x40\x6c\x7c]\0\0\0": _walk_bmp,
}
