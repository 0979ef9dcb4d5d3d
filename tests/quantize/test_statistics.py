from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from octopix.errors import DataError, ModelFileError
from octopix.graph import read_graph
from quantize.export import to_float32
from quantize.statistics import SAMPLE, activations, collect

Make = Callable[[str], Any]


def test_extremes_are_those_that_keras_computes(network: Make, float_model: Make, photographs: list[Any]) -> None:
    import tf_keras

    model = network("espcn")
    layers = tf_keras.Model(
        model.input, [model.get_layer(name).output for name in ("features", "mapping", "subpixels")]
    )
    expected = [layers(image) for image in photographs]
    found = collect(float_model("espcn"), photographs)
    graph = read_graph(float_model("espcn"))
    computed = [each.outputs[0] for each in graph.operators if each.name == "CONV_2D"]
    for place, index in enumerate(computed):
        values = np.stack([np.asarray(image[place]) for image in expected])
        each = values.reshape(len(photographs), -1)
        # Two float kernels add up in another order: 1e-5 of the largest value covers a few hundred terms.
        close = {"rtol": 0, "atol": 1e-5 * np.abs(values).max()}
        statistics = found[index]
        np.testing.assert_allclose([statistics.minimum, statistics.maximum], [each.min(), each.max()], **close)
        np.testing.assert_allclose(statistics.mean_maximum, each.max(axis=1).mean(), **close)
        np.testing.assert_allclose(statistics.mean_minimum, each.min(axis=1).mean(), **close)
        # 1.3e5 draws: a quantile's rank is off by 1/sqrt(draws) = 0.3 %; asked of the median and both quartiles.
        for share in (0.25, 0.5, 0.75):
            lower, upper = np.quantile(each, (share - 0.01, share + 0.01))
            assert lower - close["atol"] <= np.quantile(statistics.sample, share) <= upper + close["atol"]


def test_the_input_is_described_as_it_was_given(float_model: Make, photographs: list[Any]) -> None:
    graph = read_graph(float_model("espcn"))
    (index,) = graph.inputs
    statistics = collect(float_model("espcn"), photographs, tensors=[index])[index]
    assert np.isin(statistics.sample, np.stack(photographs)).all()
    assert statistics.images == len(photographs)


@pytest.mark.parametrize("images", [1, 2, 5, 40])
def test_the_sample_stays_within_its_size_and_every_image_has_an_equal_share(
    float_model: Make, photographs: list[Any], images: int
) -> None:
    (index,) = read_graph(float_model("espcn")).inputs
    marked = (np.full((1, 16, 16, 1), number / 100, np.float32) for number in range(images))
    sample = collect(float_model("espcn"), marked, tensors=[index])[index].sample
    _, counts = np.unique(sample, return_counts=True)
    assert len(counts) == images
    assert np.unique(counts).size == 1
    assert SAMPLE // 2 < sample.size <= SAMPLE


def test_threads_change_nothing(float_model: Make, photographs: list[Any]) -> None:
    one, three = (collect(float_model("residual"), photographs, threads=threads) for threads in (1, 3))
    assert one.keys() == three.keys() == set(activations(read_graph(float_model("residual"))))
    for index, statistics in one.items():
        np.testing.assert_array_equal(statistics.sample, three[index].sample)
        assert statistics.maximum == three[index].maximum
        assert statistics.mean_minimum == three[index].mean_minimum


def test_images_are_a_stream_of_any_sizes(float_model: Make) -> None:
    ahead: list[int] = []
    done: list[int] = []

    def images() -> Iterator[Any]:
        for number in range(12):
            ahead.append(number - len(done))
            yield np.full((1, 16 + number, 24, 1), 0.5, np.float32)

    collect(float_model("espcn"), images(), threads=1, watch=done.append)
    assert done == list(range(1, 13))
    assert max(ahead) <= 4  # a bounded window ahead of the readings, however many images follow


def test_no_image_is_an_error(float_model: Make) -> None:
    with pytest.raises(DataError, match="calibration images"):
        collect(float_model("espcn"), [])


def test_nan_is_reported_with_the_tensor_it_is_in(float_model: Make, photographs: list[Any]) -> None:
    spoiled = photographs[0].copy()
    spoiled[0, 5, 5, 0] = np.nan
    first = read_graph(float_model("espcn")).operators[0].outputs
    with pytest.raises(ModelFileError, match=r"finite activations in .*features.*image 1"):
        collect(float_model("espcn"), [photographs[1], spoiled], tensors=first)


def test_infinity_made_by_the_network_is_reported(photographs: list[Any]) -> None:
    import tf_keras

    image = tf_keras.Input((None, None, 1))
    x = tf_keras.layers.Conv2D(1, 1, name="huge", kernel_initializer=tf_keras.initializers.Constant(1e30))(image)
    x = tf_keras.layers.Conv2D(1, 1, name="runaway", kernel_initializer=tf_keras.initializers.Constant(1e30))(x)
    with pytest.raises(ModelFileError, match="finite activations in"):
        collect(to_float32(tf_keras.Model(image, x), height=16, width=16), photographs)
