import dataclasses

import numpy as np
import pytest

from octopix.graph import read_graph
from quantize.calibrators import CALIBRATORS, minmax, mse, per_tensor, quantization_mse, quantize_like_int8
from quantize.ranges import calibrate, calibrated_tensors
from quantize.statistics import TensorStatistics, collect


def _statistics(values: np.ndarray) -> TensorStatistics:
    """Statistics of values that came as eight images."""
    images = np.asarray(values, np.float32).reshape(8, -1)
    return TensorStatistics(
        name="tensor",
        minimum=float(images.min()),
        maximum=float(images.max()),
        mean_minimum=float(images.min(axis=1).mean()),
        mean_maximum=float(images.max(axis=1).mean()),
        images=8,
        sample=images.reshape(-1),
    )


_RANDOM = np.random.default_rng(0)
_LAPLACE = _RANDOM.laplace(scale=0.1, size=1 << 16)
SHAPES = {
    "after a ReLU": np.maximum(_LAPLACE, 0),
    "both sides": _LAPLACE,
    "lopsided": np.where(_LAPLACE > 0, 5 * _LAPLACE, _LAPLACE),
    "negative": -np.abs(_LAPLACE),
    "away from zero": 3 + _LAPLACE,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CALIBRATORS)
def test_every_range_holds_zero_and_stays_within_the_extremes(name: str, shape: str) -> None:
    statistics = _statistics(SHAPES[shape])
    lo, hi = CALIBRATORS[name](statistics)
    assert min(statistics.minimum, 0) <= lo <= 0 <= hi <= max(statistics.maximum, 0)
    assert lo < hi


@pytest.mark.parametrize("shape", SHAPES)
def test_mse_loses_least_of_all_calibrators(shape: str) -> None:
    statistics = _statistics(SHAPES[shape])
    errors = {name: quantization_mse(statistics.sample, each(statistics)) for name, each in CALIBRATORS.items()}
    # The search stops 2.5 % short of the optimum at worst, where the error is flat: 1 % covers it.
    assert errors["mse"] <= 1.01 * min(errors.values())
    assert errors["mse"] <= errors["minmax"]


@pytest.mark.parametrize(("count", "kept"), [(1 << 16, 0.923), (1 << 20, 0.427)])
def test_mse_weighs_an_outlier_against_the_many(count: int, kept: float) -> None:
    values = _RANDOM.uniform(0, 1, count)
    values[0] = 6.0
    # A range R costs R²/(12·255²) by rounding and (6 − R)²/count by saturation: least at 6·(2/count)/(2/count +
    # 1/(6·255²)). The search's last steps are 2.5 %.
    assert mse(_statistics(values)) == (0.0, pytest.approx(6.0 * kept, rel=0.03))


def test_entropy_is_not_led_astray_by_the_zeros_behind_a_relu() -> None:
    values = np.maximum(_RANDOM.normal(-0.5, 0.3, 1 << 16), 0)
    lo, hi = CALIBRATORS["entropy"](_statistics(values))
    # Half of the full range would cut real edges off; a search that counts zeros ends below 0.4 of it.
    assert lo == 0
    assert hi > 0.5 * values.max()


def test_moving_follows_the_usual_image_and_not_the_odd_one() -> None:
    values = np.tile(np.linspace(0, 1, 100, dtype=np.float32), 8)
    odd = dataclasses.replace(_statistics(values), maximum=9.0, mean_maximum=2.0)
    assert CALIBRATORS["moving"](odd) == (0.0, 2.0)
    assert CALIBRATORS["minmax"](odd) == (0.0, 9.0)


def test_int8_levels_are_those_of_the_real_quantizer(float_model, int8_model, photographs) -> None:
    from octopix.graph import read_graph
    from octopix.runtime import open_session

    quantized = read_graph(int8_model("residual"))
    index = next(each.outputs[0] for each in quantized.operators if each.name == "PRELU")
    parameters = quantized.tensors[index].quantization
    assert parameters is not None
    (scale,), (zero,) = parameters.scales, parameters.zero_points
    bounds = (scale * (-128 - zero), scale * (127 - zero))
    session = open_session(int8_model("residual"), keep_tensors=True)
    session.invoke((photographs[0] * 255).astype(np.uint8))
    real = (session.tensor(index).astype(np.float32) - zero) * np.float32(scale)
    # What int8 can hold passes through our model of int8 unchanged, but for float32's own rounding.
    np.testing.assert_allclose(quantize_like_int8(real, bounds), real, atol=1e-5 * scale * 255)
    assert np.unique(real).size > 50


def test_each_tensor_may_have_a_calibrator_of_its_own(float_model, photographs) -> None:
    graph = read_graph(float_model("espcn"))
    tensors = calibrated_tensors(graph)
    statistics = collect(float_model("espcn"), photographs, tensors=tensors)
    name = graph.tensors[tensors[1]].name.partition(";")[0]
    found = calibrate(statistics, per_tensor({name: minmax}, otherwise=mse))
    assert found[tensors[0]] == mse(statistics[tensors[0]])
    assert found[tensors[1]] == minmax(statistics[tensors[1]]) != mse(statistics[tensors[1]])
