"""Where noise goes, against networks that are run with noise in them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize import quietest
from quantize.calibrators import mse
from quantize.derivatives import FORWARDS, led_back
from quantize.equalization import WIDEST, by_strength, equalized, knots
from quantize.export import to_float32
from quantize.filters import filters, separated, with_constants
from quantize.noise import gains, of_rounded_weights, probes, with_importance
from quantize.quietest import Reader, Rounded, by_noise
from quantize.ranges import calibrated_tensors
from quantize.statistics import ByChannel, TensorStatistics, collect
from train.models.layers import DepthToSpace

Make = Callable[[str], Any]

SIDE = 64


def through(*layers: tf_keras.layers.Layer, channels: int = 4) -> bytes:
    """A float model of layers in a row, with random weights."""
    image = tf_keras.Input((None, None, channels), name="image")
    value = image
    for layer in layers:
        value = layer(value)
    model = tf_keras.Model(image, value)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.3, each.shape) for each in model.get_weights()])
    return separated(to_float32(model, height=SIDE, width=SIDE))


class Mirrored(tf_keras.layers.Layer):
    """So many pixels of border, as in a mirror."""

    def __init__(self, border: int) -> None:
        super().__init__()
        self._borders = ((0, 0), (border, border), (border, border), (0, 0))

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Of (1, H, W, C)."""
        return tf.pad(image, self._borders, mode="REFLECT")


def measured(model: bytes, base: np.ndarray) -> list[float]:
    """Power at the output of white noise of power 1e-6 in each channel of the image, in units of that."""
    session, found = open_session(model), []
    for channel in range(base.shape[3]):
        noise = np.zeros_like(base)
        noise[..., channel] = np.random.default_rng(channel).normal(0, 1e-3, noise.shape[:3])
        difference = session.invoke(base + noise).astype(np.float64) - session.invoke(base)
        found.append(float(np.mean(np.square(difference))) / 1e-6)
    return found


def of_image(model: bytes, base: np.ndarray) -> np.ndarray:
    """The gains of the image's channels."""
    return gains(model, [base]).held[read_graph(model).inputs[0]]


@pytest.mark.parametrize(
    "layers",
    [
        lambda: (tf_keras.layers.Conv2D(6, 3, padding="same"),),
        lambda: (tf_keras.layers.Conv2D(6, 3, strides=2, padding="same"),),
        lambda: (tf_keras.layers.Conv2D(6, 3, dilation_rate=2, padding="same"),),
        lambda: (tf_keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),),
        lambda: (tf_keras.layers.Conv2D(8, 3, groups=2, padding="same"),),
        lambda: (tf_keras.layers.Conv2D(8, 3, padding="same"), DepthToSpace(2)),
        lambda: (tf_keras.layers.Conv2DTranspose(3, 3, strides=2, padding="same"),),
        lambda: (tf_keras.layers.AveragePooling2D(2),),
        lambda: (tf_keras.layers.MaxPooling2D(2),),
        lambda: (tf_keras.layers.UpSampling2D(2, interpolation="bilinear"),),
        lambda: (tf_keras.layers.UpSampling2D(2, interpolation="nearest"),),
        lambda: (tf_keras.layers.ZeroPadding2D(3), tf_keras.layers.Conv2D(6, 3)),
        lambda: (tf_keras.layers.Rescaling(0.1),),
        lambda: (tf_keras.layers.Conv2D(5, 1), tf_keras.layers.ReLU()),
        lambda: (tf_keras.layers.Conv2D(5, 1), tf_keras.layers.LeakyReLU(0.7)),
        lambda: (Mirrored(5), tf_keras.layers.Conv2D(6, 3)),
        lambda: (tf_keras.layers.PReLU(shared_axes=[1, 2]), tf_keras.layers.Conv2D(6, 3, padding="same")),
        lambda: (tf_keras.layers.Conv2D(5, 3, padding="same"), tf_keras.layers.Activation("tanh")),
        lambda: [tf_keras.layers.Conv2D(6, 3, padding="same", activation="relu") for _ in range(4)],
    ],
    ids=[
        *("convolution", "strided", "dilated", "depthwise", "grouped", "shuffled", "transposed", "averaged", "pooled"),
        *("bilinear", "nearest", "padded", "scaled", "rectified", "leaky", "mirrored", "by channel", "bent", "deep"),
    ],
)
def test_layers_pass_on_what_is_measured(layers: Callable[[], Any]) -> None:
    model = through(*layers())
    base = np.random.default_rng(9).normal(0, 1, (1, SIDE, SIDE, 4)).astype(np.float32)
    # Means of some thousand squares of noise that kernels make dependent, on either side: a few percent each.
    assert of_image(model, base) == pytest.approx(measured(model, base), rel=0.12)


def test_what_meets_again_is_no_sum_of_powers() -> None:
    """Twice the image is four times its noise, and less half of it a quarter."""
    image = tf_keras.Input((None, None, 2), name="image")
    once = tf_keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", name="once")(image)
    for weight, gain in ((1.0, 4.0), (-0.5, 0.25)):
        constant = tf_keras.initializers.Constant(weight)
        again = tf_keras.layers.DepthwiseConv2D(1, depthwise_initializer=constant, name="again")(image)
        keras = tf_keras.Model(image, tf_keras.layers.Add()([once, again]))
        model = separated(to_float32(keras, height=SIDE, width=SIDE))
        # Exact but for float32: every pixel's field is ±gain. Of two channels, each is half of the output.
        assert of_image(model, np.zeros((1, SIDE, SIDE, 2), np.float32)) == pytest.approx([gain / 2] * 2, rel=1e-6)


def test_an_operator_that_nobody_listed_hands_on_the_power() -> None:
    image = tf_keras.Input((None, None, 2), name="image")
    model = to_float32(tf_keras.Model(image, tf.math.softplus(image)), height=SIDE, width=SIDE)
    assert not FORWARDS.keys() >= {each.name for each in read_graph(model).operators}
    assert of_image(model, np.zeros((1, SIDE, SIDE, 2), np.float32)).tolist() == [0.5, 0.5]


def test_what_is_spread_evenly_keeps_its_power_and_meets_as_a_stranger() -> None:
    """Two operators that nobody listed, on one image: there, their powers are to add up, not their amplitudes."""
    image = tf_keras.Input((None, None, 2), name="image")
    extremes = [of(image, axis=(1, 2), keepdims=True) for of in (tf.reduce_max, tf.reduce_min)]
    graph = read_graph(to_float32(tf_keras.Model(image, image + extremes[0] * extremes[1]), height=SIDE, width=SIDE))
    values = {graph.inputs[0]: np.zeros((1, SIDE, SIDE, 2), np.float32)}
    behind = np.float32([3, 4]).reshape(1, 1, 1, 2)
    fields = [
        led_back(graph, each, values, behind).inputs[graph.inputs[0]]
        for each in graph.operators
        if each.name not in FORWARDS
    ]
    assert len(fields) == 2
    assert [np.sum(np.square(each)) for each in fields] == pytest.approx([25, 25], rel=1e-4)  # float32 sums
    # Of 8192 independent signs the mean is 0.011 or so; five times that never happens.
    assert abs(np.sum(fields[0] * fields[1])) / 25 < 0.055


@pytest.mark.parametrize(("side", "expected"), [(20, 20), (128, 32)])
def test_probes_are_middles_of_some_crops(float_model: Make, side: int, expected: int) -> None:
    crops = [np.full((1, side, side, 1), number, np.uint8) for number in range(48)]
    found = probes(float_model("espcn"), crops)
    assert [each.shape for each in found] == [(1, expected, expected, 1)] * 12
    assert [int(each.flat[0]) for each in found] == list(range(0, 48, 4))


def test_probes_suit_networks_that_shrink_the_picture(float_model: Make) -> None:
    (found,) = probes(float_model("hourglass"), [np.zeros((1, 40, 40, 1), np.uint8)])
    assert found.shape == (1, 32, 32, 1)


@pytest.mark.parametrize("middle", [tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D])
def test_rounded_weights_make_the_noise_that_is_foretold(middle: Any) -> None:
    arguments = (16, 3) if middle is tf_keras.layers.Conv2D else (3,)
    model = through(tf_keras.layers.Conv2D(16, 1), middle(*arguments, padding="same"), tf_keras.layers.Conv2D(3, 1))
    graph, base = read_graph(model), np.random.default_rng(3).normal(0, 1, (1, SIDE, SIDE, 4)).astype(np.float32)
    _, each, _ = filters(graph)
    axes = (0, 1, 2) if each.depthwise else (1, 2, 3)
    steps = np.abs(each.weights).max(axis=axes, keepdims=True) / 127
    rounded = with_constants(model, each.replaced(weights=np.rint(each.weights / steps) * steps))
    before, after = (open_session(one).invoke(base).astype(np.float64) for one in (model, rounded))
    statistics = collect(model, [base], tensors=[each.image], by_channel=[each.image])
    foretold = of_rounded_weights(graph, statistics, gains(model, [base]))
    # One draw of 144 or 2304 errors of weights, seen through 3 outputs: of a few dozen of independent squares, a third.
    assert foretold[each.operator.index] == pytest.approx(np.mean(np.var(after - before, axis=(1, 2))), rel=0.35)


def test_weights_that_meet_the_image_in_another_unit_count_in_that_unit() -> None:
    def foretold(unit: float) -> float:
        image = tf_keras.Input((None, None, 1), name="image")
        head = tf_keras.layers.Conv2D(1, 3, padding="same", kernel_initializer=tf_keras.initializers.Constant(0.01))
        model = separated(to_float32(tf_keras.Model(image, head(image * unit)), height=SIDE, width=SIDE))
        found = gains(model, [np.zeros((1, SIDE, SIDE, 1), np.float32)])
        (power,) = of_rounded_weights(read_graph(model), {}, found).values()
        return power

    assert foretold(255.0) == pytest.approx(255**2 * foretold(1.0))


def test_probes_outlast_kernels_without_padding() -> None:
    layers = [tf_keras.layers.Conv2D(2, 9, activation="relu") for _ in range(5)]
    model = through(*layers, channels=1)  # 41 pixels of receptive field
    pieces = probes(model, [np.zeros((1, 128, 128, 1), np.uint8)])
    assert [each.shape for each in pieces] == [(1, 32 + 41, 32 + 41, 1)]
    assert of_image(model, pieces[0].astype(np.float32)).shape == (1,)


def test_a_sum_passes_noise_to_all_it_adds() -> None:
    image = tf_keras.Input((None, None, 4), name="image")
    parts = [tf_keras.layers.Conv2D(4, 3, padding="same", name=name)(image) for name in ("a", "b")]
    model = to_float32(tf_keras.Model(image, tf_keras.layers.Add()(parts)), height=SIDE, width=SIDE)
    content = separated(model)
    (adds,) = (each for each in read_graph(content).operators if each.name == "ADD")
    found = gains(content, [np.zeros((1, SIDE, SIDE, 4), np.float32)]).held
    for index in adds.inputs:
        assert np.array_equal(found[index], found[adds.outputs[0]])


def test_channels_side_by_side_keep_their_own() -> None:
    image = tf_keras.Input((None, None, 4), name="image")
    wide, narrow = (tf_keras.layers.Conv2D(n, 1, name=f"c{n}")(image) for n in (3, 2))
    together = tf_keras.layers.Concatenate()([wide, narrow])
    model = tf_keras.Model(image, tf_keras.layers.Conv2D(1, 1, use_bias=False, name="last")(together))
    weights = np.float32([1, 2, 3, 4, 5])
    model.get_layer("last").set_weights([weights.reshape(1, 1, 5, 1)])
    content = separated(to_float32(model, height=SIDE, width=SIDE))
    (joins,) = (each for each in read_graph(content).operators if each.name == "CONCATENATION")
    found = gains(content, [np.zeros((1, SIDE, SIDE, 4), np.float32)]).held
    assert [found[index].tolist() for index in joins.inputs] == [[1, 4, 9], [16, 25]]


def test_rows_put_together_are_no_channels() -> None:
    image = tf_keras.Input((None, None, 4), name="image")
    parts = [tf_keras.layers.Conv2D(4, 3, padding="same", name=name)(image) for name in ("a", "b")]
    model = tf_keras.Model(image, tf_keras.layers.Concatenate(axis=1)(parts))
    content = separated(to_float32(model, height=SIDE, width=SIDE))
    found = gains(content, [np.zeros((1, SIDE, SIDE, 4), np.float32)]).held
    (joins,) = (each for each in read_graph(content).operators if each.name == "CONCATENATION")
    # Half of the output's pixels come from each part, all of its channels alike.
    assert [found[index].tolist() for index in joins.inputs] == [[1 / 8] * 4] * 2


def statistics_of(model: bytes, photographs: list[Any]) -> dict[int, TensorStatistics]:
    graph = read_graph(model)
    free = sorted({index for knot in knots(graph) for index in knot.tensors})
    tensors = sorted({*free, *calibrated_tensors(graph)})
    found = collect(model, photographs, tensors=tensors, by_channel=free)
    return with_importance(found, gains(model, photographs))


@pytest.mark.parametrize("name", ["anchored", "espcn", "residual", "shuffled"])
def test_the_function_stays_the_same(float_model: Make, photographs: list[Any], name: str) -> None:
    model = separated(float_model(name))
    graph = read_graph(model)
    found = gains(model, photographs)
    rule = by_noise(statistics_of(model, photographs), calibrated_tensors(graph), found)
    rescaled = equalized(model, rule)
    assert all(np.ptp(each) > 0.1 for each in rescaled.factors.values())
    wanted, found = (open_session(each).invoke(photographs[0]) for each in (model, rescaled.model))
    # Float32 sums of some hundred products, whose terms were scaled up and down again.
    assert np.allclose(wanted, found, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["espcn", "residual", "shuffled"])
def test_less_noise_is_foretold_than_by_loudness(
    float_model: Make, photographs: list[Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quietest, "WEIGHTS", 0)  # loudness has no word on them
    model = separated(float_model(name))
    graph, before = read_graph(model), statistics_of(model, photographs)
    peaks = {index: each.by_channel.peaks for index, each in before.items() if each.by_channel is not None}
    rules = [by_noise(before, calibrated_tensors(graph), gains(model, photographs))]
    rules += [by_strength(peaks, strength) for strength in (0.0, 0.5, 1.0)]
    rounded = {index: each for index, each in before.items() if index in calibrated_tensors(graph)}
    quiet, *others = (foretold(rounded, equalized(model, rule).factors) for rule in rules)
    # Norms of order 256 over 64 channels stand in for maxima: they are up to 1.6 % larger, their squares 3 %.
    assert quiet < 1.03 * min(others)


def foretold(statistics: dict[int, TensorStatistics], factors: Any) -> float:
    """Power at the output of all activations' rounding to 8 bits of their whole range, one by one."""
    total = 0.0
    for each in (each.rescaled(factors[index]) for index, each in statistics.items() if index in factors):
        assert each.by_channel is not None
        assert each.by_channel.importance is not None
        step = (max(each.maximum, 0.0) - min(each.minimum, 0.0)) / 255
        total += step**2 / 12 * float(np.sum(each.by_channel.importance * (each.active if each.minimum >= 0 else 1)))
    return total


def noisy_kernel(channels: int, *, dead: int = 0) -> tuple[Rounded, Reader]:
    random = np.random.default_rng(channels)
    highs = random.uniform(0.1, 1, channels)
    highs[:dead] = 0
    tensor = Rounded(highs=highs, lows=np.zeros(channels), weight=random.uniform(0.1, 1, channels))
    loudest = random.uniform(0.1, 1, (5, channels))
    loudest[:, :dead] *= 30
    return tensor, Reader(loudest=loudest, energy=np.square(highs), weight=random.uniform(0.1, 1, 5))


@pytest.mark.parametrize("order", quietest.ORDERS)
def test_slopes_are_those_of_the_noise(order: int) -> None:
    tensor, reader = noisy_kernel(6)
    logs = np.random.default_rng(order).normal(0, 0.3, 6)

    def noise(at: np.ndarray) -> float:
        return quietest._noise(at, [tensor], [reader], order)[0]

    differences = [(noise(logs + step) - noise(logs - step)) / 2e-6 for step in 1e-6 * np.eye(6)]
    # Central differences of float64 with steps of 1e-6: some 1e-9 of rounding, and order³ · 1e-12 of curvature.
    assert quietest._noise(logs, [tensor], [reader], order)[1] == pytest.approx(differences, abs=1e-4)


def test_silent_channels_do_not_spoil_the_others() -> None:
    tensor, reader = noisy_kernel(16, dead=3)
    factors = quietest.quietest_factors([tensor], [reader], 16)

    def noise(chosen: np.ndarray) -> float:
        return quietest._noise(np.log(chosen), [tensor], [reader], 256)[0]

    assert noise(factors) < noise(np.ones(16)) - 1  # the loud kernels of silent channels give way: e times less
    assert np.all((factors >= 1 / WIDEST) & (factors <= WIDEST))


def test_ranges_hold_what_counts() -> None:
    """A channel that is worth nothing may be clipped."""
    random = np.random.default_rng(0)
    sample = random.uniform(0, 1, 4096).astype(np.float32)
    of_sample = np.arange(4096, dtype=np.int32) % 2
    sample[of_sample == 1] *= 5
    ends = np.float32([[0, 0]]), np.float32([[1, 5]])

    def highest(importance: np.ndarray | None) -> float:
        channels = ByChannel(*ends, of_sample, importance)
        return mse(TensorStatistics("a", 0, 5, 0, 5, 1, sample, channels))[1]

    assert highest(None) == highest(np.ones(2)) > 4
    assert highest(np.array([1.0, 0.0])) < 1.1
