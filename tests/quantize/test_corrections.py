"""Corrections: kept where they help, and only there."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

from octopix.graph import constant, read_graph
from octopix.runtime import open_session
from quantize import corrections, moments
from quantize.candidate import Candidate
from quantize.checks import check
from quantize.corrections import CORRECTIONS, NEGLIGIBLE, correct, rounded_after_training
from quantize.equalization import by_strength, equalized
from quantize.export import to_float32
from quantize.filters import constants_of, filters, separated, with_constants
from quantize.moments import Sampler, float_views, moments_of, observe, observe_both
from quantize.relay import Relay
from quantize.rounding import nearest
from quantize.schemes import CORRECTIONS as NAMES
from quantize.solving import Lesson, solved_alone, solved_in_turn, weights_and_biases
from quantize.transfer import transferred

Make = Callable[[str], Any]


def test_the_grammar_names_every_correction_in_its_order() -> None:
    assert tuple(CORRECTIONS) == NAMES


def test_judges_do_not_teach(corrector: Any) -> None:
    bench = corrector("espcn")
    assert (len(bench.judge.judges), len(bench.teachers)) == (2, 6)
    assert not any(np.array_equal(one, other) for one in bench.judge.judges for other in bench.teachers)


@pytest.mark.parametrize(
    "name", ["anchored", "espcn", "residual", "separable", "hourglass", "grouped", "shared_output"]
)
def test_corrected_models_are_whole_and_never_worse(corrector: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "ENOUGH", 0)  # random networks give much black, which is as good as it gets
    bench = corrector(name)
    done = correct(bench, NAMES)
    check(done.candidate.int8, "int8-ptq")
    assert bench.judge.error(done.candidate.int8) == min(error for _, error in done.errors)
    # The random separable network gives all but black: there is nothing to win.
    assert bool(done.kept) == (name != "separable")


def test_rounding_changes_weights_by_more_than_nearest_would(corrector: Any) -> None:
    """And the quantizer keeps those very integers."""
    done = correct(corrector("espcn"), ["adaround"])
    wanted = [
        np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
        for index, weights in done.candidate.constants.items()
        if weights.ndim == 4
    ]
    stored = [each for each in read_graph(done.candidate.int8).operators if each.name == "CONV_2D"]
    graph = read_graph(done.candidate.int8)
    pairs = [(constant(graph.tensors[each.inputs[1]]), scale) for each, scale in zip(stored, wanted, strict=True)]
    replaced = [weights for weights in done.candidate.constants.values() if weights.ndim == 4]
    for (integers, scale), weights in zip(pairs, replaced, strict=True):
        assert np.array_equal(integers, np.rint(weights / scale))
    before = filters(read_graph(done.candidate.float_model))
    steps = [np.abs(new - old.weights) / scale for new, old, scale in zip(replaced, before, wanted, strict=True)]
    assert max(float(step.max()) for step in steps) > 0.5


def test_a_correction_that_does_harm_is_not_kept(corrector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def harm(bench: Any, forms: Any, names: Any) -> Any:
        last = filters(read_graph(forms[0].candidate.float_model))[-1]
        return [bench.judged(forms[0].candidate.changed(last.replaced(bias=last.bias + 1)), "harm")]

    monkeypatch.setattr(corrections, "CORRECTIONS", {"harm": harm})
    done = correct(corrector("espcn"), ["harm"])
    assert done.kept == ()
    assert done.candidate is done.start
    assert done.errors[1][1] > done.errors[0][1]


def test_what_does_harm_alone_is_kept_where_the_next_correction_needs_it(
    corrector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shift(bench: Any, forms: Any, name: str, by: float) -> Any:
        """Of the last form."""
        now, made_by = forms[-1].candidate, forms[-1].made_by
        last = filters(read_graph(now.float_model))[-1]
        bias = now.constants.get(last.operator.inputs[2], last.bias)
        return [bench.judged(now.changed(last.replaced(bias=bias + np.float32(by))), *made_by, name)]

    bench = corrector("espcn")
    last = filters(read_graph(bench.start.float_model))[-1]
    bench.start = bench.start.changed(last.replaced(bias=last.bias + np.float32(0.5)))
    steps = {
        "away": lambda bench, forms, names: shift(bench, forms, "away", 0.25),
        "back": lambda bench, forms, names: shift(bench, forms, "back", -0.75),
    }
    monkeypatch.setattr(corrections, "CORRECTIONS", steps)
    done = correct(bench, ["away", "back"])
    assert done.kept == ("away", "back")
    assert [name for name, _ in done.errors] == ["", "away", "away+back"]
    assert done.errors[2][1] < done.errors[0][1] < done.errors[1][1]


@pytest.mark.parametrize(("name", "tail"), [("residual", True), ("shared_output", False)])
def test_of_deep_networks_the_tail_is_rounded_in_turn(
    corrector: Any, monkeypatch: pytest.MonkeyPatch, name: str, tail: bool
) -> None:
    monkeypatch.setattr(corrections, "SHALLOW", 0)
    tried = [form for form, _ in correct(corrector(name), ["adaround"]).errors]
    assert tried == ["", "adaround", *(["adaround (tail in turn)"] if tail else [])]


@pytest.mark.parametrize("name", ["espcn", "separable"])
def test_float_views_that_are_kept_are_those_taken_anew(corrector: Any, name: str) -> None:
    bench = corrector(name)
    start, kept = bench.start, bench.lesson(bench.start).views
    assert kept is not None
    alone, of_kept = observe(start.float_model, start.filters, bench.teachers), moments_of(kept, start.filters)
    for each in start.filters:
        index = each.operator.index
        both = (
            observe_both(start.float_model, start.int8, each, Relay(bench.teachers), known=known)
            for known in (None, (views[index] for views in kept))
        )
        for one, other in zip(*both, strict=True):
            assert np.array_equal(one.cross, other.cross)
            assert np.array_equal(one.mean, other.mean)
        for one, other in zip(alone[index], of_kept[index], strict=True):
            assert np.array_equal(one.covariance, other.covariance)


@pytest.mark.parametrize("name", ["espcn", "shuffled"])
def test_what_equalized_layers_see_need_not_be_gathered_again(corrector: Any, name: str) -> None:
    def seen_by(base: Candidate, candidate: Candidate, lesson: Lesson) -> list[Any]:
        seen: list[Any] = []

        def rule(each: Any, moments: Any) -> dict[int, Any]:
            seen.append(moments)
            return {}

        solved_alone(base, [candidate], rule, lesson)
        return seen

    bench = corrector(name)
    found = equalized(bench.start.float_model, by_strength(bench.peaks, 1))
    assert found.factors
    scaled = Candidate(found.model, bench.ranges(found.factors), factors=found.factors)
    shared = seen_by(bench.start, scaled, bench.lesson(bench.start))
    plain = dataclasses.replace(scaled, factors={})
    anew = seen_by(plain, plain, Lesson(bench.teachers, None, bench.watch))
    for (one,), (other,) in zip(shared, anew, strict=True):
        loudest = np.diag(other.covariance).max()
        # Half precision rounds each value by a 2048th at most, before or behind the factor.
        assert np.allclose(one.covariance, other.covariance, rtol=0, atol=loudest / 2048)
        assert np.allclose(one.mean, other.mean, rtol=0, atol=np.sqrt(loudest) / 2048)


def test_kept_views_serve_an_equalized_layer_in_turn(corrector: Any) -> None:
    bench = corrector("espcn")
    found = equalized(bench.start.float_model, by_strength(bench.peaks, 1))
    scaled = Candidate(found.model, bench.ranges(found.factors), factors=found.factors)
    kept, anew = bench.lesson(bench.start), Lesson(bench.teachers, None, bench.watch)

    def seen_by(lesson: Lesson) -> list[Any]:
        seen: list[Any] = []

        def rule(each: Any, moments: Any) -> dict[int, Any]:
            seen.extend(moments)
            return {}

        solved_in_turn(scaled, scaled.filters, rule, lesson)
        return seen

    for one, other in zip(seen_by(kept), seen_by(anew), strict=True):
        loudest = np.diag(other.covariance).max()
        # Half precision rounds each value by a 2048th at most, before or behind the factor.
        assert np.allclose(one.cross, other.cross, rtol=0, atol=loudest / 2048)
        assert np.allclose(one.mean, other.mean, rtol=0, atol=np.sqrt(loudest) / 2048)


def test_networks_whose_views_are_too_many_are_corrected_alike(corrector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = dict(correct(corrector("espcn"), NAMES).errors)
    monkeypatch.setattr(moments, "KEPT", 1 << 20)
    monkeypatch.setattr(moments, "MEMORY", 1 << 20)
    streamed = dict(correct(corrector("espcn"), NAMES).errors)
    assert streamed.keys() == kept.keys()
    for name, error in kept.items():  # weights between two levels may turn on the last digit of a sum
        assert streamed[name] == pytest.approx(error, rel=0.05)


def hushed() -> bytes:
    """The image, and next to nothing added to it by three layers."""
    tf_keras.utils.set_random_seed(4)
    image = tf_keras.Input((None, None, 1), name="image")
    quiet = tf_keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="head")(image)
    quiet = tf_keras.layers.Conv2D(8, 3, padding="same", name="hushed")(quiet)
    quiet = tf_keras.layers.Conv2D(1, 3, padding="same", name="hush")(quiet)
    network = tf_keras.Model(image, tf_keras.layers.Add(name="sum")([image, quiet]))
    hush = network.get_layer("hush")
    hush.set_weights([1e-3 * each for each in hush.get_weights()])
    return to_float32(network)


def test_the_least_error_is_that_of_rounding_alone(corrector_of: Any) -> None:
    image = tf_keras.Input((None, None, 1), name="image")
    dimmed = tf_keras.layers.Conv2D(1, 1, name="dim")
    network = tf_keras.Model(image, dimmed(image))
    dimmed.set_weights([np.full((1, 1, 1, 1), 0.5**0.5), np.full(1, 0.1)])  # irrational, nowhere black or white
    levels = np.tile(np.arange(256, dtype=np.uint8), (1, 64, 1)).reshape(1, 64, 256, 1)
    # 256 phases, spread by an irrational factor, stand for all of them to a percent.
    assert corrector_of(to_float32(network), [levels] * 8).judge.least == pytest.approx(1 / 12 / 255**2, rel=0.01)


@pytest.mark.parametrize(
    ("errors", "least", "expected"),
    [
        ([1.1e-6, 1.3e-6], [1e-6, 1e-6], True),
        ([1.1e-6, 1.4e-6], [1e-6, 1e-6], False),
        ([NEGLIGIBLE, NEGLIGIBLE, NEGLIGIBLE, 2e-6], [NEGLIGIBLE, NEGLIGIBLE, NEGLIGIBLE, 1e-6], False),
        ([NEGLIGIBLE, 1.1e-6], [NEGLIGIBLE, 1e-6], True),
        ([NEGLIGIBLE, NEGLIGIBLE], [NEGLIGIBLE, NEGLIGIBLE], True),
        ([1e-6, 1e-6], [NEGLIGIBLE, NEGLIGIBLE], False),
    ],
    ids=["near", "far", "far, seen on one", "near, seen on one", "seen on none", "black in float alone"],
)
def test_what_is_enough_is_told_by_crops_that_show_it(
    corrector: Any, errors: list[float], least: list[float], expected: bool
) -> None:
    judge = corrector("espcn").judge
    judge.least = np.array(least)
    assert judge.is_enough(np.array(errors)) is expected


def test_nothing_is_tried_on_a_form_that_is_as_good_as_int8_gets(
    corrector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = corrector("espcn")
    errors = bench.judge.errors(bench.start.int8)
    ratio = corrections.typical(errors / bench.judge.least)
    assert ratio > 1.1  # there is something to win
    monkeypatch.setattr(corrections, "ENOUGH", 1.001 * ratio)
    assert [name for name, _ in correct(bench, NAMES).errors] == [""]
    monkeypatch.setattr(corrections, "ENOUGH", 0.999 * ratio)
    assert len(correct(bench, NAMES).errors) > 1


def test_what_follows_a_form_that_is_good_enough_is_not_tried(corrector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def good(bench: Any, forms: Any, names: Any) -> Any:
        return [dataclasses.replace(forms[0], made_by=("good",), error=forms[0].error / 2, is_enough=True)]

    def never(bench: Any, forms: Any, names: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(corrections, "CORRECTIONS", {"good": good, "never": never})
    assert correct(corrector("espcn"), ["good", "never"]).kept == ("good",)


def test_int8_views_are_what_its_integers_stand_for(corrector: Any) -> None:
    """Zero points, steps and borders, by means that the test takes by itself."""
    bench = corrector("residual")
    start, graph = bench.start, read_graph(bench.start.int8)
    twins = [each for each in graph.operators if each.name == "CONV_2D"]
    for each, twin in zip(start.filters, twins, strict=True):
        (found,) = observe_both(start.float_model, start.int8, each, Relay(bench.teachers))
        views = []
        for number, image in enumerate(bench.teachers):
            session = open_session(start.int8, keep_tensors=True)
            session.invoke(image)
            tensor = graph.tensors[twin.inputs[0]]
            stored = session.tensor(tensor.index).astype(np.float64)
            real = (stored - tensor.quantization.zero_points[0]) * tensor.quantization.scales[0]
            views.append(Sampler(each, real.shape, np.random.default_rng(number)).views(real)[0])
        seen = np.concatenate(views)
        loudest = np.abs(seen).max()
        # Sums in single precision over some thousand views.
        assert np.allclose(found.mean_int8, seen.mean(axis=0), rtol=0, atol=1e-5 * loudest)
        assert np.allclose(found.covariance, np.cov(seen.T, bias=True), rtol=0, atol=1e-5 * loudest**2)


def test_layers_that_the_output_does_not_show_are_rounded_to_nearest(
    corrector_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "ENOUGH", 0)
    bench = corrector_of(hushed())
    (found,) = solved_alone(bench.start, [bench.start], weights_and_biases, bench.lesson(bench.start))
    for each in bench.start.filters:
        weights, bias = (found.constants[index] for index in each.operator.inputs[1:3])
        rows = nearest(each.weights.reshape(len(weights), -1).astype(np.float64))
        assert np.allclose(weights.reshape(rows.shape), rows, rtol=1e-6)  # of float32
        assert not np.array_equal(bias, each.bias)  # which makes up for what is then wrong
    check(correct(bench, NAMES).candidate.int8, "int8-ptq")  # as in forms whose channels are rescaled


def test_a_layer_that_reads_the_image_is_not_rounded_again(corrector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []

    def in_turn(current: Candidate, chosen: Any, *others: Any) -> Candidate:
        turns.extend(each.image for each in chosen)
        return current

    monkeypatch.setattr(corrections, "solved_in_turn", in_turn)
    bench = corrector("espcn")
    correct(bench, ["adaround"])
    assert turns == [each.image for each in bench.start.filters[1:]]


def test_views_that_need_too_much_memory_are_not_kept(corrector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start = corrector("espcn").start
    monkeypatch.setattr(moments, "KEPT", 1 << 20)
    assert float_views(start.float_model, filters(read_graph(start.float_model)), corrector("espcn").teachers) is None


def test_views_that_half_precision_cannot_hold_are_kept_as_they_are(corrector: Any) -> None:
    bench = corrector("espcn")
    first, second, *_ = bench.start.filters
    loud = with_constants(bench.start.float_model, first.replaced(1e6 * first.weights, 1e6 * first.bias))
    found = float_views(loud, filters(read_graph(loud)), bench.teachers[:1])
    assert found is not None
    assert found[0][first.operator.index].dtype == np.float16  # the image
    assert found[0][second.operator.index].dtype == np.float32
    assert np.isfinite(found[0][second.operator.index]).all()


@pytest.mark.parametrize("name", ["espcn", "residual", "separable"])
def test_corrected_constants_go_back_into_keras(
    network: Make, corrector: Any, photographs: list[Any], name: str
) -> None:
    done = correct(corrector(name), NAMES)
    corrected = with_constants(done.candidate.float_model, done.candidate.constants)
    model = transferred(network(name), done.start.float_model, constants_of(corrected))
    assert model is not None
    again = to_float32(model, height=64, width=64)
    outputs = [open_session(each).invoke(photographs[0]) for each in (again, corrected)]
    assert np.allclose(*outputs, rtol=0, atol=1e-5)  # the same float32 weights through the same kernels


@pytest.mark.parametrize("name", ["espcn", "residual", "shuffled"])
def test_a_trained_models_kernels_are_rounded_for_what_the_float_model_gives(corrector: Any, name: str) -> None:
    """Ranges stay as training left them."""
    shared = corrector(name)
    learned = {index: (0.9 * lo, 0.9 * hi) for index, (lo, hi) in shared.start.ranges.items()}
    last = shared.start.filters[-1]
    trained = with_constants(shared.start.float_model, last.replaced(bias=last.bias + np.float32(1e-6)))
    found = rounded_after_training(shared, trained, learned)
    assert found.ranges == learned
    assert shared.judge.error(found.int8) < shared.judge.error(Candidate(trained, learned).int8)


def test_convolutions_without_a_bias_get_the_corrected_one(corrector: Any, photographs: list[Any]) -> None:
    layers, image = tf_keras.layers, tf_keras.Input((None, None, 1), name="image")
    tf_keras.utils.set_random_seed(0)
    hidden = layers.Conv2D(4, 3, padding="same", use_bias=False, activation="relu", name="head")(image)
    bare = tf_keras.Model(image, layers.Conv2D(1, 3, padding="same", use_bias=False, name="tail")(hidden))
    start = separated(to_float32(bare, height=64, width=64))
    moved = {each.operator.inputs[2]: np.full_like(each.bias, 0.25) for each in filters(read_graph(start))}
    model = transferred(bare, start, moved)
    assert model is not None
    again = to_float32(model, height=64, width=64)
    outputs = [open_session(each).invoke(photographs[0]) for each in (again, with_constants(start, moved))]
    assert np.allclose(*outputs, rtol=0, atol=1e-5)  # the same float32 weights through the same kernels
    assert not any(layer.use_bias for layer in bare.layers[1:])


def test_a_kernel_that_keras_does_not_have_is_noticed(network: Make, corrector: Any) -> None:
    start = corrector("residual").start
    assert transferred(network("espcn"), start.float_model, {}) is None
