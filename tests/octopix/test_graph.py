"""Reading `.tflite` files, judged by TensorFlow's own reader; and what broken and foreign files lead to."""

import random

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.lite.python import schema_py_generated as tflite

from octopix.errors import ModelFileError
from octopix.graph import constant, read_graph
from octopix.operators import DTYPES, OPERATOR_NAMES
from octopix.runtime import open_session

layers = tf_keras.layers


@pytest.fixture(scope="module")
def network() -> tf_keras.Model:
    """Convolutions of several kinds, ×2, RGB."""
    image = tf_keras.Input((None, None, 3))
    x = layers.Conv2D(8, (5, 3), strides=(2, 1), padding="same", activation="relu", bias_initializer="normal")(image)
    x = layers.DepthwiseConv2D(3, dilation_rate=1, padding="valid", bias_initializer="normal")(x)
    x = layers.PReLU(alpha_initializer="normal", shared_axes=(1, 2))(x)
    return tf_keras.Model(image, layers.Conv2DTranspose(3, 4, strides=2, padding="same")(x))


@pytest.fixture(scope="module")
def model(network, to_tflite) -> bytes:
    return to_tflite(network, size=(16, 20))


@pytest.fixture(scope="module")
def int8_model(network, to_tflite) -> bytes:
    return to_tflite(network, size=(16, 20), int8=True)


def repacked(model: bytes, edit) -> bytes:
    """The model after ``edit`` changed it, by TensorFlow's schema."""
    unpacked = tflite.ModelT.InitFromPackedBuf(model, 0)
    edit(unpacked)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(unpacked.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def listed(values) -> list:
    return [] if values is None else [each.item() for each in np.asarray(values)]


@pytest.mark.parametrize("kind", ["model", "int8_model"])
def test_reads_what_tensorflows_reader_reads(kind, request):
    content = request.getfixturevalue(kind)
    graph, truth = read_graph(content), tflite.ModelT.InitFromPackedBuf(content, 0)
    subgraph = truth.subgraphs[0]

    assert (list(graph.inputs), list(graph.outputs)) == (listed(subgraph.inputs), listed(subgraph.outputs))
    assert graph.description == truth.description.decode()
    assert set(graph.metadata) == {each.name.decode() for each in truth.metadata}
    for tensor, expected in zip(graph.tensors, subgraph.tensors, strict=True):
        assert tensor.name == expected.name.decode()
        assert list(tensor.shape) == listed(expected.shape)
        assert getattr(tflite.TensorType, tensor.dtype.upper()) == expected.type
        data = truth.buffers[expected.buffer].data
        assert (b"" if tensor.data is None else bytes(tensor.data)) == (b"" if data is None else data.tobytes())
        if tensor.quantization is not None:
            assert list(tensor.quantization.scales) == listed(expected.quantization.scale)
            assert list(tensor.quantization.zero_points) == listed(expected.quantization.zeroPoint)
            assert tensor.quantization.axis == expected.quantization.quantizedDimension
    for operator, expected in zip(graph.operators, subgraph.operators, strict=True):
        code = truth.operatorCodes[expected.opcodeIndex].builtinCode
        assert getattr(tflite.BuiltinOperator, operator.name) == code
        assert list(operator.inputs) == listed(expected.inputs)
        assert list(operator.outputs) == listed(expected.outputs)


def test_int8_model_has_its_types_and_scales(int8_model):
    graph = read_graph(int8_model)
    weights = graph.tensors[next(each for each in graph.operators if each.name == "CONV_2D").inputs[1]]

    assert graph.tensors[graph.inputs[0]].dtype == graph.tensors[graph.outputs[0]].dtype == "uint8"
    assert (weights.dtype, weights.shape) == ("int8", (8, 5, 3, 3))
    assert (len(weights.quantization.scales), weights.quantization.axis) == (8, 0)


def test_options_are_named(model):
    options = {each.name: each.options for each in read_graph(model).operators}

    assert options["CONV_2D"]["padding"] == "SAME"
    assert options["CONV_2D"]["activation"] == "RELU"
    assert (options["CONV_2D"]["stride_h"], options["CONV_2D"]["stride_w"]) == (2, 1)
    assert options["DEPTHWISE_CONV_2D"]["padding"] == "VALID"
    assert options["DEPTHWISE_CONV_2D"]["dilation_h"] == 1
    assert options["TRANSPOSE_CONV"]["stride_w"] == 2


def test_constants_are_the_weights_and_are_not_copied(model, network):
    graph = read_graph(model)
    weights = graph.tensors[graph.operators[0].inputs[1]]
    kernel = network.layers[1].kernel.numpy()

    assert np.array_equal(constant(weights), kernel.transpose(3, 0, 1, 2))
    assert np.shares_memory(constant(weights), np.frombuffer(model, np.uint8))
    with pytest.raises(ModelFileError, match="got an activation"):
        constant(graph.tensors[graph.inputs[0]])


def test_free_sizes_show_in_the_signature(network, model, to_tflite):
    free, fixed = read_graph(to_tflite(network)), read_graph(model)

    assert free.tensors[free.inputs[0]].shape_signature == (1, -1, -1, 3)
    assert fixed.tensors[fixed.inputs[0]].shape_signature == (1, 16, 20, 3)


def test_every_operator_and_type_of_tensorflows_schema_has_its_name():
    ours = {name: code for code, name in enumerate(OPERATOR_NAMES)}
    types = {each.name.upper(): code for code, each in enumerate(DTYPES)}

    assert ours == {name: code for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
    assert types == {name: code for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}


def test_operator_codes_old_new_and_custom(model):
    def edit(unpacked):
        first, second, third = unpacked.operatorCodes[:3]
        first.builtinCode = 0  # as files before 2020 have it: only the one-byte field is set
        second.deprecatedBuiltinCode, second.builtinCode = 127, tflite.BuiltinOperator.GELU
        third.deprecatedBuiltinCode = third.builtinCode = tflite.BuiltinOperator.CUSTOM
        third.customCode = "FlexPReLU"

    before, after = read_graph(model), read_graph(repacked(model, edit))

    assert [each.name for each in after.operators[:3]] == [before.operators[0].name, "GELU", "FlexPReLU"]


def test_weights_behind_the_flatbuffer_as_in_large_models(model):
    """Checked against LiteRT, which reads the same file."""
    image = np.random.default_rng(0).random((1, 16, 20, 3), dtype=np.float32)
    index = read_graph(model).operators[0].inputs[1]
    buffer, kernel = read_graph(model).tensors[index].buffer, bytes(read_graph(model).tensors[index].data)

    def move(offset):
        def edit(unpacked):
            unpacked.buffers[buffer].data = None
            unpacked.buffers[buffer].offset, unpacked.buffers[buffer].size = offset, len(kernel)

        return edit

    length = len(repacked(model, move(2**40)))
    large = repacked(model, move(length)) + kernel

    assert bytes(read_graph(large).tensors[index].data) == kernel
    assert np.array_equal(open_session(large).run([image])[0], open_session(model).run([image])[0])
    with pytest.raises(ModelFileError, match="truncated or damaged"):
        read_graph(large[:-1])


def test_a_constant_of_another_size_than_its_shape_is_refused(model):
    kernel = read_graph(model).operators[0].inputs[1]

    def shrink(unpacked):
        unpacked.subgraphs[0].tensors[kernel].shape = [8, 5, 3, 2]

    with pytest.raises(ModelFileError, match=r"1440 bytes for float32 \(8, 5, 3, 2\)"):
        read_graph(repacked(model, shrink))


def test_more_than_one_subgraph_is_refused(model):
    with pytest.raises(ModelFileError, match="got 2 subgraphs"):
        read_graph(repacked(model, lambda unpacked: unpacked.subgraphs.append(unpacked.subgraphs[0])))


@pytest.mark.parametrize("kind", ["model", "int8_model"])
def test_a_file_cut_anywhere_is_refused(kind, request):
    content = request.getfixturevalue(kind)
    for length in [*range(0, len(content), 37), *range(len(content) - 64, len(content))]:
        with pytest.raises(ModelFileError):
            read_graph(content[:length])


def test_a_flipped_bit_is_an_error_in_words_or_another_graph(int8_model):
    draw = random.Random(0)
    refused = 0
    for _ in range(1500):
        content = bytearray(int8_model)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        try:
            read_graph(bytes(content))
        except ModelFileError:
            refused += 1

    assert refused > 50  # most bits are weights, names and scales, of which any value is as good as another


def test_lists_that_overlap_without_end_are_refused():
    """100,000 tensors that share one name of 1 MB: 100 GB to read, from a file of 1.4 MB."""
    builder = flatbuffers.Builder(0)
    name = builder.CreateString("x" * 10**6)
    tflite.TensorStart(builder)
    tflite.TensorAddName(builder, name)
    tensor = tflite.TensorEnd(builder)
    builder.StartVector(4, 10**5, 4)
    for _ in range(10**5):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    subgraph = tflite.SubGraphEnd(builder)
    tflite.BufferStart(builder)
    buffer = tflite.BufferEnd(builder)
    tflite.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(subgraph)
    subgraphs = builder.EndVector()
    tflite.ModelStartBuffersVector(builder, 1)
    builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")

    with pytest.raises(ModelFileError, match="overlap"):
        read_graph(bytes(builder.Output()))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"TFL3",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        b"version https://git-lfs.github.com",
    ],
    ids=["empty", "short", "png", "zip", "pointer"],
)
def test_another_kind_of_file_is_refused(content, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)

    with pytest.raises(ModelFileError, match=r"expected a TFLite model.*model\.tflite.*not a link"):
        read_graph(path)


def test_another_schema_version_is_refused(model):
    with pytest.raises(ModelFileError, match="schema version 3, got version 2"):
        read_graph(repacked(model, lambda unpacked: setattr(unpacked, "version", 2)))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"absent\.tflite.*No such file"):
        read_graph(tmp_path / "absent.tflite")
    with pytest.raises(ModelFileError, match="directory"):
        read_graph(tmp_path)


def test_reads_a_file_as_its_bytes(model, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model)

    assert read_graph(path) == read_graph(model)


def test_newer_operators_are_above_127(to_tflite):
    image = tf_keras.Input((None, None, 3))
    model = tf_keras.Model(image, layers.Lambda(lambda x: tf.cumsum(x, axis=3))(image))

    assert [each.name for each in read_graph(to_tflite(model)).operators] == ["CUMSUM"]
