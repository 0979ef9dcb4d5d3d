from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

from octopix.errors import DataError, ModelFileError
from octopix.graph import read_graph
from octopix.images import to_bytes
from octopix.runtime import open_session
from quantize.calibrators import CALIBRATORS
from quantize.checks import check
from quantize.export import to_float32
from quantize.ranges import (
    calibrated_tensors,
    corrections_of_image,
    exact_tensors,
    in_whole_steps,
    ranges_for,
    to_int8,
    to_int16x8,
)

Make = Callable[[str], Any]
NETWORKS = ["anchored", "espcn", "residual", "separable", "hourglass", "shared_output"]


def _names(model: bytes, indices: Any) -> set[str]:
    graph = read_graph(model)
    producers = {index: each.name for each in graph.operators for index in each.outputs}
    return {producers.get(index, "input") for index in indices}


def test_espcn_saturates_from_its_last_convolution_on(float_model: Make) -> None:
    graph = read_graph(float_model("espcn"))
    assert [each.name for each in graph.operators] == ["CONV_2D", "CONV_2D", "CONV_2D", "DEPTH_TO_SPACE"]
    last, shuffle = graph.operators[2:]
    assert exact_tensors(graph) == {*graph.inputs, *last.outputs, *shuffle.outputs}
    assert calibrated_tensors(graph) == (graph.operators[0].outputs[0], graph.operators[1].outputs[0])


def test_a_tensor_that_others_read_too_is_not_saturated(float_model: Make) -> None:
    model = float_model("shared_output")
    graph = read_graph(model)
    assert _names(model, exact_tensors(graph)) == {"input", "ADD"}
    (summed,) = (each.inputs[0] for each in graph.operators[:4] if each.name == "DEPTH_TO_SPACE")
    assert summed in calibrated_tensors(graph)


def test_an_anchor_is_the_image_and_needs_no_calibration(float_model: Make, int8_model: Make) -> None:
    assert _names(float_model("anchored"), calibrated_tensors(read_graph(float_model("anchored")))) == {"CONV_2D"}
    graph = read_graph(int8_model("anchored"))
    anchors = [each.outputs[0] for each in graph.operators if each.name == "CONCATENATION"]
    scales = {graph.tensors[index].quantization.scales for index in anchors}
    assert scales == {graph.tensors[graph.inputs[0]].quantization.scales}


def test_what_is_added_to_the_image_has_the_images_step(int8_model: Make) -> None:
    graph = read_graph(int8_model("anchored"))
    (last,) = [each for each in graph.operators if each.name == "ADD"][-1:]
    steps = [graph.tensors[index].quantization.scales[0] for index in (*last.inputs, *last.outputs)]
    assert steps == pytest.approx([1 / 255] * 3, rel=1e-6)  # of float32


def test_a_correction_of_the_image_is_rounded_once(photographs: list[Any]) -> None:
    """Weights and image are exact here and no value lies between two steps: all there could be is a second rounding."""
    image = tf_keras.Input((None, None, 1), name="image")
    change = tf_keras.layers.Conv2D(1, (1, 2), padding="same", name="change")
    network = tf_keras.Model(image, tf_keras.layers.Add(name="sum")([image, change(image)]))
    change.set_weights([np.float32(0.00231) * np.float32([[[[-127]], [[64]]]]), np.zeros(1)])
    model = to_float32(network)
    found = open_session(to_int8(model, ranges_for(model, photographs, CALIBRATORS["mse"])))
    float_ = open_session(model)
    for each in photographs:
        assert (found.invoke(to_bytes(each)) == to_bytes(float_.invoke(each))).all()


@pytest.mark.parametrize(
    ("calibrated", "whole"),
    [
        ((-0.3, 0.4), (-115 / 255, 140 / 255)),
        ((0.0, 0.9), (-13 / 255, 242 / 255)),
        ((-0.6, 0.5), (-0.6, 0.5)),  # 256 steps of the image do not reach so far
    ],
)
def test_whole_steps_lie_around_the_range(calibrated: tuple[float, float], whole: tuple[float, float]) -> None:
    assert in_whole_steps(calibrated) == pytest.approx(whole)


def test_a_correction_that_others_read_too_keeps_its_own_step() -> None:
    image = tf_keras.Input((None, None, 1), name="image")
    change = tf_keras.layers.Conv2D(1, 3, padding="same", name="change")(image)
    more = tf_keras.layers.Conv2D(1, 3, padding="same", name="more")(change)
    once = tf_keras.layers.Add(name="once")([image, change])
    model = to_float32(tf_keras.Model(image, tf_keras.layers.Add(name="twice")([once, more])))
    assert corrections_of_image(read_graph(model)) == frozenset()


def test_moved_values_share_one_range(float_model: Make, photographs: list[Any]) -> None:
    model = float_model("shared_output")
    ranges = ranges_for(model, photographs, CALIBRATORS["minmax"])
    for each in read_graph(model).operators:
        if each.name == "DEPTH_TO_SPACE":
            assert ranges[each.inputs[0]] == ranges[each.outputs[0]]


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_computes_what_float_computes(
    float_model: Make, int8_model: Make, photographs: list[Any], name: str
) -> None:
    check(int8_model(name), "int8-ptq")
    floats, integers = open_session(float_model(name)), open_session(int8_model(name))
    for image in photographs[:4]:
        exact = to_bytes(floats.invoke(np.round(image * 255).astype(np.float32) / 255))
        found = integers.invoke(np.round(image * 255).astype(np.uint8))
        assert found.dtype == np.uint8
        # Each operator rounds once (half a step of its own scale, here up to 5/255); errors of a few operators add up.
        assert np.abs(found.astype(int) - exact).mean() < 3.0


def test_saturation_is_the_clip(float_model: Make, int8_model: Make, photographs: list[Any]) -> None:
    floats = open_session(float_model("espcn")).invoke(photographs[0])
    found = open_session(int8_model("espcn")).invoke((photographs[0] * 255).astype(np.uint8))
    assert floats.min() < -0.2  # these random weights leave [0, 1] on both sides
    assert floats.max() > 1.2
    # Further outside than int8's error (0.1 here): there is no doubt what the clip gives.
    assert (found[floats < -0.1] == 0).all()
    assert (found[floats > 1.1] == 255).all()


def test_an_identity_network_gives_back_the_image_bit_for_bit(photographs: list[Any]) -> None:
    import tf_keras

    image = tf_keras.Input((None, None, 1))
    kernel = tf_keras.initializers.Constant(np.pad([[1.0]], 1)[..., None, None])
    same = tf_keras.layers.Conv2D(1, 3, padding="same", kernel_initializer=kernel)(image)
    model = to_float32(tf_keras.Model(image, same), height=64, width=64)
    integers = open_session(to_int8(model, {}))  # nothing to calibrate: input and output are exact
    every_level = np.arange(256, dtype=np.uint8).repeat(16).reshape(1, 64, 64, 1)
    np.testing.assert_array_equal(integers.invoke(every_level), every_level)


@pytest.mark.parametrize("name", ["espcn", "separable", "hourglass"])
def test_int16_activations_leave_only_the_weights_error(
    float_model: Make, int8_model: Make, photographs: list[Any], name: str
) -> None:
    ranges = ranges_for(float_model(name), photographs, CALIBRATORS["minmax"])
    model = to_int16x8(float_model(name), ranges)
    check(model, "int16x8-ptq")
    image = np.round(photographs[0] * 255).astype(np.float32) / 255
    exact = np.clip(open_session(float_model(name)).invoke(image), 0, 1)
    wide = np.clip(open_session(model).invoke(image), 0, 1)
    narrow = open_session(int8_model(name)).invoke(np.round(image * 255).astype(np.uint8)) / 255
    assert np.abs(wide - exact).mean() < np.abs(narrow - exact).mean()


def _offsets(kernel: float) -> Any:
    """64 channels whose values are their biases, 0.1 to 0.9, on a black image."""
    import tf_keras

    image = tf_keras.Input((None, None, 1))
    options = {
        "kernel_initializer": tf_keras.initializers.Constant(kernel),
        "bias_initializer": tf_keras.initializers.Constant(np.linspace(0.1, 0.9, 64)),
    }
    return tf_keras.Model(image, tf_keras.layers.Conv2D(64, 1, name="offsets", **options)(image))


def test_biases_of_all_channels_count_in_int16() -> None:
    """Kernels that take int32 biases for int64 ones would read those from channel 32 on behind the buffer."""
    model = to_int16x8(to_float32(_offsets(0.5), height=8, width=8), {})
    values = open_session(model).invoke(np.zeros((1, 8, 8, 1), np.float32))
    np.testing.assert_allclose(values[0, 0, 0], np.linspace(0.1, 0.9, 64), atol=1e-4)  # int16's step is 3e-5


def test_biases_that_int16_cannot_hold_are_refused() -> None:
    model = to_int16x8(to_float32(_offsets(0.0), height=8, width=8), {})
    with pytest.raises(ModelFileError, match="biases within 32 bits"):
        check(model, "int16x8-ptq")


def test_an_image_that_loses_its_scale_is_refused(photographs: list[Any]) -> None:
    """Joining the image itself with features drags its range along: TFLite's CONCATENATION has one scale."""
    import tf_keras

    image = tf_keras.Input((None, None, 1))
    wide = tf_keras.layers.Conv2D(1, 1, kernel_initializer=tf_keras.initializers.Constant(7.0))(image)
    joined = tf_keras.layers.Concatenate()([image, wide])
    last = tf_keras.layers.Conv2D(1, 1)(joined)
    model = to_float32(tf_keras.Model(image, last), height=64, width=64)
    quantized = to_int8(model, ranges_for(model, photographs, CALIBRATORS["minmax"]))
    with pytest.raises(ModelFileError, match="scale 1/255 and zero point 0"):
        check(quantized, "int8-ptq")


def test_dead_layers_are_named(photographs: list[Any]) -> None:
    import tf_keras

    image = tf_keras.Input((None, None, 1))
    x = tf_keras.layers.Conv2D(4, 3, activation="relu", name="dead", kernel_initializer="zeros")(image)
    model = to_float32(tf_keras.Model(image, tf_keras.layers.Conv2D(1, 3)(x)), height=64, width=64)
    with pytest.raises(DataError, match=r"excite .*dead.*zeros all over"):
        ranges_for(model, photographs, CALIBRATORS["minmax"])


@pytest.mark.parametrize(
    "broken",
    [(0.0, 0.0), (0.5, 1.0), (-1.0, -0.5), (0.0, float("nan")), (float("-inf"), 1.0)],
    ids=["empty", "above zero", "below zero", "nan", "infinite"],
)
def test_a_useless_range_is_refused_by_the_tensors_name(float_model: Make, broken: tuple[float, float]) -> None:
    first, second = calibrated_tensors(read_graph(float_model("espcn")))
    with pytest.raises(ModelFileError, match="features"):
        to_int8(float_model("espcn"), {first: broken, second: (0.0, 1.0)})


def test_a_missing_range_is_refused_and_not_left_float(float_model: Make) -> None:
    first, _ = calibrated_tensors(read_graph(float_model("espcn")))
    with pytest.raises(ModelFileError, match=r"a range for .*mapping"):
        to_int8(float_model("espcn"), {first: (0.0, 1.0)})
