"""Layers left in float: those named, no others, and what that wins and costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from quantize.calibrators import CALIBRATORS
from quantize.checks import check
from quantize.corrections import Corrector, Judge
from quantize.selective import cost, layers, mixed, named

Make = Callable[[str], Any]
NETWORKS = ["anchored", "espcn", "residual", "separable", "hourglass"]


@pytest.fixture
def corrector(float_model: Make, photographs: list[Any]) -> Callable[[str], Corrector]:
    crops = [np.rint(each * 255).astype(np.uint8) for each in photographs]
    return lambda name: Corrector(Judge(float_model(name), crops), CALIBRATORS["mse"])


@pytest.mark.parametrize("name", NETWORKS)
def test_each_layer_can_be_left_in_float_alone(corrector: Any, name: str) -> None:
    candidate = corrector(name).start
    for layer in layers(read_graph(candidate.float_model)):
        model = mixed(candidate, named(candidate, [layer.name]))
        check(model, "int8-ptq", left_in_float=[layer.place])
        with pytest.raises(ModelFileError, match="int8 kernels"):
            check(model, "int8-ptq")


def test_layers_in_float_come_closer_to_the_float_model(corrector: Any) -> None:
    bench = corrector("espcn")
    everything = layers(read_graph(bench.start.float_model))
    # All layers in float: what is left is the output rounded to 8 bits, an error of 1/12 LSB² on average.
    assert bench.judge.error(mixed(bench.start, everything)) == pytest.approx(1 / 12 / 255**2, rel=0.1)
    assert min(bench.judge.error(mixed(bench.start, [each])) for each in everything) < bench.judge.error(
        bench.start.int8
    )


def test_a_name_that_is_none_is_refused_with_those_there_are(corrector: Any) -> None:
    candidate = corrector("espcn").start
    names = [layer.name for layer in layers(read_graph(candidate.float_model))]
    with pytest.raises(ConfigError, match="maping") as refusal:
        named(candidate, [names[0], "maping"])
    assert all(name in str(refusal.value) for name in names)


def test_a_model_with_another_layer_in_float_does_not_pass(corrector: Any) -> None:
    candidate = corrector("espcn").start
    first, second, _ = layers(read_graph(candidate.float_model))
    with pytest.raises(ModelFileError, match="in float"):
        check(mixed(candidate, [first]), "int8-ptq", left_in_float=[second.place])


def test_the_cost_is_timed_on_both_models(corrector: Any) -> None:
    candidate = corrector("espcn").start
    found = cost(candidate.int8, mixed(candidate, layers(read_graph(candidate.float_model))[:1]))
    assert found.int8_ms > 0
    assert found.extra_ms == found.mixed_ms - found.int8_ms
