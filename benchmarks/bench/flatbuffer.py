"""Small ``.tflite`` files written through the schema objects that ship with LiteRT: no TensorFlow is needed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as tflite

from octopix.aligned import AlignedBuilder
from octopix.schema import IDENTIFIER, VERSION

_ROOM = 1024
_TYPES = {
    "float16": tflite.TensorType.FLOAT16,
    "float32": tflite.TensorType.FLOAT32,
    "int8": tflite.TensorType.INT8,
    "int32": tflite.TensorType.INT32,
    "int64": tflite.TensorType.INT64,
}


@dataclass(frozen=True)
class Scale:
    """real = scale · (stored − zero point): one scale, or one per slice along ``axis``."""

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


def unpacked(model: bytes) -> Any:
    """The schema's ``ModelT`` of a file that octopix's reader has accepted."""
    return tflite.ModelT.InitFromPackedBuf(model, 0)


def packed(
    *, tensors: Sequence[Any], operators: Sequence[Any], codes: Sequence[Any], buffers: Sequence[Any], ports: "Ports"
) -> bytes:
    """A model of one subgraph.

    Args:
        tensors: ``TensorT`` objects; their ``buffer`` is a position in ``buffers``.
        operators: ``OperatorT`` objects in order of execution; their ``opcodeIndex`` is a position in ``codes``.
        codes: ``OperatorCodeT`` objects.
        buffers: ``BufferT`` objects, the first of them empty, as the schema asks.
        ports: positions of inputs and outputs in ``tensors``.
    """
    graph = tflite.SubGraphT()
    graph.tensors, graph.operators = list(tensors), list(operators)
    graph.inputs, graph.outputs = _indices(ports.inputs), _indices(ports.outputs)
    model = tflite.ModelT()
    model.version, model.subgraphs = VERSION, [graph]
    model.operatorCodes, model.buffers = list(codes), list(buffers)
    builder = AlignedBuilder(_ROOM)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


@dataclass(frozen=True)
class Ports:
    """Inputs and outputs of a graph."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def buffer_of(values: npt.NDArray[Any] | None = None) -> Any:
    """A ``BufferT``; empty without values."""
    buffer = tflite.BufferT()
    if values is not None:
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        buffer.data = np.frombuffer(little.tobytes(), np.uint8)
    return buffer


def tensor_of(name: str, shape: Iterable[int], dtype: str, *, buffer: int = 0, scale: Scale | None = None) -> Any:
    """A ``TensorT``; ``buffer`` 0 makes an activation of it."""
    tensor = tflite.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, _indices(shape), _TYPES[dtype], buffer
    if scale is not None:
        quantization = tflite.QuantizationParametersT()
        quantization.scale = np.array(scale.scales, np.float32)
        quantization.zeroPoint = np.full(len(scale.scales), scale.zero_point, np.int64)
        quantization.quantizedDimension = scale.axis
        tensor.quantization = quantization
    return tensor


def convolution(*, side: int, channels: int, filters: int, taps: int, dtype: str, seed: int = 0) -> bytes:
    """A model of one CONV_2D, padded to keep its size, with random weights.

    Args:
        side: height and width of the input, (1, side, side, channels).
        channels: of the input.
        filters: channels of the output.
        taps: height and width of the kernel.
        dtype: ``float32`` or ``int8``, whose weights have one scale per filter.
        seed: of the weights.
    """
    random = np.random.default_rng(seed)
    shape = (filters, taps, taps, channels)
    if dtype == "int8":
        weights: npt.NDArray[Any] = random.integers(-127, 127, shape, dtype=np.int8, endpoint=True)
        scales = [Scale((0.01,)), Scale((0.01,) * filters), Scale((1e-4,) * filters), Scale((0.1,))]
    else:
        weights = random.normal(0, 0.05, shape).astype(np.float32)
        scales = [None] * 4  # type: ignore[list-item]  # floats have none
    bias = np.zeros(filters, np.int32 if dtype == "int8" else np.float32)
    tensors = [
        tensor_of("input", (1, side, side, channels), dtype, scale=scales[0]),
        tensor_of("weights", shape, dtype, buffer=1, scale=scales[1]),
        tensor_of("bias", bias.shape, bias.dtype.name, buffer=2, scale=scales[2]),
        tensor_of("output", (1, side, side, filters), dtype, scale=scales[3]),
    ]
    return packed(
        tensors=tensors,
        operators=[_convolving()],
        codes=[_convolution_code()],
        buffers=[buffer_of(), buffer_of(weights), buffer_of(bias)],
        ports=Ports((0,), (3,)),
    )


def _convolving() -> Any:
    options = tflite.Conv2DOptionsT()
    options.padding, options.strideW, options.strideH = tflite.Padding.SAME, 1, 1
    options.dilationWFactor = options.dilationHFactor = 1
    operator = tflite.OperatorT()
    operator.inputs, operator.outputs = _indices((0, 1, 2)), _indices((3,))
    operator.builtinOptionsType, operator.builtinOptions = tflite.BuiltinOptions.Conv2DOptions, options
    return operator


def _convolution_code() -> Any:
    code = tflite.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tflite.BuiltinOperator.CONV_2D
    code.version = 3  # the first that has int8 weights with one scale per filter
    return code


def _indices(values: Iterable[int]) -> npt.NDArray[np.int32]:
    return np.array(list(values), np.int32)
