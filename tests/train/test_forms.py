"""The form a network trains in computes what the network that ships computes."""

import numpy as np
import pytest
import tf_keras

from octopix.errors import ConfigError
from train.forms import collapsed, deployable, trainable, variables
from train.models import find_model
from train.warm_start import start_from

SPEC = find_model("espcn_x4")


def image(depth=1):
    return np.random.default_rng(0).random((1, 9, 11, depth), dtype=np.float32)


def deployed(models, specs):
    """The plain networks, with the weights that ``models`` collapse to."""
    plain = deployable(specs)
    weights = collapsed(models)
    for name, variable in variables(plain).items():
        variable.assign(weights[name])
    return plain


def test_an_expanded_model_computes_what_its_collapsed_kernels_compute(recipe):
    (wide,) = trainable([SPEC], recipe.model_copy(update={"expansion": 256}))
    (plain,) = deployed([wide], [SPEC])
    # The same kernels through the same convolution: only the order of bias and sum may differ, by float32's 1e-7.
    assert np.abs(wide(image()) - plain(image())).max() < 1e-6
    assert sum(np.size(weight) for weight in wide.weights) > sum(np.size(weight) for weight in plain.weights)


def test_a_normalized_model_computes_what_its_folded_kernels_compute(recipe):
    (wide,) = trainable([SPEC], recipe.model_copy(update={"expansion": 0, "normalized": "mapping"}))
    random = np.random.default_rng(1)
    for _ in range(3):  # statistics, factors and shifts that are not those of the start
        wide(10 * image(), training=True)
    for weight in (wide.get_layer("mapping").gamma, wide.get_layer("mapping").beta):
        weight.assign(random.uniform(0.5, 2, weight.shape))
    (plain,) = deployed([wide], [SPEC])
    mine, theirs = wide(image()).numpy(), plain(image()).numpy()
    # Scaled before the sum of 576 products instead of after it: a few float32 roundings of the largest output.
    assert np.abs(mine - theirs).max() < 1e-5 * np.abs(theirs).max()
    assert [type(layer).__name__ for layer in plain.layers if layer.weights] == ["Conv2D"] * 3
    assert np.abs(wide(image(), training=True) - mine).max() > 1e-2  # by the batch's own statistics


def test_normalization_brings_each_channel_to_mean_0_and_its_initializers_strength(recipe):
    for prefix, strength in (("features", 1.0), ("subpixels", 0.8)):
        (wide,) = trainable([SPEC], recipe.model_copy(update={"expansion": 0, "normalized": prefix}))
        layer = wide.get_layer(prefix)
        seen = 5 + 3 * np.random.default_rng(2).standard_normal((4, 16, 16, layer.kernel_shape[2]), np.float32)
        layer.activation = tf_keras.activations.linear
        output = layer(seen, training=True).numpy()
        # Variances of a few thousand samples plus 1e-5; Glorot's kernel (sub-pixels) has 0.76 of He's deviation.
        assert np.abs(output.mean(axis=(0, 1, 2))).max() < 1e-4
        assert output.std() == pytest.approx(strength, rel=0.1)


def test_what_cannot_be_normalized_is_refused(recipe):
    for name, prefix, complaint in (
        ("espcn_x4", "block", "got espcn_x4, which has none; correct `normalized`"),
        ("lesrcnn_x2", "conv2", "got conv2 without"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            trainable([find_model(name)], recipe.model_copy(update={"expansion": 0, "normalized": prefix}))
    given = {"features/kernel:0": np.zeros((5, 5, 1, 64), np.float32)}
    models = trainable([SPEC], recipe.model_copy(update={"expansion": 0, "normalized": "features"}))
    with pytest.raises(ConfigError, match="leave `start` or `normalized` out"):
        start_from(models, given, "espcn_x4")


@pytest.mark.parametrize("expansion", [0, 64])
def test_a_start_fills_what_has_the_same_name_and_shape(recipe, expansion):
    (given,) = deployable([find_model("espcn_x3")])
    arrays = {weight.name: weight.numpy() + np.float32(0.1) for weight in given.weights}
    models = trainable([SPEC], recipe.model_copy(update={"expansion": expansion}))
    before = {name: value.numpy() for name, value in collapsed(models).items()}
    assert start_from(models, arrays, "espcn_x3") == 4
    after = collapsed(models)
    for name, value in after.items():
        alike = not name.startswith("subpixels")  # 16 sub-pixels instead of 9
        # Factors of float32, of a kernel below 1: the product is exact to a few of its roundings.
        assert np.abs(value - (arrays if alike else before)[name]).max() < 1e-6
    if expansion:  # and what lies beyond the kernel's rank goes on learning
        assert np.abs(models[0].get_layer("subpixels").expand).min() > 0


def test_an_expansion_too_narrow_for_given_kernels_is_refused(recipe):
    (given,) = deployable([SPEC])
    arrays = {weight.name: weight.numpy() for weight in given.weights}
    with pytest.raises(ConfigError, match=r"an expansion of at least 25, for features .* got 8"):
        start_from(trainable([SPEC], recipe), arrays, "espcn_x4")


def test_a_start_without_anything_that_fits_is_refused(recipe):
    with pytest.raises(ConfigError, match=r"got other\.safetensors, which has none; correct `start`"):
        start_from(trainable([SPEC], recipe), {"features/kernel:0": np.zeros((1, 1), np.float32)}, "other.safetensors")
