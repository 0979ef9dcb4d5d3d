from typing import Any

import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio

from octopix.card import ModelCard
from octopix.errors import DataError
from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize.embed import embed_card
from quantize.export import to_float32
from quantize.ranges import calibrated_tensors, to_int8
from quantize.validation import validation_on
from train.data.degradations import network_pair
from train.data.sources import ImageRef, ImageSet
from train.models import find_model

SPEC = find_model("espcn_x4")
CARD = ModelCard(
    model="espcn_x4", scheme="float32", task="super-resolution", scale=4, channels="y", multiple_of=1, receptive_field=9
)


def _set(*pictures: Any) -> ImageSet:
    refs = tuple(ImageRef(f"{number}.png", lambda picture=each: picture) for number, each in enumerate(pictures))
    return ImageSet("set", "a set of the test's", refs)


@pytest.fixture(scope="module")
def float_model(subject: Any) -> bytes:
    return embed_card(to_float32(subject.model), CARD)


def test_the_figures_are_those_of_protocol_y_computed_by_hand(float_model: bytes, subject: Any) -> None:
    pictures = [skimage.data.astronaut()[:203, :251], skimage.data.coffee()[:160, :160]]
    bare = to_float32(subject.model)
    ranges = dict.fromkeys(calibrated_tensors(read_graph(bare)), (0.0, 1.5))  # any will do here
    coarse = to_int8(bare, ranges)
    quality = validation_on(_set(*pictures), SPEC, float_model).quality(embed_card(coarse, CARD))
    expected: dict[str, list[float]] = {"float": [], "int8": [], "both": []}
    for picture in pictures:
        lr, hr = network_pair(picture, scale=4, channels="y")
        exact = open_session(bare).invoke((lr[None] / np.float32(255)).astype(np.float32))[0]
        exact = np.floor(np.clip(exact, 0, 1).astype(np.float64) * 255 + 0.5).astype(np.uint8)
        found = open_session(coarse).invoke(lr[None])[0]
        hr, exact, found = (image[4:-4, 4:-4] for image in (hr, exact, found))
        for name, pair in {"float": (hr, exact), "int8": (hr, found), "both": (exact, found)}.items():
            expected[name].append(peak_signal_noise_ratio(*pair, data_range=255))
    means = {name: np.mean(values) for name, values in expected.items()}
    found_values = (quality.psnr_float, quality.psnr, quality.drop, quality.fidelity)
    # The same float64 arithmetic, but for a float32 product that may round one pixel in ten thousand the other way.
    assert found_values == pytest.approx(
        (means["float"], means["int8"], means["float"] - means["int8"], means["both"]), abs=1e-3
    )
    assert (quality.images, quality.image_set, quality.protocol) == (2, "set", "y")


def test_a_model_against_itself_loses_nothing_and_has_no_finite_fidelity(float_model: bytes) -> None:
    quality = validation_on(_set(skimage.data.chelsea()[:200, :200]), SPEC, float_model).quality(float_model)
    assert quality.drop == 0
    assert quality.fidelity is None


def test_pictures_that_any_model_restores_exactly_are_refused(subject: Any) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    import tf_keras

    dark = tf_keras.models.clone_model(subject.model)
    for weight in dark.weights:
        weight.assign(np.zeros(weight.shape))
    dark.get_layer("subpixels").bias.assign(np.full(16, 16 / 255))  # luma of black
    model = embed_card(to_float32(dark), CARD)
    with pytest.raises(DataError, match="photographs with detail in set"):
        validation_on(_set(black), SPEC, model)


@pytest.mark.parametrize("level", [0, 128], ids=["black", "grey"])
def test_a_flat_picture_changes_no_figure(float_model: bytes, subject: Any, level: int) -> None:
    photograph, flat = skimage.data.chelsea()[:160, :160], np.full((64, 64, 3), level, np.uint8)
    bare = to_float32(subject.model)
    int8 = embed_card(to_int8(bare, dict.fromkeys(calibrated_tensors(read_graph(bare)), (0.0, 1.5))), CARD)
    alone, both = (validation_on(_set(*each), SPEC, float_model) for each in ([photograph], [photograph, flat]))
    assert both.quality(int8) == alone.quality(int8)
    assert len(both.pairs) == both.quality(int8).images == 1
