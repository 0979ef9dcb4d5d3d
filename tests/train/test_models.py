"""Conformance: what every registered model must do; listing a model tests it, big ones with few channels and blocks."""

import dataclasses

import numpy as np
import pytest
import tf_keras

from octopix.complexity import complexity
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from octopix.images import shave, to_bytes
from octopix.metrics import psnr
from octopix.receptive import geometry
from octopix.runtime import open_session
from quantize.export import to_float32
from train.data.sources import images_for, locate
from train.models import MODELS, find_model
from train.pipeline import load_pairs
from train.samples import Member
from train.trainer import Trainer
from train.weights import load_weights, save_weights


def slim(spec):
    """The same architecture, thinner where there is such a form of it."""
    return dataclasses.replace(spec, build=spec.slim or spec.build)


def side_of(spec):
    """16 pixels, or the smallest picture that the network takes."""
    return max(16, spec.multiple_of)


def image(spec, height, width):
    return np.random.default_rng(0).random((1, height, width, spec.depth), dtype=np.float32)


def stirred(model):
    """The model with no weight at zero: a bias of zeros is, in a file, the one TFLite gives to layers without, and
    behind a last kernel of zeros any two networks are equal."""
    random = np.random.default_rng(0)
    model.set_weights([weight + random.normal(0, 0.01, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module", params=list(MODELS.values()), ids=list(MODELS))
def spec(request):
    return request.param


@pytest.fixture(scope="module")
def exported(spec):
    """(Keras model, its float ``.tflite``), slim where it can be."""
    model = stirred(slim(spec).build())
    return model, to_float32(model, height=side_of(spec), width=side_of(spec))


def test_parameters_are_as_stated(spec, exported):
    model = spec.build() if spec.slim else exported[0]
    assert model.count_params() == spec.parameters


def test_tflite_has_the_parameters_of_keras(exported):
    model, content = exported
    assert complexity(read_graph(content)).parameters == model.count_params()


def test_tflite_computes_what_keras_computes(spec, exported):
    model, content = exported
    picture = image(spec, side_of(spec), side_of(spec))
    (ours,) = open_session(content).run([picture])
    theirs = model(picture).numpy()
    # Sums of a few hundred float32 products in another order, relative to untrained networks' large outputs.
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


def test_the_graph_says_how_far_it_looks(spec, exported):
    model, content = exported
    found = geometry(read_graph(content))
    assert (found.multiple_of, found.scale) == (spec.multiple_of, spec.network_scale)
    assert found.receptive_field == rows_looked_at(spec, model, 2 * found.receptive_field)


def rows_looked_at(spec, model, height):
    """Most input rows, from first to last, that one output row changes with.

    One row of a dark picture is lit. All weights are positive and all biases zero, so that outputs stay at exactly
    zero unless they see it. What holds for a row holds ``multiple_of`` rows further on.
    """
    random = np.random.default_rng(0)
    twin = tf_keras.models.clone_model(model)
    twin.set_weights([_positive(weight, random) for weight in twin.get_weights()])
    period, scale = spec.multiple_of, spec.network_scale
    middle = -(-height // period) * period
    pictures = np.zeros((period, 2 * middle, period, spec.depth), np.float32)
    for row in range(period):
        pictures[row, middle + row] = 1
    lit = np.asarray(twin(pictures)).any(axis=(2, 3))
    assert not lit[:, [0, -1]].any()  # the picture is larger than what it can change
    seen_by = [[] for _ in range(period * scale)]
    for row, output in np.argwhere(lit):
        turns, phase = divmod(output - middle * scale, period * scale)
        seen_by[phase].append(row - turns * period)
    return max(max(rows) - min(rows) + 1 for rows in seen_by)


def _positive(weight, random):
    """Kernels whose products neither vanish nor overflow over 50 layers; zero for biases and mean colours."""
    if weight.ndim < 3:
        return np.zeros_like(weight)
    gain = 1 / (weight.shape[0] * weight.shape[-2]) if weight.ndim == 4 else 1
    return gain * random.uniform(0.5, 1, weight.shape)


def test_it_trains_a_step_and_keeps_weights_that_load(spec, recipe, tmp_path):
    spec, side = slim(spec), side_of(spec)
    given, truth = a_pair(spec, side)
    stage = recipe.stages[0].model_copy(update={"patch": side, "batch": 1})
    short = recipe.model_copy(update={"model": spec.trained_as, "expansion": 0, "stages": (stage,), "epoch_steps": 1})
    trainer = Trainer([Member(spec, [(given, truth)], [(given, truth)])], short, tmp_path, images="a photograph")
    (epoch,) = trainer.run(until=1)
    trained = spec.build()
    load_weights(trained, trainer.best_weights)
    restored = to_bytes(trained(given[None] / np.float32(255))[0].numpy())
    border = spec.network_scale
    # The graph that trains and the eager one sum in another order, which moves single pixels across a rounding.
    assert psnr(shave(truth, border), shave(restored, border)) == pytest.approx(epoch.psnr, abs=0.02)
    assert np.isfinite(epoch.loss)


def a_pair(spec, side):
    """What the network meets of one training photograph, and what it should make of it: side × side pixels in."""
    photographs = images_for(locate(None), "train", lists=spec.lists)
    ((given, truth),) = load_pairs(spec, dataclasses.replace(photographs, refs=photographs.refs[:1]))
    end = side * spec.network_scale
    return given[:side, :side], truth[:end, :end]


def test_any_multiple_of_multiple_of_goes_in_and_the_scale_comes_out(spec, exported):
    model, _ = exported
    for height, width in ((spec.multiple_of, 3 * spec.multiple_of), (7 * spec.multiple_of, 5 * spec.multiple_of)):
        output = model(image(spec, height, width))
        assert output.shape == (1, height * spec.network_scale, width * spec.network_scale, spec.depth)


def test_weights_survive_a_file(spec, exported, tmp_path):
    (saved, _), loaded = exported, slim(spec).build()
    save_weights(saved, tmp_path / "w.safetensors", {"seed": "1"})
    assert load_weights(loaded, tmp_path / "w.safetensors") == {"seed": "1"}
    picture = image(spec, side_of(spec), side_of(spec))
    assert np.array_equal(saved(picture), loaded(picture))


@pytest.mark.parametrize("name", [name for name, listed in MODELS.items() if listed.weights.exists()])
def test_committed_weights_fit_and_name_their_recipe(name):
    spec = MODELS[name]
    assert '"model"' in load_weights(spec.build(), spec.weights)["recipe"]


def test_damaged_and_foreign_weights_are_refused(tmp_path):
    spec, path = find_model("espcn_x4"), tmp_path / "w.safetensors"
    save_weights(spec.build(), path, {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelFileError, match="a whole safetensors file"):
        load_weights(spec.build(), path)
    save_weights(tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(2,), name="features")]), path, {})
    with pytest.raises(ModelFileError, match="use the weights of this architecture"):
        load_weights(spec.build(), path)


def test_missing_weights_name_the_command_that_trains_them(tmp_path):
    with pytest.raises(ConfigError, match="make train MODEL=nowhere"):
        load_weights(find_model("espcn_x4").build(), tmp_path / "nowhere.safetensors")


def test_an_unknown_model_lists_the_known():
    with pytest.raises(ConfigError, match="espcn_x4"):
        find_model("espcn_x5")
