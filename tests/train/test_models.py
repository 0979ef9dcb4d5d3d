"""Conformance: what every registered model must do. Listing a model tests it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.complexity import complexity
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from octopix.runtime import open_session
from train.models import MODELS, find_model
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
    # Sums of a few hundred float32 products in another order.
    assert np.abs(ours - model(image(spec)).numpy()).max() < 1e-5


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


def test_committed_weights_fit_and_name_their_recipe(spec):
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
