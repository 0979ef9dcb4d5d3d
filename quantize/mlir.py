"""TensorFlow's private quantizer: the only file that touches it; a test checks that its signature is still this one.

``tensorflow.lite.python.convert.mlir_quantize`` takes any float ``.tflite`` whose activation tensors carry a ``min``
and a ``max``, and gives the integer one. The public ``TFLiteConverter`` calls it too, but after its own calibration.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.mlir.lite import types_pb2
from tensorflow.lite.python import convert
from tensorflow.lite.python import schema_py_generated as schema

from octopix.errors import ModelFileError
from quantize.embed import rewritten

BIAS_PLACE = {
    schema.BuiltinOperator.CONV_2D: 2,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 2,
    schema.BuiltinOperator.FULLY_CONNECTED: 2,
    schema.BuiltinOperator.TRANSPOSE_CONV: 3,
}
"""Which input of an operator is its bias."""

ConverterError = convert.ConverterError
"""What TensorFlow raises when an operator has no TFLite counterpart; it derives from Exception alone."""


def quantize_int8(ranged_model: bytes, *, keep_float: Collection[str] = ()) -> bytes:
    """Weights int8 per channel and symmetric, activations int8 by their ranges, uint8 input and output.

    An activation without a range would stay float, in silence: callers give every one a range and check the result.
    (``fully_quantize`` stays off: with it, the types asked for input and output are ignored, and both become int8.)

    Args:
        ranged_model: float ``.tflite`` with a range on every activation.
        keep_float: names of the tensors whose operators stay float, between a DEQUANTIZE and a QUANTIZE.

    Raises:
        ModelFileError: the quantizer refuses the graph.
    """
    options = {"input_data_type": tf.uint8, "output_data_type": tf.uint8}
    return _quantize(ranged_model, **options, denylisted_nodes=set(keep_float))


def quantize_int16x8(ranged_model: bytes, *, float_operators: Collection[str]) -> bytes:
    """Weights as for `quantize_int8`, activations int16, float32 input and output.

    Two things are mended afterwards, without which kernels refuse the model or read beyond its biases. A symmetric
    range over 65,536 levels has its zero at −0.5, rounded to −1 or 0 as the last bit falls: zero points become 0. And
    biases are int32 where kernels expect int64, with which no sum can overflow.

    Args:
        ranged_model: float ``.tflite`` with a symmetric range on every activation.
        float_operators: operators to leave in float, as the schema calls them.

    Raises:
        ModelFileError: the quantizer refuses the graph.
    """
    options = {"inference_type": types_pb2.QUANTIZED_INT16, "denylisted_ops": set(float_operators)}
    return rewritten(_quantize(ranged_model, **options), _mend_int16)


def _mend_int16(model: Any) -> None:
    tensors = model.subgraphs[0].tensors
    for tensor in tensors:
        if tensor.type == schema.TensorType.INT16:
            tensor.quantization.zeroPoint = np.zeros_like(tensor.quantization.zeroPoint)
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        place = BIAS_PLACE.get(code)
        if place is not None and len(operator.inputs) > place and operator.inputs[place] >= 0:
            _widen(tensors[operator.inputs[place]], model.buffers)


def _widen(bias: Any, buffers: list[Any]) -> None:
    """Make an int32 constant int64, in a buffer of its own."""
    if bias.type == schema.TensorType.INT32:
        narrow = np.frombuffer(buffers[bias.buffer].data.tobytes(), "<i4")
        wide = schema.BufferT()
        wide.data = np.frombuffer(narrow.astype("<i8").tobytes(), np.uint8)
        bias.type, bias.buffer = schema.TensorType.INT64, len(buffers)
        buffers.append(wide)


def _quantize(ranged_model: bytes, **options: object) -> bytes:
    try:
        return bytes(convert.mlir_quantize(ranged_model, **options))
    except (ConverterError, RuntimeError, ValueError) as error:
        raise ModelFileError(
            expected="a float graph that TensorFlow's quantizer takes",
            got=" ".join(str(error).split()) or "one with an operator that it has no integer form for",
            do="look at the operators with `octopix inspect`",
        ) from error
