"""Pictures restored in tiles against the same pictures restored whole."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.card import ModelCard
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from octopix.images import Picture, read_picture
from octopix.margins import margins
from octopix.restore import Restorer
from octopix.tiling import Tiling

layers = tf_keras.layers
SIDE = 24
"""What calibration and files of one size are made for."""


def conv(filters: int, side: int = 3, **options: object) -> tf_keras.layers.Layer:
    return layers.Conv2D(filters, side, padding="same", **options)


def shuffle(x: object, block: int = 2) -> object:
    return layers.Lambda(lambda y: tf.nn.depth_to_space(y, block))(x)


def unet(x: object) -> object:
    """Total stride 4, with leaky slopes, pooling and skips."""
    full = layers.LeakyReLU(0.2)(conv(4)(x))
    half = conv(4)(layers.MaxPool2D(2)(full))
    quarter = conv(16)(layers.AveragePooling2D(3, strides=2, padding="same")(half))
    half = layers.Concatenate()([shuffle(quarter), half])
    return conv(3)(layers.Concatenate()([shuffle(conv(16)(half)), full]))


def strided(x: object) -> object:
    """TensorFlow pads a stride of 2 below and to the right only: margins differ."""
    return shuffle(conv(12)(conv(6, strides=2, activation="relu")(x)))


def even(x: object) -> object:
    return conv(3, 2)(conv(4, 4, activation="relu")(x))


NETWORKS = {"unet": (unet, 4), "strided": (strided, 2), "even": (even, 1)}
"""Name -> (network, multiple_of)."""

Make = Callable[..., bytes]


@pytest.fixture(scope="module")
def make(to_tflite: Callable[..., bytes], make_card: Callable[..., ModelCard]) -> Make:
    """Keras model -> ``.tflite`` of random weights with a card; made for 24×24, like those of `quantize`."""
    from quantize.embed import embed_card

    made: dict[tuple[str, bool], bytes] = {}

    def convert(name: str, model: tf_keras.Model, *, int8: bool, **facts: object) -> bytes:
        if (name, int8) not in made:
            random = np.random.default_rng(0)
            # Every weight counts, and a pixel at the far end of the receptive field is still to be seen in the result.
            model.set_weights([each + random.normal(0, 0.1, each.shape) for each in model.get_weights()])
            made[name, int8] = to_tflite(model, size=(SIDE, SIDE), int8=int8)
        card = make_card(**{"model": name, "scale": 1, "channels": "rgb", "task": "enhancement", **facts})
        return embed_card(made[name, int8], card)

    return convert


@pytest.fixture(scope="module")
def small(make: Make) -> Callable[..., bytes]:
    """A network of `NETWORKS` by its name."""

    def build(name: str, *, int8: bool, **facts: object) -> bytes:
        network, multiple_of = NETWORKS[name]
        image = tf_keras.Input((None, None, 3))
        return make(name, tf_keras.Model(image, network(image)), int8=int8, multiple_of=multiple_of, **facts)

    return build


@pytest.fixture(scope="module")
def photo(photos: Path) -> Picture:
    """100×140 pixels: multiples of 4."""
    return Picture(pixels=read_picture(photos / "chelsea.png").pixels[80:180, 100:240])


def assert_joined(content: bytes, photo: Picture, *, tile: int, threads: int = 1) -> None:
    """Tiles and the whole are the same, and the tiling says so."""
    whole, tiled = Restorer(content, tile="none"), Restorer(content, tile=tile, threads=threads)
    found = tiled.tiling(*photo.pixels.shape[:2])
    plane = photo.pixels if whole.card.channels == "rgb" else photo.pixels[..., :1]

    assert found.tiles > 4
    assert found.exact
    np.testing.assert_array_equal(tiled.restore(photo).pixels, whole.restore(photo).pixels)
    if whole.session.input_dtype.kind == "f":
        # Float kernels may sum in another order where rows of a tile are shorter.
        assert np.abs(tiled.run_plane(plane) - whole.run_plane(plane)).max() <= 1e-5
    else:
        np.testing.assert_array_equal(tiled.run_plane(plane), whole.run_plane(plane))


def make_espcn(make: Make, *, int8: bool) -> bytes:
    from train.models import espcn

    return make("espcn_x4", espcn.build(scale=4), int8=int8, scale=4, channels="y", task="super-resolution")


@pytest.mark.parametrize("tile", [24, 37])
@pytest.mark.parametrize("int8", [False, True])
def test_espcn(make: Make, photo: Picture, int8: bool, tile: int) -> None:
    assert_joined(make_espcn(make, int8=int8), photo, tile=tile)


@pytest.mark.parametrize("threads", [1, 2])
def test_lesrcnn(make: Make, photo: Picture, threads: int) -> None:
    from train.models import lesrcnn

    content = make("lesrcnn_x2", lesrcnn.build(scale=2, filters=8), int8=True, scale=2, task="super-resolution")

    assert_joined(content, photo, tile=50, threads=threads)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("int8", [False, True])
def test_strides_and_pools_keep_their_phase(small: Callable[..., bytes], photo: Picture, name: str, int8: bool) -> None:
    content = small(name, int8=int8)
    found = margins(read_graph(content))

    assert found is not None
    assert_joined(content, photo, tile=found.overlap + 12)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", ["before", "after"])
def test_margins_are_no_larger_than_needed(
    small: Callable[..., bytes], photo: Picture, monkeypatch: pytest.MonkeyPatch, name: str, side: str
) -> None:
    content = small(name, int8=False)
    found = margins(read_graph(content))
    assert found is not None
    less = dataclasses.replace(found, **{side: getattr(found, side) - found.multiple})
    monkeypatch.setattr("octopix.planner.margins", lambda graph: less)
    whole, tiled = Restorer(content, tile="none"), Restorer(content, tile=found.overlap + 12)

    assert np.abs(whole.run_plane(photo.pixels) - tiled.run_plane(photo.pixels)).max() > 1e-4


@pytest.mark.parametrize("int8", [False, True])
def test_enlarged_inputs_are_cut_after_enlarging(small: Callable[..., bytes], photo: Picture, int8: bool) -> None:
    content = small("even", int8=int8, scale=3, enlarged=True, task="super-resolution")

    assert_joined(content, photo, tile=60)


def test_16_bits_and_alpha_come_out_of_tiles_as_of_the_whole(small: Callable[..., bytes], photo: Picture) -> None:
    wide = Picture(pixels=photo.pixels.astype(np.uint16) * 201, alpha=photo.pixels[..., 0].astype(np.uint16))
    for int8 in (False, True):
        content = small("even", int8=int8, scale=2, enlarged=True, task="super-resolution")
        whole, tiled = Restorer(content, tile="none").restore(wide), Restorer(content, tile=40).restore(wide)

        # A level of 65535 is 1.5e-5: what float kernels are allowed may turn a half.
        assert np.abs(whole.pixels.astype(int) - tiled.pixels).max() <= (0 if int8 else 1)
        np.testing.assert_array_equal(whole.alpha, tiled.alpha)


def test_sides_that_are_no_multiples_are_padded_alike_and_called_inexact(
    small: Callable[..., bytes], photo: Picture
) -> None:
    odd = Picture(pixels=photo.pixels[:97, :138])
    content = small("unet", int8=True)
    whole, tiled = Restorer(content, tile="none"), Restorer(content, tile=60)

    assert not whole.tiling(97, 138).exact
    assert not tiled.tiling(97, 138).exact
    np.testing.assert_array_equal(whole.restore(odd).pixels, tiled.restore(odd).pixels)


@pytest.fixture(scope="module")
def stubborn(to_tflite: Callable[..., bytes], make_card: Callable[..., ModelCard]) -> bytes:
    """A network whose output size stands in the file: it cannot be resized. ×2, margins of one pixel."""
    from quantize.embed import embed_card

    image = tf_keras.Input((SIDE, SIDE, 1))
    x = layers.Lambda(lambda y: tf.image.resize(y, (2 * SIDE, 2 * SIDE), "nearest"))(image)
    model = tf_keras.Model(image, conv(1, kernel_initializer="ones", use_bias=False)(x))
    return embed_card(to_tflite(model, size=(SIDE, SIDE)), make_card(model="stubborn"))


@pytest.mark.parametrize("tile", ["auto", "none", 30])
def test_a_file_that_cannot_be_resized_gets_tiles_of_its_size(stubborn: bytes, photo: Picture, tile: int | str) -> None:
    restorer = Restorer(stubborn, tile=tile)  # type: ignore[arg-type]
    plane = photo.pixels[..., :1] / np.float32(255)

    found = restorer.run_plane(plane)

    assert (restorer.tiling(100, 140).tile, restorer.tiling(100, 140).exact) == ((SIDE, SIDE), False)
    nearest = np.pad(plane[..., 0].repeat(2, axis=0).repeat(2, axis=1), 1)
    box = sum(nearest[row : row + 200, column : column + 280] for row in range(3) for column in range(3))
    assert np.abs(found[..., 0] - box).max() <= 1e-5  # sums of nine in another order


def test_a_picture_smaller_than_such_a_file_is_padded(stubborn: bytes, photo: Picture) -> None:
    restorer = Restorer(stubborn)
    plane = np.ascontiguousarray(photo.pixels[:20, :70, :1])
    padded = np.pad(plane, ((0, SIDE - 20), (0, 0), (0, 0)), mode="edge")

    assert restorer.tiling(SIDE, SIDE) == Tiling(1, (SIDE, SIDE), 0, 1, exact=True)
    assert not restorer.tiling(20, 70).exact
    np.testing.assert_array_equal(restorer.run_plane(plane), restorer.run_plane(padded)[:40])


def test_dynamic_networks_say_that_tiles_differ(make_card: Callable[..., ModelCard], photo: Picture) -> None:
    from quantize.embed import embed_card
    from train.models import espcn

    model = espcn.build(scale=4)
    function = tf.function(model).get_concrete_function(tf.TensorSpec((1, SIDE, SIDE, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    content = embed_card(bytes(converter.convert()), make_card(scale=4, scheme="dynamic"))
    whole, tiled = Restorer(content, tile="none"), Restorer(content, tile=32)
    plane = photo.pixels[..., :1]

    assert whole.tiling(100, 140).exact
    assert not tiled.tiling(100, 140).exact
    difference = whole.run_plane(plane) - tiled.run_plane(plane)
    # Activations are quantized to 8 bits of their range in the tile: steps of some 1/255 of it, over three layers.
    assert 0 < np.abs(difference).max() <= 0.05


def test_a_network_that_looks_at_everything_is_not_cut(
    to_tflite: Callable[..., bytes], make_card: Callable[..., ModelCard], photo: Picture
) -> None:
    from quantize.embed import embed_card

    image = tf_keras.Input((None, None, 3))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(image)
    content = to_tflite(tf_keras.Model(image, image * gate))
    content = embed_card(content, make_card(model="gate", scale=1, channels="rgb", task="enhancement"))

    assert Restorer(content).tiling(9000, 9000).tiles == 1
    with pytest.raises(ConfigError, match="looks at the whole picture"):
        Restorer(content, tile=64).restore(photo)


def test_large_pictures_are_cut_within_the_memory_limit(small: Callable[..., bytes]) -> None:
    content = small("even", int8=True)
    limited, free = Restorer(content, memory_mib=1), Restorer(content)

    assert free.tiling(400, 500).tiles == 1
    assert limited.tiling(400, 500).tiles > 1
    # 2 bytes of activations and 8 of pointers per tap, of 16 and 4 taps: 1 MiB is 80 pixels squared, or a little more.
    assert max(limited.tiling(400, 500).tile) <= 96


def test_what_cannot_be_is_refused(make: Make, small: Callable[..., bytes], photo: Picture) -> None:
    content = small("unet", int8=False)
    overlap = margins(read_graph(content)).overlap  # type: ignore[union-attr]

    with pytest.raises(ConfigError, match=f"more than {overlap} pixels"):
        Restorer(content, tile=overlap).restore(photo)
    enough = re.compile("at least [2-9] MiB for one tile")  # 64×64 pixels, 64 channels of float32, 25 pointers each
    with pytest.raises(ConfigError, match=enough):
        Restorer(make_espcn(make, int8=False), memory_mib=1).restore(photo)
    for wish in ({"tile": 0}, {"tile": "some"}, {"memory_mib": 0}):
        with pytest.raises(ConfigError):
            Restorer(content, **wish)


def test_an_error_in_one_tile_ends_all_of_them(small: Callable[..., bytes], photo: Picture) -> None:
    content = small("even", int8=True, scale=2)  # the card lies: nothing is enlarged

    with pytest.raises(ModelFileError, match="as the card's scale 2 says"):
        Restorer(content, tile=40, threads=2).restore(photo)


def test_memory_is_given_back_and_taken_again(small: Callable[..., bytes], photo: Picture) -> None:
    restorer = Restorer(small("unet", int8=True))
    before = restorer.restore(photo).pixels

    restorer.release()

    assert max(restorer.session.input_shape[1:3]) < 64
    np.testing.assert_array_equal(restorer.restore(photo).pixels, before)
