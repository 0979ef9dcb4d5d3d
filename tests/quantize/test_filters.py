"""Convolutions of a flatbuffer: reading them and replacing their constants."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize.filters import filters, separated, tail, with_constants
from quantize.moments import PLACES, Sampler

Make = Callable[[str], Any]
NETWORKS = ["anchored", "espcn", "residual", "separable", "hourglass", "grouped", "shared_output"]


@pytest.mark.parametrize("name", NETWORKS)
def test_separating_changes_no_output_and_no_number(float_model: Make, photographs: list[Any], name: str) -> None:
    model = float_model(name)
    apart = separated(model)
    assert np.array_equal(open_session(model).invoke(photographs[0]), open_session(apart).invoke(photographs[0]))
    before, after = read_graph(model), read_graph(apart)
    assert [each.name for each in after.tensors[: len(before.tensors)]] == [each.name for each in before.tensors]
    used = [index for each in filters(after) for index in each.operator.inputs[1:]]
    assert len(set(used)) == len(used) == 2 * len(filters(after))


def test_a_new_bias_of_one_layer_changes_that_layer_alone(float_model: Make, photographs: list[Any]) -> None:
    model = separated(float_model("residual"))  # whose biases are all zero, so one tensor before
    head, body, tail = filters(read_graph(model))
    changed = with_constants(model, tail.replaced(bias=tail.bias + np.float32(0.25)))
    outputs = [open_session(each).invoke(photographs[0]) for each in (model, changed)]
    # The image is added behind the last convolution: float32 sums around 1.
    assert np.allclose(outputs[1] - outputs[0], 0.25, rtol=0, atol=1e-6)
    again = filters(read_graph(changed))
    assert np.array_equal(again[0].bias, head.bias)
    assert np.array_equal(again[1].weights, body.weights)


def test_grouped_convolutions_are_left_as_they_are(float_model: Make) -> None:
    graph = read_graph(float_model("grouped"))
    convolutions = [each for each in graph.operators if each.name == "CONV_2D"]
    assert [each.operator for each in filters(graph)] == [convolutions[0], convolutions[2]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("espcn", 3), ("separable", 4), ("residual", 1), ("anchored", 2), ("hourglass", 1), ("shared_output", 0)],
)
def test_the_tail_begins_where_no_layer_is_passed_by(float_model: Make, name: str, expected: int) -> None:
    """The image may be added behind it: it is exact."""
    graph = read_graph(separated(float_model(name)))
    found = filters(graph)
    assert tail(graph, found) == found[len(found) - expected :]


@pytest.mark.parametrize("name", ["espcn", "separable", "hourglass"])
def test_what_a_sampler_sees_is_what_the_kernel_sees(float_model: Make, photographs: list[Any], name: str) -> None:
    """Strides, depthwise kernels and padding: the layer computed from the views equals the runtime's tensor."""
    model = separated(float_model(name))
    session = open_session(model, keep_tensors=True)
    session.invoke(photographs[0])
    for each in filters(read_graph(model)):
        image, output = session.tensor(each.image), session.tensor(each.output)[0]
        sampler = Sampler(each, image.shape, np.random.default_rng(0))
        views, (rows, columns) = sampler.views(image), sampler.places
        assert views.shape[1] == PLACES
        if each.depthwise:
            computed = np.einsum("gpd,dg->pg", views, each.weights.reshape(-1, each.weights.shape[3]))
        else:
            computed = views[0] @ each.weights.reshape(len(each.weights), -1).T
        computed += each.bias
        if each.operator.options["activation"] == "RELU":
            computed = np.maximum(computed, 0)
        # Float32 sums of up to 576 products of magnitude 1, in another order.
        assert np.allclose(computed, output[rows, columns], rtol=0, atol=1e-5)
