"""ImageNet's encoder in our form: the same features as the published graph's."""

import numpy as np
import pytest
import tf_keras

from octopix.errors import DataError
from train.imagenet import folded, imagenet_weights
from train.models import find_model
from train.warm_start import IMAGENET, start_from, started


def encoder_like_published():
    """ResNet-50 of tf_keras.applications with statistics and slopes that folding cannot ignore."""
    encoder, random = tf_keras.applications.ResNet50(include_top=False, weights=None), np.random.default_rng(0)
    for layer in encoder.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (random.uniform(0.1, 0.5, each.shape) for each in layer.weights)
            layer.set_weights([gamma, beta, mean, variance + 0.5])
    return encoder


def test_folded_encoder_gives_the_published_features():
    published, ours = encoder_like_published(), find_model("resnet50_x4").build()
    arrays = folded(published)
    assert start_from([ours], arrays, "an encoder") == len(arrays)  # each of its layers has a place in ours
    picture = np.random.default_rng(0).random((1, 64, 64, 3), dtype=np.float32)
    features = tf_keras.Model(ours.input, ours.get_layer("conv5_block3_out").output)(picture).numpy()
    wanted = published(tf_keras.applications.resnet.preprocess_input(picture * 255)).numpy()
    # float32 sums over 53 layers, relative to the largest feature; a wrong channel order differs by 1e-1.
    assert np.abs(features - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_without_a_network_the_error_says_what_else_to_do(monkeypatch):
    def offline(**_):
        raise Exception("URL fetch failure on https://example.org/resnet50.h5: None -- timed out")  # as Keras does

    monkeypatch.setattr(tf_keras.applications, "ResNet50", offline)
    with pytest.raises(DataError, match="start from random weights"):
        imagenet_weights()
    slim = find_model("resnet50_x4").slim()
    before = slim.get_weights()
    assert "stay random: URL fetch failure" in started([slim], IMAGENET)
    assert all(np.array_equal(old, new) for old, new in zip(before, slim.get_weights(), strict=True))
