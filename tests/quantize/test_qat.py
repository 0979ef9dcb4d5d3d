"""Quantization-aware training on the committed ESPCN ×4 and photographs of scikit-image."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.graph import read_graph
from octopix.images import to_bytes
from octopix.metrics import psnr
from octopix.runtime import open_session
from quantize.calibrators import CALIBRATORS
from quantize.corrections import rounded_after_training
from quantize.export import to_float32
from quantize.fake_quantization import (
    RangeQuantizer,
    copy_float_weights,
    is_range,
    learned_bounds,
    with_fake_quantization,
)
from quantize.layers import activation_tensors
from quantize.qat import QatSettings, train_aware
from quantize.ranges import calibrated_tensors, ranges_for, to_int8
from quantize.resume import Progress, Resume
from train.models import find_model
from train.weights import load_weights

STEPS, RATE = 40, 1e-4
GAIN = 0.5
FROZEN = frozenset({"subpixels"})


@pytest.fixture(scope="module")
def model():
    spec = find_model("espcn_x4")
    built = spec.build()
    load_weights(built, spec.weights)
    return built


@pytest.fixture(scope="module")
def float_model(model):
    return to_float32(model)


@pytest.fixture(scope="module")
def ranges(float_model, photographs):
    return ranges_for(float_model, photographs, CALIBRATORS["mse"])


@pytest.fixture(scope="module")
def bounds(model, float_model, ranges):
    """Calibrated ranges by layer."""
    tensors = activation_tensors(model, float_model)
    return {name: ranges[tensors[name]] for name in ("features", "mapping", "subpixels")}


def restored(int8_model, photograph):
    session = open_session(int8_model)
    return session.invoke(np.rint(photograph * 255).astype(np.uint8))[0]


@pytest.fixture(scope="module")
def fidelity(model, photographs):
    """PSNR of an int8 model against the float model on two photographs that it is not trained on."""
    held_back = photographs[:2]
    wanted = [to_bytes(model(photograph)[0].numpy()) for photograph in held_back]

    def judge(int8_model):
        pairs = zip(wanted, held_back, strict=True)
        return float(np.mean([psnr(truth, restored(int8_model, photograph)) for truth, photograph in pairs]))

    return judge


@pytest.fixture(scope="module")
def start(float_model, ranges):
    """Post-training's model."""
    return to_int8(float_model, ranges)


def draw(photographs):
    batch = np.rint(np.concatenate(photographs[2:]) * 255).astype(np.uint8)
    return lambda step: batch[step % 3 :: 3]


@pytest.fixture(scope="module")
def finish(float_model, corrector_of, photographs):
    """Kernels rounded for their layers' outputs."""
    corrector = corrector_of(float_model, [np.rint(each * 255).astype(np.uint8) for each in photographs[2:]])
    return lambda trained, ranges: rounded_after_training(corrector, trained, ranges).int8


@pytest.fixture(scope="module")
def wide(float_model, ranges):
    """Ranges twice as wide as calibrated, where they may move: one bit is wasted."""
    free = calibrated_tensors(read_graph(float_model))
    return {index: (2 * lo, 2 * hi) if index in free else (lo, hi) for index, (lo, hi) in ranges.items()}


@pytest.fixture(scope="module")
def trained(model, float_model, wide, finish, photographs, fidelity):
    return train_aware(
        model,
        wide,
        rival=finish(float_model, wide),
        draw=draw(photographs),
        finish=finish,
        judge=fidelity,
        settings=QatSettings(steps=STEPS, judge_every=STEPS // 2, rate=RATE),
    )


def test_training_wins_fidelity_over_the_ranges_it_started_from(trained, float_model, wide, finish, fidelity):
    (_, start), *_ = trained.scores
    assert start == pytest.approx(fidelity(finish(float_model, wide)))
    # GAIN: half of what 40 steps gain; still far more than the 0.01 dB that rounding may shift.
    assert fidelity(trained.model) > start + GAIN
    assert trained.best_step in (STEPS // 2, STEPS)


def test_the_trained_graph_has_the_operators_of_post_training(trained, float_model, ranges):
    ours, theirs = (read_graph(each) for each in (trained.model, to_int8(float_model, ranges)))
    assert [each.name for each in ours.operators] == [each.name for each in theirs.operators]
    assert [each.dtype for each in ours.tensors] == [each.dtype for each in theirs.tensors]
    ends = [tensor.quantization for tensor in (ours.tensors[ours.inputs[0]], ours.tensors[ours.outputs[0]])]
    assert [end.zero_points for end in ends] == [(0,), (0,)]
    assert [end.scales[0] for end in ends] == pytest.approx([1 / 255] * 2, rel=1e-6)  # float32 holds seven digits


def test_the_float_model_is_left_as_it_was(trained, model):
    fresh = find_model("espcn_x4").build()
    load_weights(fresh, find_model("espcn_x4").weights)
    assert all(
        np.array_equal(ours, theirs) for ours, theirs in zip(model.get_weights(), fresh.get_weights(), strict=True)
    )


def test_post_trainings_model_stands_where_training_does_not_help(model, ranges, start, photographs):
    falling = iter(range(0, -10, -1))
    settings = QatSettings(steps=2, judge_every=1, rate=RATE)
    judge = lambda _: float(next(falling))  # noqa: E731
    result = train_aware(model, ranges, rival=start, draw=draw(photographs), judge=judge, settings=settings)
    assert result.best_step == 0
    assert result.model == start


def test_the_student_of_rounded_kernels_computes_as_the_int8_model(model, float_model, ranges, bounds, photographs):
    rounded = tf_keras.models.clone_model(model)
    for ours, weight in zip(rounded.weights, model.get_weights(), strict=True):
        scale = np.abs(weight).max(axis=(0, 1, 2), keepdims=True) / 127 if weight.ndim == 4 else None
        ours.assign(weight if scale is None else np.rint(weight / scale) * scale)
    student = with_fake_quantization(rounded, bounds, frozen=FROZEN)
    exact = np.rint(photographs[0] * 255).astype(np.float32) / np.float32(255)
    computed = to_bytes(student(exact, training=False)[0].numpy()).astype(int)
    difference = np.abs(computed - restored(to_int8(float_model, ranges), photographs[0]))
    # Integer kernels round products to int32 biases and 31-bit multipliers: now and then a tie falls the other way.
    assert difference.max() <= 1
    assert difference.mean() < 0.02


def test_what_ships_is_finished_as_told(model, float_model, ranges, start, photographs):
    """Judged are the trained float model and the learned ranges as `finish` makes them integers."""
    given = []

    def finish(float_model, ranges):
        given.append((float_model, dict(ranges)))
        return to_int8(float_model, ranges)

    judged = []
    train_aware(
        model,
        ranges,
        rival=start,
        draw=draw(photographs),
        finish=finish,
        judge=lambda int8: judged.append(int8) or len(judged),
        settings=QatSettings(steps=2, judge_every=1, rate=RATE),
    )
    assert judged == [start, *(to_int8(*each) for each in given)]
    assert len({each for each, _ in given} | {float_model}) == 3
    first, second = [list(found.values()) for _, found in given]
    assert first != second  # lists, since tensors may have other numbers
    assert first != list(ranges.values())


def test_learned_ranges_move_frozen_ones_and_exact_zeros_do_not(model, bounds):
    student = with_fake_quantization(model, bounds, frozen=FROZEN)
    assert learned_bounds(student) == {name: pytest.approx(each) for name, each in bounds.items()}
    trainable = {variable.name for variable in student.trainable_variables if "output" in variable.name}
    assert trainable == {"quant_features/output_hi:0", "quant_mapping/output_hi:0"}


def test_learned_ranges_are_those_the_student_computes_with(model, bounds):
    """Also a small one: its ends move by shares of themselves and never cross zero."""
    student = with_fake_quantization(model, bounds | {"features": (-0.001, 2.0)}, frozen=FROZEN)
    ends = {each.name: each for each in student.trainable_variables if is_range(each)}
    for name, factor in (("quant_features/output_lo:0", 300.0), ("quant_features/output_hi:0", 0.75)):
        ends[name].assign(np.log(factor))
    lo, hi = learned_bounds(student)["features"]
    assert (lo, hi) == (pytest.approx(-0.3), pytest.approx(1.5))
    quantizer = student.get_layer("quant_features")
    values = np.linspace(-1, 3, 401, dtype=np.float32)
    weights = {"lo": ends["quant_features/output_lo:0"], "hi": ends["quant_features/output_hi:0"]}
    (config,) = quantizer.quantize_config.get_output_quantizers(None)
    computed = config(values, True, weights).numpy()
    # Half a step between the ends; the zero point is rounded, which moves both ends by up to half a step more.
    assert np.abs(computed - np.clip(values, lo, hi)).max() <= (hi - lo) / 255 + 1e-6
    assert 0.0 in computed


def test_ranges_shrink_where_finer_steps_win(model, bounds, photographs):
    """A range four times too wide comes back towards the calibrated one."""
    lo, hi = bounds["mapping"]
    student = with_fake_quantization(model, bounds | {"mapping": (lo, 4 * hi)}, frozen=FROZEN)
    (end,) = (each for each in student.trainable_variables if each.name == "quant_mapping/output_hi:0")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(student(photographs[0]) - model(photographs[0])))
    assert float(tape.gradient(loss, end)) > 0


def test_the_gradient_of_a_rounded_value_is_that_of_learned_steps():
    """By hand, on [-1, 1.55]: a step is 0.01, zero is level 100; 0.123 becomes 0.12, 2 saturates at 1.55, -3 at -1."""
    lo, hi = tf.constant(-1.0), tf.constant(1.55)
    values = tf.constant([0.123, 2.0, -3.0])
    quantizer = RangeQuantizer((-1.0, 1.55), learned=True)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([values])
        ends = {"lo": tf.Variable(0.0), "hi": tf.Variable(0.0)}
        found = quantizer(values, True, ends)
    assert np.allclose(found, [0.12, 1.55, -1.0], atol=1e-6)
    assert np.array_equal(tape.gradient(found, values), [1, 0, 0])
    # Float32 sums of three values. With the zero point held, a value moves with the step in proportion to its level, an
    # unsaturated one by what its rounding took: dy/ds = -0.3, 155, -100. The step changes by 1/255 of either end, and
    # an end by itself per logarithm.
    by_step = -0.3 + 155 - 100
    assert float(tape.gradient(found, ends["hi"])) == pytest.approx(by_step / 255 * float(hi), rel=1e-4)
    assert float(tape.gradient(found, ends["lo"])) == pytest.approx(-by_step / 255 * float(lo), rel=1e-4)


def test_an_interrupted_training_ends_as_one_in_one_go(model, ranges, start, photographs, fidelity, tmp_path):
    def trained_with(resume, watch=lambda step: None):
        return train_aware(
            model,
            ranges,
            rival=start,
            draw=draw(photographs),
            judge=fidelity,
            settings=QatSettings(steps=6, judge_every=2, rate=RATE),
            resume=resume,
            watch=watch,
        )

    def interrupted(step):
        if step == 5:
            raise KeyboardInterrupt

    resume = Resume(tmp_path / "half.npz", "one")
    with pytest.raises(KeyboardInterrupt):
        trained_with(resume, interrupted)
    steps = []
    assert trained_with(resume, steps.append) == trained_with(None)
    assert steps == [5, 6]


@pytest.mark.parametrize("spoil", ["stamp", "cut", "empty", "other"])
def test_what_does_not_fit_is_not_gone_on_from(tmp_path, spoil):
    path = tmp_path / "half.npz"
    variables = [tf.Variable([1.0, 2.0])]
    Resume(path, "one").save(Progress(4, b"model", 2, ((0, 1.0), (2, 3.0))), variables)
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif spoil == "empty":
        path.write_bytes(b"")
    elif spoil == "other":
        np.savez(path, stamp=np.array("one"))
    variables[0].assign([5.0, 6.0])
    assert Resume(path, "two" if spoil == "stamp" else "one").load(variables) is None
    assert variables[0].numpy().tolist() == [5, 6]


def test_trained_weights_go_back_to_the_layers_they_belong_to(model, bounds):
    student = with_fake_quantization(model, bounds, frozen=FROZEN)
    for number, variable in enumerate(student.trainable_variables):
        variable.assign_add(np.full(variable.shape, 0.01 * (number + 1), np.float32))
    plain = tf_keras.models.clone_model(model)
    copy_float_weights(student, plain)
    shifted = {
        float(np.round(np.mean(ours - theirs), 4)) for ours, theirs in zip(plain.weights, model.weights, strict=True)
    }
    assert len(shifted) == len(model.weights)
    assert min(shifted) > 0


def one_step(model, float_model, ranges, photographs, **settings):
    """The graphs before and after it, which settings may make a large one."""
    batch, judged = np.rint(photographs[0] * 255).astype(np.uint8), []
    train_aware(
        model,
        ranges,
        rival=to_int8(float_model, ranges),
        draw=lambda step: batch,
        judge=lambda int8: judged.append(read_graph(int8)) or len(judged),
        settings=QatSettings(steps=1, judge_every=1, rate=RATE, **settings),
    )
    return judged


def test_training_parts_what_was_equal_before(photographs):
    """Biases that start at zero share one tensor of the file, and the trained ones do not."""
    tf_keras.utils.set_random_seed(0)
    fresh = find_model("cnn_x4").build()
    float_model = to_float32(fresh)
    ranges = ranges_for(float_model, photographs, CALIBRATORS["minmax"])
    judged = one_step(fresh, float_model, ranges, photographs)
    before, after = (
        [graph.tensors[each.outputs[0]].quantization.scales for each in graph.operators] for graph in judged
    )
    assert np.allclose(before, after, rtol=0.05)  # one step moves a range a little; another tensor's is far off


def test_what_is_added_to_the_image_keeps_its_step(photographs):
    """Steps of a half in the logarithm would move every range that may move to another scale or zero point."""
    image = tf_keras.Input((None, None, 1), name="image")
    body = tf_keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="body")(image)
    change = tf_keras.layers.Conv2D(1, 3, padding="same", name="change")(body)
    network = tf_keras.Model(image, tf_keras.layers.Add(name="sum")([image, change]))
    network.get_layer("change").set_weights([0.2 * each for each in network.get_layer("change").get_weights()])
    float_model = to_float32(network)
    ranges = ranges_for(float_model, photographs, CALIBRATORS["mse"])
    judged = one_step(network, float_model, ranges, photographs, range_rate=0.5)

    def quantization(graph, place):
        return graph.tensors[graph.operators[place].outputs[0]].quantization

    before, after = judged
    assert [each.name for each in before.operators] == ["QUANTIZE", "CONV_2D", "CONV_2D", "ADD", "QUANTIZE"]
    assert quantization(before, 1) != quantization(after, 1)
    assert quantization(before, 2) == quantization(after, 2)
