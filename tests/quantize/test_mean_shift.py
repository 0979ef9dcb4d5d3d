"""A mean subtracted from the image, in whole steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize.export import to_float32
from quantize.filters import separated
from quantize.mean_shift import FARTHEST, mean_shift, with_shift, with_whole_mean
from quantize.methods import _qat_start
from quantize.schemes import parse_scheme
from train.models.layers import DepthToSpace, MeanShift

Make = Callable[[str], Any]
SIDE = 32


def shifted(mean: list[float], layer: Any = None) -> bytes:
    """Two convolutions behind a mean that is subtracted from an RGB image."""
    layers, image = tf_keras.layers, tf_keras.Input((None, None, 3), name="image")
    tf_keras.utils.set_random_seed(0)
    x = (layer or MeanShift(mean, name="sub_mean"))(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="head")(x)
    model = tf_keras.Model(image, layers.Conv2D(3, 3, padding="same", name="last")(x))
    return separated(to_float32(model, height=SIDE, width=SIDE))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    levels = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3))
    return levels.astype(np.float32) / np.float32(255)


def outputs(image: np.ndarray, *models: bytes) -> list[np.ndarray]:
    return [open_session(each).invoke(image).copy() for each in models]


def test_the_function_stays_the_same_but_for_its_padding(image: np.ndarray) -> None:
    model = shifted([0.4488, 0.4371, 0.404])
    whole = with_whole_mean(model)
    added = mean_shift(read_graph(whole)).added  # type: ignore[union-attr]
    assert np.array_equal(added * 255, [-110, -110, -110])
    before, after = outputs(image, model, whole)
    # Two pixels see the padding through two 3x3 kernels; inside, only float32 sums differ.
    assert np.allclose(before[:, 2:-2, 2:-2], after[:, 2:-2, 2:-2], rtol=0, atol=1e-5)
    # The first kernels weigh a padding that moved by FARTHEST at most; here they weigh it by less than 1.
    assert 0 < np.abs(before - after).max() < FARTHEST


def test_a_whole_mean_is_exact_in_int8(network: Make, corrector_of: Any) -> None:
    """What is left of the image are whole steps, so int8 holds the very values."""
    corrector = corrector_of(to_float32(network("centred"), height=64, width=64), calibrator="minmax")
    session = open_session(corrector.start.int8, keep_tensors=True)
    session.invoke(corrector.learned[0])
    subtraction = next(each for each in session.graph.operators if each.name == "SUB")
    made = session.graph.tensors[subtraction.outputs[0]].quantization
    assert made is not None
    real = (session.tensor(subtraction.outputs[0]).astype(int) - made.zero_points[0]) * made.scales[0]
    # The scale is stored in float32, of seven digits.
    assert np.allclose(real, corrector.learned[0] / 255 - 107 / 255, rtol=0, atol=1e-6)


def test_one_mean_for_all_channels_is_made_whole_too(image: np.ndarray) -> None:
    model = shifted([], tf_keras.layers.Lambda(lambda x: x - 0.5))
    whole = with_whole_mean(model)
    assert mean_shift(read_graph(whole)).added * 255 == -128  # type: ignore[union-attr]
    before, after = outputs(image, model, whole)
    assert np.allclose(before[:, 2:-2, 2:-2], after[:, 2:-2, 2:-2], rtol=0, atol=1e-5)  # float32 sums


def test_a_mean_that_is_added_back_at_the_end_is_left_alone() -> None:
    """Both operators read one constant."""
    layers, picture = tf_keras.layers, tf_keras.Input((None, None, 3), name="image")
    mean = np.array([0.4488, 0.4371, 0.404], np.float32)
    x = layers.Conv2D(3, 3, padding="same", name="head")(layers.Lambda(lambda x: x - mean)(picture))
    x = DepthToSpace(2, name="shuffle")(layers.Conv2D(12, 3, padding="same", name="last")(x))
    model = separated(to_float32(tf_keras.Model(picture, layers.Lambda(lambda x: x + mean)(x)), height=32, width=32))
    first, *_, last = read_graph(model).operators
    assert (first.name, last.name) == ("SUB", "ADD")
    assert first.inputs[1] == last.inputs[1]
    assert with_whole_mean(model) == model


def test_the_old_mean_comes_back(image: np.ndarray) -> None:
    model = shifted([0.4488, 0.4371, 0.404])
    there = with_whole_mean(model)
    back = with_shift(there, mean_shift(read_graph(model)).added)  # type: ignore[union-attr]
    assert np.allclose(*outputs(image, model, back), rtol=0, atol=1e-6)  # biases were rounded to float32 twice


@pytest.mark.parametrize(
    "model",
    [
        lambda make: shifted([0.1, 0.5, 0.9]),  # the padding would be another by 0.4
        lambda make: shifted([-0.2, -0.2, -0.2]),  # zero would not lie within the range
        lambda make: separated(make("espcn")),
        lambda make: separated(make("anchored")),  # the image is read by several
    ],
    ids=["far", "outside", "none", "anchored"],
)
def test_what_cannot_be_made_whole_is_left_alone(float_model: Make, model: Callable[[Make], bytes]) -> None:
    before = model(float_model)
    assert with_whole_mean(before) == before


def test_training_starts_with_the_mean_that_the_network_has(
    network: Make, corrector_of: Any, photographs: list[Any]
) -> None:
    """The exact image is not rounded in training, and biases are those of the network's own mean."""
    model = network("centred")

    class Bench:
        float_model = to_float32(model, height=64, width=64)

        def corrected(self, scheme: Any) -> Any:
            from quantize.corrections import correct

            return correct(corrector_of(self.float_model), scheme.corrections)

    bench: Any = Bench()
    start, ranges, _ = _qat_start(bench, model, parse_scheme("int8-qat"))
    assert np.allclose(start(photographs[0]), model(photographs[0]), rtol=0, atol=1e-5)  # float32 sums
    exported = read_graph(to_float32(start, height=64, width=64))
    subtraction = next(each for each in exported.operators if each.name == "SUB")
    assert subtraction.outputs[0] not in ranges
    assert len(ranges) == 3  # the image, and what the two convolutions give
