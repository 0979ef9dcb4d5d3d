"""The ONNX graph that peers get computes what the float ``.tflite`` computes, at any size, without transpositions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.peers.onnx_graph import CONVERTERS, to_onnx
from octopix.errors import ModelFileError
from octopix.graph import read_graph
from octopix.runtime import open_session

# Two libraries sum float32 products in another order: 1e-7 of values around 1, times a few dozen products.
ROUNDING = 1e-5


def _conv(layers: Any, x: Any, **options: Any) -> Any:
    return layers.Conv2D(8, 3, bias_initializer="random_normal", **options)(x)


def _strided(keras: Any, layers: Any, x: Any) -> Any:
    return _conv(layers, _conv(layers, x, strides=2, padding="same", activation="relu"), padding="valid")


def _even_window(keras: Any, layers: Any, x: Any) -> Any:
    """SAME pads an even window by one more pixel behind than before."""
    return layers.Conv2D(4, (2, 4), padding="same")(_conv(layers, x, padding="same", dilation_rate=2))


def _grouped(keras: Any, layers: Any, x: Any) -> Any:
    return layers.Conv2D(6, 3, groups=2, padding="same")(_conv(layers, x, padding="same"))


def _depthwise(keras: Any, layers: Any, x: Any) -> Any:
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", bias_initializer="random_normal")(x)
    return layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu6")(x)


def _bent(keras: Any, layers: Any, x: Any) -> Any:
    slopes = keras.initializers.RandomUniform(0, 1)
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer=slopes)(_conv(layers, x, padding="same"))
    return layers.LeakyReLU(0.3)(_conv(layers, x, padding="same"))


def _pooled(keras: Any, layers: Any, x: Any) -> Any:
    x = layers.MaxPooling2D(2)(layers.ZeroPadding2D(((1, 0), (0, 1)))(x))
    return layers.AveragePooling2D(3, strides=2, padding="same")(layers.MaxPooling2D(3, strides=1, padding="same")(x))


def _shuffled(keras: Any, layers: Any, x: Any) -> Any:
    import tensorflow as tf

    x = tf.nn.depth_to_space(layers.Conv2D(12, 3, padding="same")(x), 2)
    return layers.Conv2D(3, 1)(tf.nn.space_to_depth(x, 2))


def _joined(keras: Any, layers: Any, x: Any) -> Any:
    shifted = x - np.array([0.25, 0.5, 0.75], np.float32)
    scaled = x * np.array([2.0, 3.0, 4.0], np.float32)
    together = layers.Concatenate()([shifted, scaled, layers.ReLU(6.0)(shifted)])
    return layers.ReLU()(layers.Add()([_conv(layers, together, padding="same"), _conv(layers, x, padding="same")]))


NETWORKS = {
    function.__name__.strip("_"): function
    for function in (_strided, _even_window, _grouped, _depthwise, _bent, _pooled, _shuffled, _joined)
}


@pytest.fixture(scope="module")
def converted(to_tflite: Callable[..., bytes]) -> dict[str, bytes]:
    """Name -> float ``.tflite`` of RGB, exported at 16x24."""
    import tf_keras

    found = {}
    for name, network in NETWORKS.items():
        tf_keras.utils.set_random_seed(1)
        image = tf_keras.Input((None, None, 3))
        found[name] = to_tflite(tf_keras.Model(image, network(tf_keras, tf_keras.layers, image)), size=(16, 24))
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(16, 24), (22, 30)])
def test_same_output(converted: dict[str, bytes], name: str, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random((1, *size, 3), np.float32)
    expected = open_session(converted[name]).invoke(picture)

    session = onnxruntime.InferenceSession(to_onnx(converted[name]).SerializeToString())
    (got,) = session.run(None, {"input": picture.transpose(0, 3, 1, 2)})

    np.testing.assert_allclose(got.transpose(0, 2, 3, 1), expected, atol=ROUNDING)


def test_the_networks_hold_every_operator_that_can_be_taken(converted: dict[str, bytes]) -> None:
    held = {operator.name for content in converted.values() for operator in read_graph(content).operators}

    # A RELU of its own is fused by the converter wherever it can be.
    assert CONVERTERS.keys() - held <= {"RELU"}


def test_no_transpositions_and_open_sides(converted: dict[str, bytes]) -> None:
    graphs = [to_onnx(content).graph for content in converted.values()]

    assert not [node for graph in graphs for node in graph.node if node.op_type in ("Transpose", "Reshape")]
    sides = onnx.helper.printable_value_info(graphs[0].input[0])
    assert "height" in sides
    assert "width" in sides


def test_an_operator_that_cannot_be_taken_is_named(to_tflite: Callable[..., bytes]) -> None:
    import tf_keras

    image = tf_keras.Input((None, None, 3))
    content = to_tflite(tf_keras.Model(image, tf_keras.layers.Activation("tanh")(image)), size=(8, 8))

    with pytest.raises(ModelFileError, match="TANH"):
        to_onnx(content)


def test_integer_networks_are_no_float_networks(to_tflite: Callable[..., bytes]) -> None:
    import tf_keras

    image = tf_keras.Input((None, None, 3))
    content = to_tflite(tf_keras.Model(image, tf_keras.layers.Conv2D(3, 1)(image)), size=(8, 8), int8=True)

    with pytest.raises(ModelFileError, match=r"QUANTIZE|uint8"):
        to_onnx(content)
