"""MACs and parameters against counts by hand, and shapes against the runtime's own."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.complexity import FLOPS_PER_MAC, complexity
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from octopix.runtime import open_session
from octopix.shapes import infer
from quantize.export import to_float16

layers = tf_keras.layers


def randomised(model: tf_keras.Model) -> tf_keras.Model:
    """With weights and biases as after training: none is zero."""
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=each.shape) for each in model.get_weights()])
    return model


def chain(*parts, channels: int = 3) -> tf_keras.Model:
    image = x = tf_keras.Input((None, None, channels))
    for part in parts:
        x = part(x)
    return randomised(tf_keras.Model(image, x))


def espcn() -> tf_keras.Model:
    return chain(
        layers.Conv2D(64, 5, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(16, 3, padding="same"),
        layers.Lambda(lambda x: tf.nn.depth_to_space(x, 4)),
        channels=1,
    )


@pytest.fixture(scope="module")
def unet() -> tf_keras.Model:
    """What shapes meet in practice: pooling, dilation, both ways up, crops, pads, a global branch."""
    image = tf_keras.Input((None, None, 3))
    full = layers.Conv2D(8, 3, padding="same", activation="relu", dilation_rate=2)(image)
    half = layers.Conv2D(12, 3, padding="same")(layers.MaxPool2D(2)(full))
    quarter = layers.AveragePooling2D(3, strides=2, padding="same")(half)
    attention = layers.Dense(12, activation="sigmoid")(tf.reduce_mean(quarter, axis=(1, 2), keepdims=True))
    half = layers.UpSampling2D(2, interpolation="bilinear")(quarter) + half * attention
    x = layers.Concatenate()([layers.Conv2DTranspose(8, 4, strides=2, padding="same")(half), full])
    x = layers.Conv2D(8, 5)(layers.ZeroPadding2D(3)(x))
    return randomised(tf_keras.Model(image, layers.Conv2DTranspose(3, 3, strides=2)(layers.Cropping2D(1)(x))))


@pytest.fixture(scope="module")
def free_unet(unet, to_tflite) -> bytes:
    """The same for any size."""
    return to_tflite(unet)


LAYERS = {
    # at 24×32 pixels of 3 channels: layer, MACs, parameters
    "conv": (lambda: layers.Conv2D(8, (5, 3), padding="same"), 24 * 32 * 5 * 3 * 3 * 8, 5 * 3 * 3 * 8 + 8),
    "conv-valid": (lambda: layers.Conv2D(8, 5), 20 * 28 * 25 * 3 * 8, 25 * 3 * 8 + 8),
    "conv-strided": (lambda: layers.Conv2D(8, 3, strides=2, padding="same"), 12 * 16 * 9 * 3 * 8, 9 * 3 * 8 + 8),
    "conv-dilated": (lambda: layers.Conv2D(8, 3, dilation_rate=2, padding="same"), 24 * 32 * 9 * 3 * 8, 9 * 3 * 8 + 8),
    "conv-grouped": (lambda: layers.Conv2D(6, 3, groups=3, padding="same"), 24 * 32 * 9 * 1 * 6, 9 * 1 * 6 + 6),
    "conv-without-bias": (lambda: layers.Conv2D(8, 3, use_bias=False), 22 * 30 * 9 * 3 * 8, 9 * 3 * 8),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), 24 * 32 * 9 * 6, 9 * 6 + 6),
    "separable": (
        lambda: layers.SeparableConv2D(8, 3, padding="same"),  # its depthwise half has no bias
        24 * 32 * (9 * 3 + 3 * 8),
        9 * 3 + 3 * 8 + 8,
    ),
    "transposed": (
        lambda: layers.Conv2DTranspose(8, 4, strides=2, padding="same"),
        24 * 32 * 16 * 3 * 8,
        16 * 3 * 8 + 8,
    ),
    "dense": (lambda: layers.Dense(10), 24 * 32 * 3 * 10, 3 * 10 + 10),
    "prelu": (lambda: layers.PReLU(shared_axes=(1, 2)), 0, 3),
    "mean-shift": (lambda: layers.Lambda(lambda x: x * 2.5 - tf.constant([0.1, 0.2, 0.3])), 0, 1 + 3),
    "clip": (lambda: layers.Lambda(lambda x: tf.clip_by_value(x, 0, 0.5)), 0, 0),
    "resize": (lambda: layers.UpSampling2D(2), 0, 0),
    "pool": (lambda: layers.MaxPool2D(2), 0, 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_counts_as_by_hand(name, to_tflite):
    build, macs, parameters = LAYERS[name]
    found = complexity(read_graph(to_tflite(chain(build()))), height=24, width=32)

    assert (found.macs, found.parameters) == (macs, parameters)


def test_dense_over_the_whole_picture(to_tflite):
    """Flattened 6×8×3 to 10 units: its size is fixed, and another one is an error, not a wrong number."""
    image = tf_keras.Input((6, 8, 3))
    model = randomised(tf_keras.Model(image, layers.Dense(10)(layers.Flatten()(image))))
    graph = read_graph(to_tflite(model, size=(6, 8)))

    assert (complexity(graph).macs, complexity(graph).parameters) == (6 * 8 * 3 * 10, 6 * 8 * 3 * 10 + 10)
    with pytest.raises(ModelFileError, match="RESHAPE"):
        complexity(graph, height=9, width=8)


def test_product_of_activations(to_tflite):
    """(HW × C) · (C × HW) at 4×6 pixels of 3 channels."""
    image = tf_keras.Input((4, 6, 3))
    pixels = tf.reshape(image, (-1, 24, 3))
    model = tf_keras.Model(image, tf.matmul(pixels, pixels, transpose_b=True))

    assert complexity(read_graph(to_tflite(model, size=(4, 6)))).macs == 24 * 24 * 3


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
def test_espcn_as_its_formula(int8, to_tflite):
    """5·5·1·64 + 3·3·64·32 + 3·3·32·16 = 24,640 weights, all applied at each pixel, and 64 + 32 + 16 biases."""
    found = complexity(read_graph(to_tflite(espcn(), size=(16, 24), int8=int8)), height=128, width=128)

    assert found.parameters == 24_752
    assert found.macs == 128 * 128 * 24_640
    assert [cost.parameters for cost in found.per_operator if cost.parameters] == [1664, 18464, 4624]


def test_conventions_of_flops():
    """What LESRCNN ×2 and ×4 cost, 40.01 and 137.33 G at two per MAC, stands in its table as 44.457 and 152.586."""
    ratio = FLOPS_PER_MAC["lesrcnn-table"] / FLOPS_PER_MAC["2*MAC"]

    # The inputs are rounded to 0.01, so the products are known to 0.005 · 10/9.
    assert 40.01 * ratio == pytest.approx(44.457, abs=0.006)
    assert 137.33 * ratio == pytest.approx(152.586, abs=0.006)


def test_int8_and_float16_count_as_float32(to_tflite):
    model = chain(
        layers.Lambda(lambda x: x - tf.constant([0.4, 0.5, 0.6])),
        layers.SeparableConv2D(8, 3, padding="same"),
        layers.PReLU(shared_axes=(1, 2)),
        layers.Conv2DTranspose(3, 4, strides=2, padding="same"),
    )
    contents = (to_tflite(model), to_tflite(model, size=(8, 8), int8=True), to_float16(model, height=8, width=8))
    counts = [complexity(read_graph(content), height=20, width=12) for content in contents]

    assert {count.parameters for count in counts} == {model.count_params() + 3}
    assert len({count.macs for count in counts}) == 1


def test_a_shared_layer_has_its_parameters_once_and_its_macs_twice(to_tflite):
    image, shared = tf_keras.Input((None, None, 3)), layers.Conv2D(3, 3, padding="same")
    model = randomised(tf_keras.Model(image, shared(tf.nn.relu(shared(image)))))

    found = complexity(read_graph(to_tflite(model)), height=10, width=10)

    assert (found.macs, found.parameters) == (2 * 10 * 10 * 81, 81 + 3)


def test_a_fixed_size_can_be_recounted_at_another(unet, free_unet, to_tflite):
    free, fixed = read_graph(free_unet), read_graph(to_tflite(unet, size=(32, 48)))

    assert complexity(fixed) == complexity(fixed, height=32, width=48)
    assert complexity(fixed).macs == complexity(free, height=32, width=48).macs
    assert complexity(fixed, height=64, width=16).macs == complexity(free, height=64, width=16).macs


@pytest.mark.parametrize("size", [(16, 24), (36, 20), (4, 4)])
def test_shapes_are_those_of_the_runtime(size, free_unet):
    sizes = infer(read_graph(free_unet), height=size[0], width=size[1])
    session = open_session(free_unet, keep_tensors=True)
    session.run([np.zeros((1, *size, 3), np.float32)])

    assert {index: session.tensor(index).shape for index in sizes.shapes} == sizes.shapes
    for index, value in sizes.values.items():
        assert np.array_equal(session.tensor(index), value)


def test_a_model_for_any_size_needs_one(to_tflite):
    graph = read_graph(to_tflite(espcn()))

    with pytest.raises(ConfigError, match="expected a height and a width, got neither"):
        complexity(graph)
    with pytest.raises(ConfigError, match="give both"):
        complexity(graph, height=128)
    with pytest.raises(ConfigError, match="at least 1"):
        complexity(graph, height=128, width=0)


def test_sizes_that_do_not_fit_are_refused(free_unet, to_tflite):
    with pytest.raises(ModelFileError, match="multiples of the network's total stride"):
        complexity(read_graph(free_unet), height=17, width=16)
    with pytest.raises(ModelFileError, match="large enough"):
        complexity(read_graph(to_tflite(chain(layers.Conv2D(3, 5)))), height=4, width=4)


def test_an_operator_without_a_known_size_is_named(to_tflite):
    graph = read_graph(to_tflite(chain(layers.Lambda(lambda x: tf.reverse(x, axis=[1])))))

    with pytest.raises(ModelFileError, match="REVERSE_V2"):
        complexity(graph, height=8, width=8)
