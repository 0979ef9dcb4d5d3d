from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from octopix.graph import read_graph
from quantize.layers import activation_tensors

Make = Callable[[str], Any]


def test_espcn_layers_are_its_operators_in_order(network: Make, float_model: Make) -> None:
    graph = read_graph(float_model("espcn"))
    outputs = [each.outputs[0] for each in graph.operators]
    expected = dict(zip(["features", "mapping", "subpixels", "shuffle"], outputs, strict=True))
    assert activation_tensors(network("espcn"), float_model("espcn")) == expected | {"lr": graph.inputs[0]}


@pytest.mark.parametrize("name", ["residual", "hourglass"])
def test_every_layer_is_found_where_its_operator_writes(network: Make, float_model: Make, name: str) -> None:
    kinds = {
        "Conv2D": "CONV_2D",
        "Conv2DTranspose": "TRANSPOSE_CONV",
        "PReLU": "PRELU",
        "Add": "ADD",
        "Concatenate": "CONCATENATION",
    }
    graph = read_graph(float_model(name))
    producers = {index: each.name for each in graph.operators for index in each.outputs}
    found = activation_tensors(network(name), float_model(name))
    layers = {layer.name: kinds[type(layer).__name__] for layer in network(name).layers[1:]}
    assert {layer: producers[found[layer]] for layer in layers} == layers
    assert len(set(found.values())) == len(found)


def test_a_layer_that_the_converter_fused_away_is_absent() -> None:
    import tf_keras

    from quantize.export import to_float32

    image = tf_keras.Input((None, None, 1), name="image")
    linear = tf_keras.layers.Conv2D(4, 3, name="linear")(image)
    rectified = tf_keras.layers.ReLU(name="rectified")(linear)
    model = tf_keras.Model(image, tf_keras.layers.Conv2D(1, 1, name="last")(rectified))
    found = activation_tensors(model, to_float32(model, height=32, width=32))
    assert found.keys() == {"image", "rectified", "last"}


def test_another_models_export_does_not_match(network: Make, float_model: Make) -> None:
    import tf_keras

    other = tf_keras.models.clone_model(network("espcn"))
    other.set_weights([np.flip(weight) for weight in network("espcn").get_weights()])
    assert activation_tensors(other, float_model("espcn")).keys() == {"lr"}
