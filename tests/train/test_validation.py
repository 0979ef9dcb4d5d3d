"""The number checkpoints are chosen by, on pairs that would spoil it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.errors import DataError
from train.validation import Validator

SCALE = 4


def doubled(image):
    return image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


@pytest.fixture
def nearest():
    """Restores `exact` without an error."""
    image = tf_keras.Input((None, None, 1))
    return tf_keras.Model(image, tf_keras.layers.UpSampling2D(SCALE)(image))


@pytest.fixture
def exact():
    lr = np.random.default_rng(0).integers(0, 256, (6, 8, 1), dtype=np.uint8)
    return lr, doubled(lr)


def off_by(pair, difference):
    lr, hr = pair
    return lr, np.where(hr < 128, hr + difference, hr - difference).astype(np.uint8)


def test_an_exact_image_leaves_the_mean_finite_and_the_others_counting(nearest, exact):
    better, worse = (Validator(nearest, [exact, off_by(exact, each)], scale=SCALE).psnr() for each in (1, 2))
    assert np.isfinite(better)
    assert better > worse
    assert Validator(nearest, [exact], scale=SCALE).psnr() > better


def test_pairs_without_detail_are_left_out(nearest, exact):
    pair = off_by(exact, 3)
    flat = np.full((6, 8, 1), 90, np.uint8)
    tiny = exact[0][:2, :2]
    spoilt = [(flat, doubled(flat)), pair, (tiny, doubled(tiny))]
    assert Validator(nearest, spoilt, scale=SCALE).psnr() == Validator(nearest, [pair], scale=SCALE).psnr()
    with pytest.raises(DataError, match="got 2 flat or smaller ones"):
        Validator(nearest, spoilt[::2], scale=SCALE)


def test_networks_of_whole_blocks_meet_odd_sizes_padded_and_are_judged_on_what_is_there(nearest, exact):
    image = tf_keras.Input((None, None, 1))
    blocks = tf_keras.layers.Lambda(lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 4), 4))  # needs multiples
    picky = tf_keras.Model(image, nearest(blocks(image)))
    odd = off_by((exact[0][:5, :7], exact[1][: 5 * SCALE, : 7 * SCALE]), 3)
    value = Validator(picky, [odd], scale=SCALE, multiple_of=4).psnr()
    assert value == Validator(nearest, [odd], scale=SCALE).psnr()
