import inspect
from collections.abc import Callable
from typing import Any

import pytest

from octopix.errors import ModelFileError
from octopix.graph import constant, read_graph
from quantize import mlir


def test_the_private_quantizer_still_has_the_signature_we_rely_on() -> None:
    from tensorflow.lite.python import convert

    parameters = inspect.signature(convert.mlir_quantize).parameters
    assert next(iter(parameters)) == "input_data_str"
    assert {"inference_type", "input_data_type", "output_data_type", "denylisted_ops"} <= parameters.keys()
    assert parameters["disable_per_channel"].default is False
    assert parameters["fully_quantize"].default is False
    assert parameters["enable_numeric_verify"].default is False
    assert issubclass(mlir.ConverterError, Exception)


def test_a_foreign_file_is_an_error_and_no_crash() -> None:
    with pytest.raises(ModelFileError):
        mlir.quantize_int16x8(b"not a model" * 100, float_operators=())


def test_an_operator_without_a_wide_form_is_an_error(float_model: Callable[[str], Any], photographs: list[Any]) -> None:
    """PReLU has no int16 kernel; the quantizer must say so, and its silence must not become a model."""
    from quantize.calibrators import CALIBRATORS
    from quantize.embed import with_ranges
    from quantize.ranges import ranges_for

    ranges = ranges_for(float_model("residual"), photographs, CALIBRATORS["minmax"])
    symmetric = {index: (-max(-lo, hi), max(-lo, hi)) for index, (lo, hi) in ranges.items()}
    with pytest.raises(ModelFileError, match="quantizer takes"):
        mlir.quantize_int16x8(with_ranges(float_model("residual"), symmetric), float_operators=())


def test_an_operator_without_a_wide_form_stays_float(float_model: Callable[[str], Any], photographs: list[Any]) -> None:
    from quantize.calibrators import CALIBRATORS
    from quantize.checks import check
    from quantize.ranges import ranges_for, to_int16x8

    made = to_int16x8(float_model("residual"), ranges_for(float_model("residual"), photographs, CALIBRATORS["minmax"]))
    check(made, "int16x8-ptq")
    graph = read_graph(made)
    kinds = {each.name: graph.tensors[each.outputs[0]].dtype for each in graph.operators}
    assert kinds["PRELU"] == "float32"
    assert kinds["CONV_2D"] == "int16"


def test_equal_models_and_ranges_give_equal_bytes(float_model: Callable[[str], Any], photographs: list[Any]) -> None:
    from quantize.calibrators import CALIBRATORS
    from quantize.ranges import ranges_for, to_int8, to_int16x8

    ranges = ranges_for(float_model("espcn"), photographs, CALIBRATORS["mse"])
    assert to_int8(float_model("espcn"), ranges) == to_int8(float_model("espcn"), ranges)
    assert to_int16x8(float_model("espcn"), ranges) == to_int16x8(float_model("espcn"), ranges)


def test_weights_are_the_float_weights_rounded_to_nearest(
    float_model: Callable[[str], Any], int8_model: Callable[[str], Any]
) -> None:
    import numpy as np

    floats, integers = read_graph(float_model("espcn")), read_graph(int8_model("espcn"))
    pairs = zip(
        *([each for each in graph.operators if each.name == "CONV_2D"] for graph in (floats, integers)), strict=True
    )
    for exact, found in pairs:
        weights = constant(floats.tensors[exact.inputs[1]])
        tensor = integers.tensors[found.inputs[1]]
        assert tensor.quantization is not None
        scales = np.asarray(tensor.quantization.scales)[:, None, None, None]
        np.testing.assert_allclose(scales.ravel(), np.abs(weights).max(axis=(1, 2, 3)) / 127, rtol=1e-6)
        # Half a step, and float32's rounding of the quotient.
        assert np.abs(constant(tensor) * scales - weights).max() <= 0.5001 * scales.max()
