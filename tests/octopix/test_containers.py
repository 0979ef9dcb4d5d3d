"""Image files that are cut, damaged, foreign or odd: each is read right or refused in words, never guessed."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage import data

from octopix.errors import ImageError
from octopix.images import Picture, read_picture

COLOUR = data.astronaut()[100:164, 200:281]


def saved(form: str, *, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


FILES = {
    "png": lambda: saved("PNG"),
    "jpeg": lambda: saved("JPEG"),
    "progressive jpeg": lambda: saved("JPEG", progressive=True),
    "jpeg with restart markers": lambda: saved("JPEG", restart_marker_blocks=2),
    "bmp": lambda: saved("BMP"),
    "palette bmp": lambda: saved("BMP", mode="P"),
    "webp": lambda: saved("WEBP"),
    "lossless webp": lambda: saved("WEBP", lossless=True),
    "webp with alpha": lambda: saved("WEBP", mode="RGBA", exif=exif(3)),
}


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


@pytest.fixture
def read(tmp_path):
    def read(content: bytes) -> Picture:
        (tmp_path / "picture").write_bytes(content)
        return read_picture(tmp_path / "picture")

    return read


@pytest.mark.parametrize("form", FILES)
def test_a_file_cut_anywhere_is_refused(form, read, capfd):
    content = FILES[form]()
    assert read(content).pixels.shape == COLOUR.shape
    cuts = {*range(1, 40), *range(40, len(content), len(content) // 40), *range(len(content) - 4, len(content))}
    for length in sorted(cuts):
        with pytest.raises(ImageError, match=r"expected .*, got .*(truncated|begins with).*; "):
            read(content[:length])
    # Refused by the container, before OpenCV could print its own complaints.
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("form", ["png", "jpeg", "progressive jpeg", "jpeg with restart markers"])
def test_a_file_that_lost_its_end_to_zeros_is_refused(form, read):
    """What a killed download leaves of a file of preallocated size; BMP and WebP have no mark that would show it."""
    content = FILES[form]()
    kept = len(content) // 2
    with pytest.raises(ImageError, match=r"truncated|checksum"):
        read(content[:kept] + bytes(len(content) - kept))


@pytest.mark.parametrize("form", [form for form in FILES if "jpeg" in form])
def test_a_jpeg_that_was_cut_and_ended_anew_is_refused(form, read, capfd):
    content = FILES[form]()
    with pytest.raises(ImageError, match="a complete image"):
        read(content[: len(content) * 2 // 3] + b"\xff\xd9")
    assert capfd.readouterr().err == ""
    assert read(content[:-2] + bytes(5) + content[-2:]).pixels.shape == COLOUR.shape


@pytest.mark.parametrize("form", FILES)
def test_damage_never_ends_in_a_traceback(form, read, capfd):
    content = FILES[form]()
    rng = np.random.default_rng(sum(form.encode()))
    for _ in range(150):
        damaged = bytearray(content)
        # Half of the damage falls on the headers.
        reach = rng.choice([min(64, len(content)), len(content)])
        for place in rng.integers(0, reach, 3):
            damaged[place] = rng.integers(0, 256)
        with contextlib.suppress(ImageError):
            assert read(bytes(damaged)).pixels.shape[2] in (1, 3)


def test_a_flipped_bit_in_a_png_is_noticed(read):
    content = bytearray(FILES["png"]())
    content[len(content) // 2] ^= 1
    with pytest.raises(ImageError, match="checksum"):
        read(bytes(content))


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def test_the_end_mark_of_a_thumbnail_does_not_end_the_picture(read):
    content = FILES["jpeg"]()
    thumbnail = segment(0xE2, FILES["jpeg"]())
    whole = content[:2] + thumbnail + content[2:]
    np.testing.assert_array_equal(read(whole).pixels, read(content).pixels)
    with pytest.raises(ImageError, match="truncated"):
        read(whole[:-300])


@pytest.mark.parametrize("form", FILES)
def test_bytes_after_the_end_are_ignored(form, read):
    content = FILES[form]()
    np.testing.assert_array_equal(read(content + b"motion photo").pixels, read(content).pixels)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\n", "begins with"),
        (b"BMW builds cars, and these words are no picture.", "begins with"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "begins with"),
        (b"BM" + struct.pack("<IHHI", 34, 0, 0, 26) + struct.pack("<IHHHH", 12, 2, 1, 1, 24) + bytes(8), "begins with"),
        (saved("GIF"), "begins with"),
        (saved("TIFF"), "begins with"),
        (saved("JPEG", mode="CMYK"), "CMYK"),
        (saved("WEBP", save_all=True, append_images=[Image.new("RGB", (81, 64))]), "animated WebP"),
        (saved("PNG", save_all=True, append_images=[Image.new("RGB", (81, 64))]), "animated PNG"),
        (b"RIFF\x0c\0\0\0WEBPVP8X\0\0\0\0", "an empty header"),
        (saved("JPEG").replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"), "another depth"),
    ],
    ids=["empty", "newline", "text", "sound", "os/2 bitmap", "gif", "tiff", "cmyk", "webp", "apng", "vp8x", "12-bit"],
)
def test_what_is_not_read_is_named(content, words, read):
    with pytest.raises(ImageError, match=rf"expected .*picture, got .*{words}.*; ") as caught:
        read(content)
    assert caught.value.do


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"absent\.png, got No such file"):
        read_picture(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="Is a directory"):
        read_picture(tmp_path)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_header_that_claims_billions_of_pixels_is_refused(read):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match=r"2\^30 pixels"):
        read(b"\x89PNG\r\n\x1a\n" + body)


def test_pixels_that_are_missing_inside_an_intact_png_are_noticed(read, capfd):
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="damaged"):
        read(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II",
        b"XX*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0",
    ],
    ids=["empty", "short", "no byte order", "points outside", "too many entries", "9", "0"],
)
def test_malformed_exif_leaves_the_picture_as_stored(block, read):
    content = FILES["jpeg"]()
    marked = content[:2] + segment(0xE1, b"Exif\0\0" + block) + content[2:]
    np.testing.assert_array_equal(read(marked).pixels, read(content).pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_read_in_both_byte_orders(order, read):
    mark = {"<": b"II", ">": b"MM"}[order]
    block = mark + struct.pack(f"{order}HIHHHIHH", 42, 8, 1, 0x0112, 3, 1, 6, 0)
    content = FILES["jpeg"]()
    marked = content[:2] + segment(0xE1, b"Exif\0\0" + block) + content[2:]
    np.testing.assert_array_equal(read(marked).pixels, np.rot90(read(content).pixels, -1))


def test_bitmaps_are_read_upside_down_too(read):
    rows = bytes([1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0])  # 2x2 pixels, BGR, rows padded to 4 bytes
    for height, expected in ((2, [[9, 8, 7], [3, 2, 1]]), (-2, [[3, 2, 1], [9, 8, 7]])):
        header = struct.pack("<IiiHHIIiiII", 40, 2, height, 1, 24, 0, 16, 0, 0, 0, 0)
        content = b"BM" + struct.pack("<IHHI", 70, 0, 0, 54) + header + rows
        assert read(content).pixels[:, 0].tolist() == expected
        with pytest.raises(ImageError, match="truncated"):
            read(content[:-1])
