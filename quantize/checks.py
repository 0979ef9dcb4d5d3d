"""Proof, on the flatbuffer, that a conversion did what its scheme says.

The stock converter falls back to float in silence: without calibration images, for an operator without an integer
kernel, for a tensor without a range. What leaves `quantize` has passed the check of its scheme's kind.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from octopix.errors import ModelFileError
from octopix.graph import Graph, Operator, Quantization, Tensor, constant, read_graph
from octopix.runtime import open_session
from quantize.filters import KINDS
from quantize.schemes import Kind

WEIGHT_AXIS: dict[str, int] = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 3,
    "TRANSPOSE_CONV": 0,
    "FULLY_CONNECTED": 0,
}
"""Where TFLite keeps output channels in an operator's weights, input number 1 of each."""

NO_INT16_KERNEL = frozenset({"DEPTH_TO_SPACE", "PRELU"})
"""Operators that runtimes have for int8 but not for int16; they move or scale values, so float loses nothing."""

INTEGERS = frozenset({"int8", "uint8", "int32", "int64", "bool"})
FLOATS = frozenset({"float16", "float32", "float64"})
BYTE = 1 / 255


def check(model: bytes, kind: Kind, *, left_in_float: Collection[int] = ()) -> None:
    """Check a model against its scheme's kind, then run it twice.

    Args:
        model: ``.tflite``.
        kind: its scheme's.
        left_in_float: convolutions of an int8 model that are to be float: 0 is the first to run.

    Raises:
        ModelFileError: the first thing that is not as it should be, with tensor or operator and its number.
    """
    graph = read_graph(model)
    _check_scales(graph)
    if left_in_float:
        check_selective(graph, left_in_float)
    else:
        CHECKS[kind](graph)
    _check_repeats(model)


def check_float32(graph: Graph) -> None:
    """Every number is float32, but for shapes and the like."""
    for tensor in graph.tensors:
        if tensor.dtype in {"float16", "int8", "uint8"}:
            raise _wrong(f"a float32 model, {tensor.name} included", tensor.dtype)
    _check_ports(graph, "float32")


def check_float16(graph: Graph) -> None:
    """Weights are float16, input and output float32."""
    _check_some(graph, "float16")
    _check_ports(graph, "float32")


def check_dynamic(graph: Graph) -> None:
    """Weights are int8, at least the large ones, activations float32."""
    _check_some(graph, "int8")
    for tensor in graph.tensors:
        if not tensor.is_constant and tensor.dtype not in {"float32", "int32"}:
            raise _wrong(f"{tensor.name} computed in float32", tensor.dtype)
    _check_ports(graph, "float32")


def check_int16x8(graph: Graph) -> None:
    """Weights int8, activations int16; float32 only at the two ends, and where no operator computes."""
    _check_ports(graph, "float32")
    _check_weights(graph)
    _check_biases(graph, "int64")
    for operator in graph.operators:
        if operator.name in {"QUANTIZE", "DEQUANTIZE"} | NO_INT16_KERNEL:
            continue
        _check_types(graph, operator, INTEGERS | {"int16"})
        if not any(graph.tensors[index].dtype == "int16" for index in operator.outputs):
            raise _wrong(f"int16 activations out of {_called(operator)}", "none")


def check_int8(graph: Graph) -> None:
    """No float anywhere, 8-bit images at both ends, weights per output channel, biases on their accumulator's scale."""
    _check_kernels(graph)
    for operator in graph.operators:
        _check_types(graph, operator, INTEGERS)
    for tensor in graph.tensors:
        if tensor.dtype in FLOATS:
            raise _wrong(f"no float tensor, {tensor.name} included", tensor.dtype)
    _check_ports(graph, "uint8")
    for index in (*graph.inputs, *graph.outputs):
        _check_image(graph.tensors[index])
    _check_weights(graph)
    _check_biases(graph, "int32")


def check_selective(graph: Graph, left_in_float: Collection[int]) -> None:
    """Float are the convolutions wanted, and nothing else that computes; 8-bit images at both ends."""
    convolutions = [each.index for each in graph.operators if each.name in KINDS]
    wanted = {convolutions[place] for place in left_in_float}
    found = {each.index for each in _left_in_float(graph)}
    if found != wanted:
        names = (", ".join(_called(graph.operators[index]) for index in sorted(each)) for each in (wanted, found))
        raise _wrong(*(f"{each or 'nothing'} in float" for each in names))
    _check_ports(graph, "uint8")
    for index in (*graph.inputs, *graph.outputs):
        _check_image(graph.tensors[index])
    _check_weights(graph, left_out=found)
    _check_biases(graph, "int32", left_out=found)


CHECKS: Mapping[Kind, Callable[[Graph], None]] = {
    "float32": check_float32,
    "float16": check_float16,
    "dynamic": check_dynamic,
    "int16x8-ptq": check_int16x8,
    "int8-ptq": check_int8,
    "int8-qat": check_int8,
}


def _check_kernels(graph: Graph) -> None:
    """Name all operators that the quantizer left in float, since it has no integer form of them."""
    left = _left_in_float(graph)
    if left:
        raise ModelFileError(
            expected="operators with int8 kernels",
            got=", ".join(dict.fromkeys(map(_called, left))) + " in float",
            do="replace them in the network by others, such as convolutions, RELU, ADD and DEPTH_TO_SPACE; "
            "nothing was written",
        )


def _left_in_float(graph: Graph) -> list[Operator]:
    def is_float(index: int) -> bool:
        return index >= 0 and graph.tensors[index].dtype in FLOATS

    moved = {"QUANTIZE", "DEQUANTIZE"}
    return [each for each in graph.operators if each.name not in moved and any(map(is_float, each.outputs))]


def _check_types(graph: Graph, operator: Operator, allowed: frozenset[str]) -> None:
    for index in (*operator.inputs, *operator.outputs):
        if index >= 0 and graph.tensors[index].dtype not in allowed:
            raise _wrong(f"{_called(operator)} to work on integers", f"{graph.tensors[index].dtype} there")


def _check_some(graph: Graph, dtype: str) -> None:
    if not any(tensor.is_constant and tensor.dtype == dtype for tensor in graph.tensors):
        raise _wrong(f"{dtype} weights", "none")


def _check_ports(graph: Graph, dtype: str) -> None:
    ports = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    if len(ports) != 2:
        raise _wrong("one input and one output", f"{len(graph.inputs)} and {len(graph.outputs)}")
    for tensor in ports:
        if tensor.dtype != dtype:
            raise _wrong(f"{dtype} at {tensor.name}", tensor.dtype)


def _check_image(tensor: Tensor) -> None:
    """Scale 1/255 as float32 has it, zero point 0: the tensor is the 8-bit image."""
    found = _quantization(tensor)
    if np.float32(found.scales[0]) != np.float32(BYTE) or found.zero_points != (0,):
        raise _wrong(f"scale 1/255 and zero point 0 at {tensor.name}", f"{found.scales[0]} and {found.zero_points[0]}")


def _check_weights(graph: Graph, *, left_out: Collection[int] = ()) -> None:
    for operator in graph.operators:
        if operator.name not in WEIGHT_AXIS or operator.index in left_out:
            continue
        weights = graph.tensors[operator.inputs[1]]
        axis, found = WEIGHT_AXIS[operator.name], _quantization(weights)
        if weights.dtype != "int8" or any(found.zero_points):
            raise _wrong(f"symmetric int8 weights in {_called(operator)}", f"{weights.dtype} {found.zero_points[:4]}")
        if len(found.scales) != weights.shape[axis] or found.axis != axis:
            raise _wrong(
                f"{weights.shape[axis]} scales along axis {axis} in {_called(operator)}",
                f"{len(found.scales)} along {found.axis}",
            )


def _check_biases(graph: Graph, dtype: str, *, left_out: Collection[int] = ()) -> None:
    """A bias is added to the accumulator: of its type, on its scale (input × weights), and not saturated."""
    for operator in graph.operators:
        if operator.name not in WEIGHT_AXIS or len(operator.inputs) < 3 or operator.name == "TRANSPOSE_CONV":
            continue
        if operator.index in left_out:
            continue
        bias = graph.tensors[operator.inputs[2]]
        if bias.dtype != dtype:
            raise _wrong(f"{dtype} biases in {_called(operator)}", bias.dtype)
        image, weights = (_quantization(graph.tensors[index]) for index in operator.inputs[:2])
        scales = image.scales[0] * np.asarray(weights.scales)
        if not np.allclose(_quantization(bias).scales, scales, rtol=1e-5, atol=0):  # float32 products: 6e-8 apart
            raise _wrong(f"bias scales of input × weights in {_called(operator)}", "others")
        if np.abs(constant(bias).astype(np.int64)).max() >= np.iinfo(np.int32).max:
            raise _wrong(
                f"biases within 32 bits in {_called(operator)}", "a saturated one: its weights are all but zero"
            )


def _check_scales(graph: Graph) -> None:
    """Every scale is positive and finite, and every zero point fits its type."""
    for tensor in graph.tensors:
        if tensor.quantization is None or tensor.dtype in FLOATS:
            continue
        scales = np.asarray(tensor.quantization.scales)
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            raise _wrong(f"positive, finite scales in {tensor.name}", f"{scales.min()} to {scales.max()}")
        limits = np.iinfo(tensor.dtype)
        if not all(limits.min <= point <= limits.max for point in tensor.quantization.zero_points):
            raise _wrong(f"zero points of {tensor.dtype} in {tensor.name}", str(tensor.quantization.zero_points))


def _check_repeats(model: bytes) -> None:
    """The same input gives the same output, twice in one interpreter and in a fresh one."""
    first = open_session(model)
    noise = np.random.default_rng(0).random(first.input_shape)
    values = (noise * 255).astype(np.uint8) if first.input_dtype == np.uint8 else noise.astype(np.float32)
    expected = first.invoke(values)
    for session in (first, open_session(model)):
        if not np.array_equal(expected, session.invoke(values)):
            raise _wrong("the same output for the same input", "another")


def _quantization(tensor: Tensor) -> Quantization:
    if tensor.quantization is None or not tensor.quantization.scales:
        raise _wrong(f"a quantized {tensor.name}", f"{tensor.dtype} without a scale")
    return tensor.quantization


def _called(operator: Operator) -> str:
    return f"{operator.name} (operator {operator.index})"


def _wrong(expected: str, got: str) -> ModelFileError:
    return ModelFileError(expected=expected, got=got, do="nothing was written; report this model and its scheme")
