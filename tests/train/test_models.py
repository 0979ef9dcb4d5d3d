"""Conformance: what every registered model must do. Listing a model tests it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.complexity import complexity
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from octopix.runtime import open_session
from train.data.degradations import network_pair
from train.data.sources import images_for, locate
from train.models import MODELS, find_model
from train.trainer import Member, Trainer
from train.weights import load_weights, save_weights

SIDE = 16


@pytest.fixture(params=list(MODELS.values()), ids=list(MODELS))
def spec(request):
    return request.param


def image(spec, height=SIDE, width=SIDE):
    return np.random.default_rng(0).random((1, height, width, spec.depth), dtype=np.float32)


def tflite(spec, model):
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(model).get_concrete_function(tf.TensorSpec((1, SIDE, SIDE, spec.depth)))], model
    )
    return converter.convert()


def test_parameters_are_as_stated_in_keras_and_in_tflite(spec):
    model = spec.build()
    # A fresh bias is all zeros, which in a file is indistinguishable from the one TFLite adds to a layer without.
    model.set_weights([weight + 0.01 for weight in model.get_weights()])
    assert model.count_params() == spec.parameters
    assert complexity(read_graph(tflite(spec, model))).parameters == spec.parameters


def test_tflite_computes_what_keras_computes(spec):
    model = spec.build()
    (ours,) = open_session(tflite(spec, model)).run([image(spec)])
    theirs = model(image(spec)).numpy()
    # Sums of a few hundred float32 products in another order, relative to untrained networks' large outputs.
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


def test_it_trains_a_step_and_keeps_weights_that_load(spec, recipe, tmp_path):
    photograph = images_for(locate(None), "train").refs[0].read()[:128, :128]
    pairs = [network_pair(photograph, scale=spec.scale, channels=spec.channels)]
    short = recipe.model_copy(update={"model": spec.name, "expansion": 0})
    trainer = Trainer([Member(spec, pairs, pairs)], short, tmp_path, images="a photograph")
    (epoch,) = trainer.run(until=1)
    assert np.isfinite(epoch.loss)
    trained = spec.build()
    load_weights(trained, trainer.best_weights)
    assert any(
        not np.array_equal(before, after)
        for before, after in zip(spec.build().get_weights(), trained.get_weights(), strict=True)
    )


def test_any_multiple_of_multiple_of_goes_in_and_the_scale_comes_out(spec):
    model = spec.build()
    for height, width in ((spec.multiple_of, 3 * spec.multiple_of), (7 * spec.multiple_of, 5 * spec.multiple_of)):
        output = model(image(spec, height, width))
        assert output.shape == (1, height * spec.scale, width * spec.scale, spec.depth)


def test_weights_survive_a_file(spec, tmp_path):
    saved, loaded = spec.build(), spec.build()
    save_weights(saved, tmp_path / "w.safetensors", {"seed": "1"})
    assert load_weights(loaded, tmp_path / "w.safetensors") == {"seed": "1"}
    assert np.array_equal(saved(image(spec)), loaded(image(spec)))


@pytest.mark.parametrize("name", [name for name, listed in MODELS.items() if listed.weights.exists()])
def test_committed_weights_fit_and_name_their_recipe(name):
    spec = MODELS[name]
    assert '"model"' in load_weights(spec.build(), spec.weights)["recipe"]


def test_damaged_and_foreign_weights_are_refused(spec, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(spec.build(), path, {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelFileError, match="a whole safetensors file"):
        load_weights(spec.build(), path)
    save_weights(tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(2,), name="features")]), path, {})
    with pytest.raises(ModelFileError, match="use the weights of this architecture"):
        load_weights(spec.build(), path)


def test_missing_weights_name_the_command_that_trains_them(spec, tmp_path):
    with pytest.raises(ConfigError, match="make train MODEL=nowhere"):
        load_weights(spec.build(), tmp_path / "nowhere.safetensors")


def test_an_unknown_model_lists_the_known():
    with pytest.raises(ConfigError, match="espcn_x4"):
        find_model("espcn_x5")
