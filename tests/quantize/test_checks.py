from collections.abc import Callable
from typing import Any

import pytest

from octopix.errors import ModelFileError
from quantize.checks import CHECKS, check
from quantize.embed import rewritten
from quantize.schemes import PLAIN, Kind

Make = Callable[[str], Any]


@pytest.fixture(scope="module")
def by_kind(network: Make, float_model: Make, int8_model: Make, photographs: list[Any]) -> dict[str, bytes]:
    """One good model of each kind."""
    from quantize import export
    from quantize.calibrators import CALIBRATORS
    from quantize.ranges import ranges_for, to_int16x8

    ranges = ranges_for(float_model("espcn"), photographs, CALIBRATORS["minmax"])
    return {
        "float32": float_model("espcn"),
        "float16": export.to_float16(network("espcn")),
        "dynamic": export.to_dynamic(network("espcn")),
        "int16x8-ptq": to_int16x8(float_model("espcn"), ranges),
        "int8-ptq": int8_model("espcn"),
    }


def test_every_kind_has_a_check() -> None:
    assert {scheme.kind for scheme in PLAIN.values()} | {"int8-ptq"} == CHECKS.keys()


@pytest.mark.parametrize("kind", ["float32", "float16", "dynamic", "int16x8-ptq", "int8-ptq"])
def test_a_check_passes_its_own_kind_and_no_other(by_kind: dict[str, bytes], kind: Kind) -> None:
    check(by_kind[kind], kind)
    for other, model in by_kind.items():
        if other != kind:
            with pytest.raises(ModelFileError):
                check(model, kind)


def _stock(model: Any, photographs: list[Any], *, byte_ports: bool) -> bytes:
    """Post-training quantization by the public converter."""
    import tensorflow as tf

    function = tf.function(model).get_concrete_function(tf.TensorSpec((1, 64, 64, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in photographs)
    if byte_ports:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def test_what_the_stock_converter_calls_quantized_is_refused(network: Make, photographs: list[Any]) -> None:
    with pytest.raises(ModelFileError, match="float32"):
        check(_stock(network("espcn"), photographs, byte_ports=False), "int8-ptq")
    with pytest.raises(ModelFileError, match="scale 1/255"):  # calibrated ranges at both ends instead of the image's
        check(_stock(network("espcn"), photographs, byte_ports=True), "int8-ptq")


def _convolution(model: Any, place: str) -> Any:
    """Quantization of a tensor of the first convolution, in TensorFlow's schema objects."""
    graph = model.subgraphs[0]
    operator = next(each for each in graph.operators if len(each.inputs) == 3)
    index = {"weights": operator.inputs[1], "bias": operator.inputs[2], "output": operator.outputs[0]}[place]
    return graph.tensors[index].quantization


def _nothing(model: Any) -> None:
    """Leave it."""


def _one_scale(model: Any) -> None:
    found = _convolution(model, "weights")
    found.scale, found.zeroPoint = found.scale[:1], found.zeroPoint[:1]


def _other_axis(model: Any) -> None:
    _convolution(model, "weights").quantizedDimension = 3


def _lopsided(model: Any) -> None:
    found = _convolution(model, "weights")
    found.zeroPoint = found.zeroPoint + 3


def _shifted_bias(model: Any) -> None:
    found = _convolution(model, "bias")
    found.scale = found.scale * 2


def _negative_scale(model: Any) -> None:
    found = _convolution(model, "output")
    found.scale = -found.scale


def _far_zero(model: Any) -> None:
    found = _convolution(model, "output")
    found.zeroPoint = found.zeroPoint - 1000


def _other_input_scale(model: Any) -> None:
    graph = model.subgraphs[0]
    found = graph.tensors[graph.inputs[0]].quantization
    found.scale = found.scale * 1.001


def test_the_way_through_the_schema_loses_nothing(int8_model: Make) -> None:
    check(rewritten(int8_model("espcn"), _nothing), "int8-ptq")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_one_scale, "64 scales along axis 0"),
        (_other_axis, "along 3"),
        (_lopsided, "symmetric int8 weights"),
        (_shifted_bias, "bias scales"),
        (_negative_scale, "positive, finite scales"),
        (_far_zero, "zero points of int8"),
        (_other_input_scale, "scale 1/255"),
    ],
)
def test_each_flaw_is_found_and_named(int8_model: Make, spoil: Any, complaint: str) -> None:
    with pytest.raises(ModelFileError, match=complaint):
        check(rewritten(int8_model("espcn"), spoil), "int8-ptq")
