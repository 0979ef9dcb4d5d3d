"""What is written into `.tflite` files is there, runs as before, and comes out the same every time."""

import math

import flatbuffers
import numpy as np
import pytest
import tf_keras
from tensorflow.lite.python import schema_py_generated as tflite

from octopix import schema
from octopix.card import ModelCard, find_card, graph_sha256, read_card
from octopix.errors import ModelFileError
from octopix.graph import constant, read_graph
from octopix.runtime import open_session
from quantize.embed import embed_card, with_ranges
from quantize.mlir import quantize_int8

CARD = ModelCard(
    model="net", scheme="float32", task="enhancement", scale=1, channels="rgb", multiple_of=1, receptive_field=5
)


@pytest.fixture(scope="module")
def network() -> tf_keras.Model:
    image = tf_keras.Input((None, None, 3))
    x = tf_keras.layers.Conv2D(8, 3, padding="same", activation="relu", bias_initializer="normal")(image)
    return tf_keras.Model(image, tf_keras.layers.Conv2D(3, 3, padding="same", bias_initializer="normal")(x))


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "int8"])
def model(request, network, to_tflite) -> bytes:
    return to_tflite(network, size=(16, 24), int8=request.param)


@pytest.fixture(scope="module")
def float_model(network, to_tflite) -> bytes:
    return to_tflite(network, size=(16, 24))


def run(model: bytes) -> np.ndarray:
    session = open_session(model)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3)).astype(np.uint8)
    return session.run([image if session.input_dtype == np.uint8 else np.float32(image / 255)])[0]


def activations(graph):
    return [index for each in graph.operators for index in each.outputs]


def test_a_model_runs_as_before(model):
    """Exactly: the arithmetic is the same."""
    assert np.array_equal(run(embed_card(model, CARD)), run(model))


def test_nothing_but_the_card_is_added(model):
    before, after = read_graph(model), read_graph(embed_card(model, CARD))

    assert after.operators == before.operators
    assert [(each.name, each.shape, each.shape_signature, each.quantization, each.data) for each in after.tensors] == [
        (each.name, each.shape, each.shape_signature, each.quantization, each.data) for each in before.tensors
    ]
    assert set(after.metadata) - set(before.metadata) == {"octopix.card"}
    assert {name: after.metadata[name] for name in before.metadata} == before.metadata


def test_embedding_is_repeatable_and_replaces(model):
    other = ModelCard(**(vars(CARD) | {"scheme": "float16"}))
    once = embed_card(model, CARD)

    assert embed_card(model, CARD) == once
    assert embed_card(once, CARD) == once
    assert embed_card(embed_card(once, other), CARD) == once
    assert read_card(embed_card(once, other)) == other


def test_a_card_that_other_tools_moved_is_replaced_too(model):
    unpacked = tflite.ModelT.InitFromPackedBuf(embed_card(model, CARD), 0)
    unpacked.buffers.append(tflite.BufferT())
    builder = flatbuffers.Builder(0)
    builder.Finish(unpacked.Pack(builder), file_identifier=b"TFL3")
    moved = bytes(builder.Output())
    other = ModelCard(**(vars(CARD) | {"scheme": "float16"}))

    assert find_card(moved) == CARD
    assert read_card(embed_card(moved, other)) == other
    assert graph_sha256(embed_card(moved, other)) == graph_sha256(embed_card(moved, CARD))


def test_buffers_are_aligned_as_the_schema_asks(model):
    blocks = schema.buffers(schema.root(embed_card(model, CARD)))

    assert {block.start % 16 for block in blocks if block} == {0}


def test_a_damaged_model_is_refused(model):
    with pytest.raises(ModelFileError):
        embed_card(model[: len(model) // 2], CARD)


def test_ranges_are_written_and_change_nothing_else(float_model):
    graph = read_graph(float_model)
    ranged = with_ranges(float_model, dict.fromkeys(activations(graph), (-0.5, 1.25)))
    found = read_graph(ranged)

    for index in activations(graph):
        assert found.tensors[index].quantization.minimum == (-0.5,)
        assert found.tensors[index].quantization.maximum == (1.25,)
    assert found.tensors[graph.inputs[0]].quantization == graph.tensors[graph.inputs[0]].quantization
    assert np.array_equal(run(ranged), run(float_model))


def test_the_quantizer_takes_the_ranges(float_model):
    graph = read_graph(float_model)
    ranges = {graph.inputs[0]: (0.0, 1.0), **dict.fromkeys(activations(graph), (-1.0, 3.0))}
    quantized = read_graph(quantize_int8(with_ranges(float_model, ranges)))
    first = quantized.tensors[next(each for each in quantized.operators if each.name == "CONV_2D").outputs[0]]

    assert first.dtype == "int8"
    # 255 steps from -1 to 3, stored as float32; the zero point is the whole number next to -128 + 1 / scale.
    assert first.quantization.scales[0] == pytest.approx(4 / 255, rel=1e-6)
    assert first.quantization.zero_points == (round(-128 + 255 / 4),)


@pytest.mark.parametrize("bounds", [(0.0, math.nan), (-math.inf, 0.0), (1.0, 0.0)], ids=str)
def test_ranges_that_are_none_are_refused(bounds, float_model):
    with pytest.raises(ModelFileError, match=r"expected a finite range for .*; look for NaN"):
        with_ranges(float_model, {read_graph(float_model).outputs[0]: bounds})


def test_ranges_of_another_model_are_refused(float_model):
    graph = read_graph(float_model)
    kernel = graph.operators[0].inputs[1]

    assert constant(graph.tensors[kernel]).size
    for index in (kernel, len(graph.tensors), -1):
        with pytest.raises(ModelFileError, match=f"got one for tensor {index}"):
            with_ranges(float_model, {index: (0.0, 1.0)})
