import numpy as np
import pytest
import tf_keras

from train.equalization import equalize
from train.models import MODELS


def uneven(model):
    """Random weights whose channels differ a hundredfold."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        scale = 10 ** random.uniform(-1, 1, weight.shape[-1])
        weight.assign(random.standard_normal(weight.shape) * scale / np.sqrt(np.prod(weight.shape[:-1])))
    return model


def channel_rms(layer):
    return np.sqrt(np.mean(np.square(layer.kernel.numpy()), axis=(0, 1, 3)))


@pytest.mark.parametrize("name", ["espcn_x4", "lesrcnn_x2"])
def test_the_function_stays_and_input_channels_become_equal(name):
    model = uneven(MODELS[name].build())
    image = np.random.default_rng(1).random((1, 9, 11, model.input_shape[-1]), dtype=np.float32)
    before = model(image).numpy()
    changed = equalize(model)
    after = model(image).numpy()
    # Factors up to a hundred change the order of magnitude of float32's addends, not their sum's 1e-7.
    assert np.abs(after - before).max() < 1e-5 * np.abs(before).max()
    layers = [layer for layer in model.layers if layer.name in changed]
    assert layers
    for layer in layers:
        rms = channel_rms(layer.outbound_nodes[0].outbound_layer)
        assert rms == pytest.approx(np.full(len(rms), rms[0]), rel=1e-4)  # float32 products of several passes


def test_a_second_pass_changes_nothing():
    model = uneven(MODELS["espcn_x4"].build())
    equalize(model)
    first = model.get_weights()
    equalize(model)
    for before, after in zip(first, model.get_weights(), strict=True):
        assert after == pytest.approx(before, rel=1e-5)


def test_layers_that_a_factor_cannot_pass_are_left_alone():
    layers, image = tf_keras.layers, tf_keras.Input((None, None, 1))
    bent = layers.Conv2D(4, 3, activation="tanh", name="bent")(image)
    split = layers.Conv2D(4, 3, activation="relu", name="split")(bent)
    left, right = layers.Conv2D(4, 1, name="left")(split), layers.Conv2D(4, 1, name="right")(split)
    model = uneven(tf_keras.Model(image, layers.Add(name="sum")([left, right])))
    before = model.get_weights()
    assert equalize(model) == ()
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(before, model.get_weights(), strict=True))


def test_unused_channels_stay_finite():
    model = uneven(MODELS["espcn_x4"].build())
    kernel = model.get_layer("mapping").kernel
    kernel.assign(np.where(np.arange(64)[:, None] == 5, 0, kernel.numpy()))
    equalize(model)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
