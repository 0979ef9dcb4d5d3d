from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from octopix.errors import ModelFileError
from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize.checks import check
from quantize.export import INPUT_NAME, to_dynamic, to_float16, to_float32

Make = Callable[[str], Any]


@pytest.mark.parametrize("name", ["espcn", "residual", "separable", "hourglass"])
def test_the_flatbuffer_computes_what_keras_computes(
    network: Make, float_model: Make, photographs: list[Any], name: str
) -> None:
    expected = np.asarray(network(name)(photographs[0]))
    found = open_session(float_model(name)).invoke(photographs[0])
    # Float kernels that add up in another order: 1e-5 covers a few hundred terms of size one.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_one_static_shape_that_the_interpreter_may_change(network: Make, float_model: Make) -> None:
    graph = read_graph(float_model("espcn"))
    ports = [graph.tensors[index].shape_signature for index in (*graph.inputs, *graph.outputs)]
    assert ports == [(1, 64, 64, 1), (1, 256, 256, 1)]
    image = np.random.default_rng(0).random((1, 17, 30, 1), dtype=np.float32)
    found = open_session(float_model("espcn")).invoke(image)
    expected = np.asarray(network("espcn")(image))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_short_way_gives_the_stock_bytes(network: Make, float_model: Make) -> None:
    """A module with the variables as owner must change nothing but the time it takes."""
    import tensorflow as tf

    model = network("espcn")
    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 64, 64, 1), tf.float32, name=INPUT_NAME))
    stock = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model).convert()
    assert float_model("espcn") == bytes(stock)


@pytest.mark.parametrize(
    ("convert", "kind", "share"),
    [(to_float16, "float16", 0.56), (to_dynamic, "dynamic", 0.36)],  # halves and quarters, and a few KiB of graph
    ids=["float16", "dynamic"],
)
def test_smaller_weights_give_a_smaller_file_and_nearly_the_same_image(
    network: Make, float_model: Make, photographs: list[Any], convert: Any, kind: Any, share: float
) -> None:
    model = convert(network("espcn"), height=64, width=64)
    check(model, kind)
    assert len(model) < share * len(float_model("espcn"))
    exact, found = (open_session(each).invoke(photographs[0]) for each in (float_model("espcn"), model))
    # 11 bits of mantissa, or 8-bit weights and activations: 2 % of the range is some ten roundings of the coarser.
    assert np.abs(found - exact).mean() < 0.02 * np.ptp(exact)


def test_a_weight_that_is_nan_is_named(network: Make) -> None:
    import tf_keras

    spoiled = tf_keras.models.clone_model(network("espcn"))
    kernel = spoiled.get_layer("mapping").kernel
    values = kernel.numpy()
    values[1, 1, 0, 0] = np.nan
    kernel.assign(values)
    with pytest.raises(ModelFileError, match=r"NaN or infinity in mapping/kernel"):
        to_float32(spoiled)


def test_an_operator_that_tflite_lacks_is_named() -> None:
    import tensorflow as tf
    import tf_keras

    class Spectrum(tf_keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return tf.math.bessel_i0(inputs)

    image = tf_keras.Input((None, None, 1))
    with pytest.raises(ModelFileError, match="BesselI0"):
        to_float32(tf_keras.Model(image, Spectrum()(image)))
