"""Rescaled channels of a flatbuffer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize.equalization import by_strength, equalized, knots
from quantize.export import to_float32
from quantize.filters import filters, separated
from quantize.statistics import TensorStatistics, collect
from train.models.layers import DepthToSpace

Make = Callable[[str], Any]


def statistics_of(model: bytes, photographs: list[Any]) -> dict[int, TensorStatistics]:
    tensors = sorted({index for knot in knots(read_graph(model)) for index in knot.tensors})
    return collect(model, photographs, tensors=tensors, by_channel=tensors)


def peaks_of(model: bytes, photographs: list[Any]) -> dict[int, np.ndarray]:
    found = {index: each.by_channel for index, each in statistics_of(model, photographs).items()}
    return {index: channels.peaks for index, channels in found.items() if channels is not None}


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    "name", ["anchored", "broadcast", "espcn", "residual", "separable", "hourglass", "shared_output", "shuffled"]
)
def test_the_function_stays_the_same(float_model: Make, photographs: list[Any], name: str, strength: float) -> None:
    model = separated(float_model(name))
    rescaled = equalized(model, by_strength(peaks_of(model, photographs), strength)).model
    for photograph in photographs[:2]:
        wanted, found = (open_session(each).invoke(photograph) for each in (model, rescaled))
        # Float32 sums of some hundred products, whose terms were scaled up and down again.
        assert np.allclose(wanted, found, rtol=0, atol=2e-5)


def test_full_strength_fills_the_range_with_every_channel(float_model: Make, photographs: list[Any]) -> None:
    model = separated(float_model("espcn"))
    rescaled = equalized(model, by_strength(peaks_of(model, photographs), 1)).model
    for before, after in zip(
        peaks_of(model, photographs).values(), peaks_of(rescaled, photographs).values(), strict=True
    ):
        alive = after > 0
        assert before[alive].max() > 1.5 * before[alive].min()
        # Each peak was divided by itself, in float32; the same pixel need not round the same way again.
        assert after[alive].max() < (1 + 1e-4) * after[alive].min()


@pytest.mark.parametrize("name", ["espcn", "residual", "hourglass", "shuffled"])
def test_statistics_of_rescaled_channels_need_no_second_run(
    float_model: Make, photographs: list[Any], name: str
) -> None:
    model = separated(float_model(name))
    before = statistics_of(model, photographs)
    found = equalized(model, by_strength(peaks_of(model, photographs), 1))
    after = statistics_of(found.model, photographs)
    assert found.factors.keys() == after.keys() == before.keys()
    for index, measured in after.items():
        computed = before[index].rescaled(found.factors[index])
        # Float32 sums of some hundred products, in another order of magnitude: a few units of the last place of the
        # largest value, which stands for all values since some are differences of large ones.
        close = 1e-5 * max(-measured.minimum, measured.maximum)
        assert np.allclose(computed.sample, measured.sample, rtol=0, atol=close)
        for end in ("minimum", "maximum", "mean_minimum", "mean_maximum"):
            assert getattr(computed, end) == pytest.approx(getattr(measured, end), rel=0, abs=close)


def test_no_strength_makes_the_readers_channels_equally_loud(float_model: Make, photographs: list[Any]) -> None:
    model = separated(float_model("espcn"))
    rescaled = equalized(model, by_strength(peaks_of(model, photographs), 0)).model
    for each in filters(read_graph(rescaled))[1:]:
        loudness = np.sqrt(np.mean(np.square(each.weights, dtype=np.float64), axis=(0, 1, 2)))
        assert np.allclose(loudness, loudness[0], rtol=1e-4)  # float32 weights


def test_a_residual_block_is_one_knot(float_model: Make) -> None:
    graph = read_graph(separated(float_model("residual")))
    (knot,) = knots(graph)
    names = [each.name for each in graph.operators if set(each.outputs) & knot.tensors]
    assert sorted(names) == ["ADD", "CONV_2D", "CONV_2D", "PRELU"]
    assert (len(knot.writers), len(knot.readers)) == (2, 2)


def test_factors_pass_a_shuffle_the_same_for_all_pixels_of_a_channel(float_model: Make, photographs: list[Any]) -> None:
    model = separated(float_model("shuffled"))
    graph = read_graph(model)
    (knot,) = knots(graph)
    assert (knot.channels, len(knot.writers), len(knot.readers)) == (3, 1, 2)
    factors = equalized(model, by_strength(peaks_of(model, photographs), 1)).factors
    shuffle = next(each for each in graph.operators if each.outputs[0] in factors and each.name == "DEPTH_TO_SPACE")
    assert np.array_equal(factors[shuffle.inputs[0]], np.tile(factors[shuffle.outputs[0]], 4))
    assert factors[shuffle.outputs[0]].max() > factors[shuffle.outputs[0]].min()


def test_a_tensor_shuffled_in_two_ways_has_the_factors_that_suit_both(photographs: list[Any]) -> None:
    """36 channels in blocks of 3 and of 2: 4 and 9 are left, so every channel has one factor."""
    layers, image = tf_keras.layers, tf_keras.Input((None, None, 1), name="image")
    tf_keras.utils.set_random_seed(0)
    x = layers.Conv2D(36, 3, padding="same", name="many")(image)
    fine = layers.Conv2D(1, 3, strides=3, padding="same", name="fine")(DepthToSpace(3, name="by3")(x))
    coarse = layers.Conv2D(1, 3, strides=2, padding="same", name="coarse")(DepthToSpace(2, name="by2")(x))
    network = tf_keras.Model(image, layers.Add(name="sum")([fine, coarse]))
    model = separated(to_float32(network, height=64, width=64))
    (knot,) = knots(read_graph(model))
    assert knot.channels == 1
    rescaled = equalized(model, by_strength(peaks_of(model, photographs), 1)).model
    wanted, found = (open_session(each).invoke(photographs[0]).copy() for each in (model, rescaled))
    assert np.allclose(wanted, found, rtol=0, atol=2e-5)  # float32 sums, as above


def test_what_others_fix_is_left_alone(float_model: Make) -> None:
    """A concatenation or an output in between: no factor passes."""
    graph = read_graph(separated(float_model("hourglass")))
    assert not any(each.image in knot.tensors for knot in knots(graph) for each in filters(graph) if each.image == 0)
    joined = next(each.outputs[0] for each in graph.operators if each.name == "CONCATENATION")
    assert not any(joined in knot.tensors for knot in knots(graph))
