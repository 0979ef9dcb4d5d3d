import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from octopix.card import ModelCard
from octopix.errors import ImageError, ModelFileError
from octopix.images import Picture, luma_bytes, read_picture, rgb_to_ycbcr, to_bytes, to_unit, ycbcr_to_rgb
from octopix.resize import bicubic
from octopix.restore import Restorer, plane_bytes


@pytest.fixture(scope="module")
def astronaut(photos: Path) -> Picture:
    return Picture(pixels=read_picture(photos / "astronaut.png").pixels[60:167, 150:301])


@pytest.fixture(scope="module")
def camera(photos: Path) -> Picture:
    return Picture(pixels=read_picture(photos / "camera.png").pixels[100:163, 200:271])


def widened(picture: Picture) -> Picture:
    """The same picture in 16 bits, with low bytes of its own."""
    noise = np.random.default_rng(0).integers(0, 256, picture.pixels.shape, dtype=np.uint16)
    return Picture(pixels=picture.pixels.astype(np.uint16) * 256 + noise)


def nearest(image: np.ndarray) -> np.ndarray:
    return image.repeat(2, axis=0).repeat(2, axis=1)


LUMA_X2 = pytest.mark.parametrize("name", ["nearest", "nearest-uint8", "nearest-int8"])


@LUMA_X2
def test_grey_is_the_plane_itself(models: Mapping[str, Path], camera: Picture, name: str) -> None:
    restored = Restorer(models[name]).restore(camera)

    assert restored.pixels.dtype == np.uint8
    np.testing.assert_array_equal(restored.pixels, nearest(camera.pixels))


@LUMA_X2
def test_colour_is_restored_luma_with_bicubic_chroma(models: Mapping[str, Path], astronaut: Picture, name: str) -> None:
    restored = Restorer(models[name]).restore(astronaut).pixels

    y = nearest(luma_bytes(astronaut.pixels)[..., np.newaxis]).astype(np.float64) / 255
    chroma = bicubic(rgb_to_ycbcr(astronaut.pixels / 255)[..., 1:], scale=2)
    expected = to_bytes(ycbcr_to_rgb(np.concatenate([y, chroma], axis=2)))
    # 1 level: Restorer computes in float32, this in float64, and values near a half round either way.
    difference = np.abs(restored.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


@pytest.mark.parametrize("name", ["gains", "gains-uint8"])
def test_rgb_channels_keep_their_order(
    models: Mapping[str, Path], astronaut: Picture, name: str, gains: tuple[float, ...]
) -> None:
    restored = Restorer(models[name]).restore(astronaut).pixels

    # 0.5 and a little: exact halves are rounded up by float networks, and away from zero by int8 kernels, which
    # see them as negative numbers.
    assert np.abs(restored - astronaut.pixels * np.array(gains)).max() <= 0.5 + 1e-3


def test_grey_through_an_rgb_network_is_the_mean_of_the_three(
    models: Mapping[str, Path], camera: Picture, gains: tuple[float, ...]
) -> None:
    restored = Restorer(models["gains"]).restore(camera).pixels

    assert restored.shape == camera.pixels.shape
    assert np.abs(restored - camera.pixels * np.mean(gains)).max() <= 0.5 + 1e-3  # rounding, and float32


def test_16_bits_stay_through_float_networks(
    models: Mapping[str, Path], camera: Picture, astronaut: Picture, gains: tuple[float, ...]
) -> None:
    grey, colour = widened(camera), widened(astronaut)

    np.testing.assert_array_equal(Restorer(models["nearest"]).restore(grey).pixels, nearest(grey.pixels))
    restored = Restorer(models["gains"]).restore(colour).pixels
    assert restored.dtype == np.uint16
    # Half a level for rounding; float32 holds 16-bit values to a 256th of a level.
    assert np.abs(restored - colour.pixels * np.array(gains)).max() <= 0.5 + 0.01


def test_16_bit_colour_through_a_luma_network_keeps_its_depth(models: Mapping[str, Path], astronaut: Picture) -> None:
    colour = widened(astronaut)
    identity = Restorer(models["even"]).restore(colour).pixels

    # 1 level of 65535: to YCbCr and back in float32. A detour over 8 bits would be 128 levels off.
    assert np.abs(identity.astype(int) - colour.pixels).max() <= 1


def test_16_bits_through_integer_networks_are_rounded_and_widened(models: Mapping[str, Path], camera: Picture) -> None:
    grey = widened(camera)

    restored = Restorer(models["nearest-uint8"]).restore(grey).pixels

    assert restored.dtype == np.uint16
    np.testing.assert_array_equal(restored, nearest(np.floor(grey.pixels / 257 + 0.5).astype(np.uint16) * 257))


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_alpha_is_enlarged_bicubically(models: Mapping[str, Path], astronaut: Picture, depth: type) -> None:
    alpha = (astronaut.pixels[..., 0].astype(depth) * (np.iinfo(depth).max // 255)).astype(depth)
    picture = Picture(pixels=astronaut.pixels.astype(depth), alpha=alpha)

    restored = Restorer(models["nearest-uint8"]).restore(picture)

    np.testing.assert_array_equal(restored.alpha, bicubic(alpha, scale=2))


def test_enhancers_leave_alpha_alone(models: Mapping[str, Path], astronaut: Picture) -> None:
    picture = dataclasses.replace(astronaut, alpha=astronaut.pixels[..., 1].copy())

    np.testing.assert_array_equal(Restorer(models["gains"]).restore(picture).alpha, picture.alpha)


def test_values_beyond_white_are_clipped(models: Mapping[str, Path], camera: Picture) -> None:
    restored = Restorer(models["double"]).restore(camera).pixels

    np.testing.assert_array_equal(restored, np.minimum(camera.pixels.astype(int) * 2, 255))


def test_luma_beyond_white_is_clipped_before_it_meets_chroma(models: Mapping[str, Path], astronaut: Picture) -> None:
    restored = Restorer(models["double"]).restore(astronaut).pixels

    ycbcr = rgb_to_ycbcr(astronaut.pixels / 255)
    ycbcr[..., 0] = np.minimum(luma_bytes(astronaut.pixels) / 127.5, 1)
    # 1 level: float32 here, float64 there.
    assert np.abs(restored.astype(int) - to_bytes(ycbcr_to_rgb(ycbcr))).max() <= 1


@pytest.mark.parametrize("name", ["nearest", "nearest-uint8", "even", "gains"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_single_pixel_is_a_picture(models: Mapping[str, Path], name: str, channels: int) -> None:
    restorer = Restorer(models[name])

    restored = restorer.restore(Picture(pixels=np.full((1, 1, channels), 77, np.uint8))).pixels

    assert restored.shape == (restorer.card.scale, restorer.card.scale, channels)


def test_odd_sides_are_padded_and_cropped(models: Mapping[str, Path], camera: Picture) -> None:
    assert camera.pixels.shape[0] % 2 == 1

    np.testing.assert_array_equal(Restorer(models["even"]).restore(camera).pixels, camera.pixels)


def test_padding_repeats_the_edge(models: Mapping[str, Path]) -> None:
    restorer = Restorer(models["even"])
    seen = []
    invoke = restorer.session.invoke
    restorer.session.invoke = lambda array: (seen.append(array), invoke(array))[1]  # type: ignore[method-assign]

    restorer.run_plane(np.array([[1, 2, 3]], np.uint8)[..., np.newaxis])

    np.testing.assert_array_equal(to_bytes(seen[0][0, ..., 0]), [[1, 2, 3, 3], [1, 2, 3, 3]])


def test_raw_planes(models: Mapping[str, Path], camera: Picture) -> None:
    """uint8 networks give bytes; float ones give what they computed, unclipped, from bytes and from floats alike."""
    plane = camera.pixels

    raw = Restorer(models["nearest-uint8"]).run_plane(plane)
    assert raw.dtype == np.uint8
    double = Restorer(models["double"])
    assert double.run_plane(plane).max() == 2 * to_unit(plane).max() > 1
    np.testing.assert_array_equal(double.run_plane(plane), double.run_plane(to_unit(plane)))
    np.testing.assert_array_equal(plane_bytes(raw), plane_bytes(Restorer(models["nearest"]).run_plane(plane)))


def test_planes_of_other_channels_are_refused(models: Mapping[str, Path], astronaut: Picture) -> None:
    with pytest.raises(ImageError, match=r"\(H, W, 1\)"):
        Restorer(models["nearest"]).run_plane(astronaut.pixels)


def test_bytes_are_as_good_as_a_file(models: Mapping[str, Path], make_card: Callable[..., ModelCard]) -> None:
    restorer = Restorer(models["nearest"].read_bytes(), threads=2)

    assert restorer.card == make_card()
    assert restorer.session.facts.threads == 2


@pytest.mark.parametrize(
    ("name", "says"), [("bare", r"without a card .*bare\.tflite"), ("sum", r"got 2 inputs, 1 outputs.*sum\.tflite")]
)
def test_models_that_cannot_serve_are_refused(models: Mapping[str, Path], name: str, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        Restorer(models[name])


def test_a_card_that_lies_about_the_scale_is_found_out(models: Mapping[str, Path], camera: Picture) -> None:
    with pytest.raises(ModelFileError, match="as the card's scale 4 says"):
        Restorer(models["lying"]).restore(camera)


@pytest.mark.parametrize(
    ("changes", "says"), [({"channels": "rgb"}, r"\(1, H, W, 3\)"), ({"value_range": (-1.0, 1.0)}, "-1.0 to 1.0")]
)
def test_a_card_for_another_network_is_found_out(
    models: Mapping[str, Path], make_card: Callable[..., ModelCard], changes: dict[str, object], says: str
) -> None:
    from quantize.embed import embed_card

    with pytest.raises(ModelFileError, match=says):
        Restorer(embed_card(models["nearest"].read_bytes(), make_card(**changes)))
