"""Pictures through files and colour spaces, checked with Pillow and scikit-image as independent readers and writers."""

import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data
from skimage.color import rgb2ycbcr

from octopix.errors import ImageError, OctopixError
from octopix.images import (
    Picture,
    crop_to_multiple,
    luma,
    luma_bytes,
    read_picture,
    rgb_to_ycbcr,
    shave,
    to_bytes,
    to_unit,
    write_picture,
    ycbcr_to_rgb,
)
from octopix.metrics import psnr

COLOUR = data.astronaut()[100:164, 200:281]
GREY = data.camera()[100:133, 50:101, None]
ALPHA = np.arange(64 * 81, dtype=np.uint32).reshape(64, 81).astype(np.uint8)  # all levels, 0 included
DEEP = COLOUR.astype(np.uint16) * 257 + np.arange(81, dtype=np.uint16)[None, :, None] % 7

PICTURES = {
    "colour": Picture(COLOUR),
    "grey": Picture(GREY),
    "alpha": Picture(COLOUR, ALPHA),
    "16-bit": Picture(DEEP),
    "16-bit grey": Picture(DEEP[..., :1]),
    "16-bit alpha": Picture(DEEP, DEEP[..., 1]),
    "1x1": Picture(COLOUR[:1, :1]),
}
LOSSLESS = [(kind, ".png") for kind in PICTURES]
LOSSLESS += [("colour", ".bmp"), ("grey", ".bmp"), ("1x1", ".bmp"), ("colour", ".webp"), ("1x1", ".webp")]


@pytest.mark.parametrize(("kind", "suffix"), LOSSLESS)
def test_lossless_formats_give_back_what_was_written(tmp_path, kind, suffix):
    picture, path = PICTURES[kind], tmp_path / f"picture{suffix}"
    write_picture(path, picture)
    back = read_picture(path)
    assert back.pixels.dtype == picture.pixels.dtype
    np.testing.assert_array_equal(back.pixels, picture.pixels)
    np.testing.assert_array_equal(back.alpha, picture.alpha)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".PNG"])
def test_other_programs_see_the_colours_we_wrote(tmp_path, suffix):
    write_picture(tmp_path / f"picture{suffix}", Picture(COLOUR))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"picture{suffix}").convert("RGB")), COLOUR)


def test_webp_keeps_alpha_and_the_colours_that_show(tmp_path):
    write_picture(tmp_path / "picture.webp", Picture(COLOUR, ALPHA))
    back = read_picture(tmp_path / "picture.webp")
    np.testing.assert_array_equal(back.alpha, ALPHA)
    np.testing.assert_array_equal(back.pixels[ALPHA > 0], COLOUR[ALPHA > 0])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_is_close_in_every_channel(tmp_path, suffix):
    write_picture(tmp_path / f"picture{suffix}", Picture(COLOUR))
    back = read_picture(tmp_path / f"picture{suffix}").pixels
    for channel in range(3):
        # Seen: 40.2, 42.1 and 38.0 dB. Subsampled chroma would leave 35.9 in blue, swapped channels 13.
        assert psnr(COLOUR[..., channel], back[..., channel]) > 37


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".jpg"])
def test_grey_is_grey_in_every_format(tmp_path, suffix):
    write_picture(tmp_path / f"picture{suffix}", Picture(GREY))
    back = read_picture(tmp_path / f"picture{suffix}").pixels
    assert back.shape[:2] == GREY.shape[:2]
    # WebP has no grey: it comes back as three equal channels.
    assert back.shape[2] == (3 if suffix == ".webp" else 1)
    assert psnr(GREY.repeat(back.shape[2], axis=2), back) > 36  # infinite but for JPEG


def test_grey_with_alpha_is_written_as_colour(tmp_path):
    write_picture(tmp_path / "picture.png", Picture(COLOUR[..., :1], ALPHA))
    back = read_picture(tmp_path / "picture.png")
    np.testing.assert_array_equal(back.pixels, COLOUR[..., :1].repeat(3, axis=2))
    np.testing.assert_array_equal(back.alpha, ALPHA)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1"])
def test_png_of_every_kind_is_read(tmp_path, mode):
    original = Image.fromarray(np.dstack([COLOUR, ALPHA])).convert(mode)
    original.save(tmp_path / "picture.png")
    back = read_picture(tmp_path / "picture.png")
    expected = np.asarray(original.convert({"P": "RGBA", "1": "L"}.get(mode, mode)))  # this palette has alpha
    expected = expected.reshape(*expected.shape[:2], -1)
    colours = 1 if mode in {"L", "LA", "1"} else 3
    np.testing.assert_array_equal(back.pixels, expected[..., :colours])
    assert (back.alpha is not None) == (mode in {"RGBA", "LA", "P"})
    if back.alpha is not None:
        np.testing.assert_array_equal(back.alpha, expected[..., -1])


def png(header: tuple[int, int, int, int], rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG built by the standard, for kinds that no writer here makes; header: width, height, depth, colour type."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    framed = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def test_sixteen_bits_are_read_in_the_right_order(tmp_path):
    (tmp_path / "deep.png").write_bytes(png((2, 1, 16, 2), b"\0" + struct.pack(">6H", 1, 2, 300, 40000, 5, 65535)))
    np.testing.assert_array_equal(read_picture(tmp_path / "deep.png").pixels, [[[1, 2, 300], [40000, 5, 65535]]])


@pytest.mark.parametrize(
    ("depth", "row", "key", "levels"),
    [
        (8, bytes([7, 200, 7]), 7, [7, 200, 7]),
        (16, struct.pack(">3H", 7, 50000, 7), 7, [7, 50000, 7]),
        (2, bytes([0b01_11_01_00]), 1, [85, 255, 85]),
    ],
)
def test_the_transparent_level_of_a_grey_png_becomes_alpha(tmp_path, depth, row, key, levels):
    (tmp_path / "key.png").write_bytes(png((3, 1, depth, 0), b"\0" + row, (b"tRNS", struct.pack(">H", key))))
    picture = read_picture(tmp_path / "key.png")
    opaque = np.iinfo(picture.pixels.dtype).max
    np.testing.assert_array_equal(picture.pixels[0, :, 0], levels)
    np.testing.assert_array_equal(picture.alpha, [[0, opaque, 0]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_orientation_is_applied_to_pixels_and_alpha(tmp_path, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(COLOUR if form == "jpeg" else np.dstack([COLOUR, ALPHA | 1]))
    path = tmp_path / f"picture.{form}"
    stored.save(path, exif=exif, **({"lossless": True, "exact": True} if form == "webp" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    picture = read_picture(path)
    assert picture.pixels.shape == (*expected.shape[:2], 3)
    # Two JPEG decoders may differ by a few levels in chroma upsampling; a wrong turn differs by hundreds.
    tolerance = 4 if form == "jpeg" else 0
    np.testing.assert_allclose(picture.pixels.astype(int), expected[..., :3].astype(int), atol=tolerance)
    if form != "jpeg":
        np.testing.assert_array_equal(picture.alpha, expected[..., 3])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("picture.jpg", "alpha"),
        ("picture.bmp", "alpha"),
        ("picture.jpg", "16-bit"),
        ("picture.webp", "16-bit"),
        ("picture.tiff", "colour"),
        ("picture", "colour"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, name, kind):
    with pytest.raises(ImageError, match=r"expected .*, got .*; (write|rename)"):
        write_picture(tmp_path / name, PICTURES[kind])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, capfd):
    write_picture(tmp_path / "picture.webp", Picture(COLOUR))
    with pytest.raises(ImageError, match="1x20000"):
        write_picture(tmp_path / "picture.webp", Picture(np.zeros((1, 20000, 3), np.uint8)))
    assert [path.name for path in tmp_path.iterdir()] == ["picture.webp"]
    np.testing.assert_array_equal(read_picture(tmp_path / "picture.webp").pixels, COLOUR)


def test_an_unwritable_place_is_told(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OctopixError, match=r"expected a writable place .*, got .*; choose"):
        write_picture(tmp_path / "file" / "picture.png", Picture(COLOUR))


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (COLOUR[..., 0], None),
        (COLOUR[..., :2], None),
        (COLOUR / 255, None),
        (COLOUR[:0], None),
        (COLOUR, ALPHA[1:]),
        (COLOUR, ALPHA.astype(np.uint16)),
    ],
)
def test_arrays_that_are_no_picture_are_refused(pixels, alpha):
    with pytest.raises(ImageError, match="shape"):
        Picture(pixels, alpha)


def test_every_level_survives_the_unit_scale():
    levels = np.arange(256, dtype=np.uint8)
    unit = to_unit(levels)
    assert (unit.dtype, unit[0], unit[255]) == (np.float32, 0, 1)
    np.testing.assert_array_equal(to_bytes(unit), levels)
    assert to_unit(np.array([65535, 0], np.uint16)).tolist() == [1, 0]


def test_bytes_are_clipped_and_rounded_half_up():
    # 0.5 and 2.5 levels are exact in float64; NumPy's own rounding would give 0 and 2.
    unit = np.array([-0.1, 0.5 / 255, 2.5 / 255, 1.7, 254.4 / 255])
    assert to_bytes(unit).tolist() == [0, 1, 3, 255, 254]


def test_ycbcr_is_the_one_of_scikit_image():
    rgb = data.chelsea() / 255
    # Both sum three products in float64.
    np.testing.assert_allclose(rgb_to_ycbcr(rgb) * 255, rgb2ycbcr(rgb), rtol=0, atol=1e-10)


def test_ycbcr_of_pure_colours():
    """Values printed in BT.601 for 100 % colour bars: Y 16..235, chroma 16..240."""
    colours = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]], np.float64)
    expected = [[16, 128, 128], [235, 128, 128], [81, 90, 240], [41, 240, 110]]
    np.testing.assert_array_equal(np.round(rgb_to_ycbcr(colours) * 255), expected)


# A round trip multiplies by coefficients up to 2, so it loses a few times the dtype's spacing at 1.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-14)])
def test_ycbcr_goes_there_and_back(dtype, tolerance):
    rgb = (data.coffee()[:50, :60] / 255).astype(dtype)
    there = rgb_to_ycbcr(rgb)
    assert there.dtype == ycbcr_to_rgb(there).dtype == dtype
    np.testing.assert_allclose(ycbcr_to_rgb(there), rgb, rtol=0, atol=tolerance)


def test_luma_is_the_y_of_papers():
    photograph = data.chelsea()
    expected = rgb2ycbcr(photograph)[..., 0]
    # scikit-image rounds its coefficients' products in float64, ours come from whole numbers.
    np.testing.assert_allclose(luma(photograph), expected, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(luma_bytes(photograph), np.floor(expected + 0.5))


def test_luma_spans_studio_swing_and_rounds_ties_up():
    # (65.481 * 0 + 128.553 * 204 + 24.966 * 68) / 255 + 16 is 125.5 exactly.
    pixels = np.array([[[0, 0, 0], [255, 255, 255], [0, 204, 68]]], np.uint8)
    assert luma(pixels).tolist() == [[16, 235, 125.5]]
    assert luma_bytes(pixels).tolist() == [[16, 235, 126]]
    assert Fraction(128_553 * 204 + 24_966 * 68, 255_000) + 16 == Fraction(251, 2)


def test_luma_of_grey_is_grey_itself():
    assert luma(GREY).dtype == np.float64
    np.testing.assert_array_equal(luma(GREY), GREY[..., 0])
    np.testing.assert_array_equal(luma_bytes(GREY), GREY[..., 0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: to_unit(COLOUR / 255),
        lambda: to_bytes(COLOUR),
        lambda: rgb_to_ycbcr(COLOUR),
        lambda: ycbcr_to_rgb(GREY / 255),
        lambda: luma(DEEP),
        lambda: luma_bytes(COLOUR[..., 0]),
    ],
)
def test_colour_functions_name_the_array_they_cannot_use(call):
    with pytest.raises(ImageError, match=r"expected .*, got shape .* of "):
        call()


def test_shave_and_crop_keep_what_they_say():
    image = np.arange(7 * 9).reshape(7, 9)
    assert shave(image, 2).tolist() == [[20, 21, 22, 23, 24], [29, 30, 31, 32, 33], [38, 39, 40, 41, 42]]
    np.testing.assert_array_equal(shave(image, 0), image)
    np.testing.assert_array_equal(crop_to_multiple(image, 4), image[:4, :8])
    assert crop_to_multiple(COLOUR, 8).shape == (64, 80, 3)


@pytest.mark.parametrize("call", [lambda: shave(GREY, 17), lambda: shave(GREY, -1), lambda: crop_to_multiple(GREY, 34)])
def test_cutting_everything_away_is_refused(call):
    with pytest.raises(ImageError, match="33x51"):
        call()


def test_paths_may_be_strings(tmp_path):
    write_picture(str(tmp_path / "picture.png"), Picture(COLOUR))
    np.testing.assert_array_equal(read_picture(str(tmp_path / "picture.png")).pixels, COLOUR)
