"""Vivid colours: which pictures get them, and what they mend."""

from typing import Any

import numpy as np
import pytest
import skimage.data
import tf_keras

from octopix.runtime import open_session
from quantize import corrections
from quantize.colours import LUMA, SHARE, partly_vivid, vivid
from quantize.export import to_float32


def test_every_so_manyth_picture_comes_once_more(photographs: list[Any]) -> None:
    coloured = [np.uint8(255 * each * (1, 0.8, 0.6)) for each in photographs] * SHARE
    found = vivid(coloured)
    assert len(found) == len(photographs)
    for one, other in zip(found, coloured[::SHARE], strict=True):
        assert one.dtype == np.uint8
        assert np.ptp(one, axis=-1).mean() > np.ptp(other, axis=-1).mean()


def test_luma_stays_where_bytes_hold_the_colour() -> None:
    picture = np.full((1, 4, 4, 3), (110, 120, 130), np.uint8)
    (found,) = vivid([picture])
    assert np.ptp(found) == pytest.approx(60, abs=1)  # three times 20, rounded
    assert np.allclose(found @ LUMA, picture @ LUMA, atol=0.5)  # rounded to bytes


def test_grey_stays_grey() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert vivid([ramp]) == ()
    assert np.array_equal(partly_vivid(ramp), ramp)
    grey = np.repeat(ramp, 3, axis=3)
    assert np.abs(vivid([grey])[0].astype(int) - grey).max() <= 1  # rounding


def test_a_batch_keeps_its_other_pictures() -> None:
    batch = np.random.default_rng(0).integers(0, 256, (SHARE + 1, 8, 8, 3), np.uint8)
    found = partly_vivid(batch)
    changed = [not np.array_equal(one, other) for one, other in zip(found, batch, strict=True)]
    assert changed == [True, *[False] * (SHARE - 1), True]


def test_pictures_are_counted_from_batch_to_batch() -> None:
    batches = np.random.default_rng(0).integers(0, 256, (SHARE, 3, 8, 8, 3), np.uint8)
    found = np.concatenate([partly_vivid(batch, seen=3 * number) for number, batch in enumerate(batches)])
    changed = np.flatnonzero(np.any(found != np.concatenate(batches), axis=(1, 2, 3))).tolist()
    assert changed == [0, SHARE, 2 * SHARE]


def test_int8_holds_colours_that_calibration_has_not_seen(corrector_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network that works on differences of colours, calibrated on a pale photograph."""
    photograph = skimage.data.astronaut()
    luma = photograph @ LUMA[:, None]
    pale = np.rint(luma + (photograph - luma) / 3).astype(np.uint8)
    tiles = [tile[None] for row in np.split(pale, 8) for tile in np.split(row, 8, axis=1)]

    def error() -> float:
        int8 = corrector_of(_by_differences(), tiles).start.int8
        return float(np.mean(np.square(open_session(int8).invoke(photograph[None]).astype(int) - photograph)))

    held = error()
    monkeypatch.setattr(corrections, "vivid", lambda pictures: ())
    assert (
        held < error() / 10
    )  # the photograph is as vivid as what is made of the pale one; clipped at a third, it is far off


def _by_differences() -> bytes:
    """A network that gives the image back: G, and R and B as G plus what they are more, less what they are less."""
    layers, image = tf_keras.layers, tf_keras.Input((None, None, 3), name="image")
    apart = layers.Conv2D(4, 1, activation="relu", use_bias=False, name="apart")
    together = layers.Conv2D(3, 1, use_bias=False, name="together")
    green = layers.Conv2D(3, 1, use_bias=False, name="green")
    model = tf_keras.Model(image, layers.Add(name="sum")([together(apart(image)), green(image)]))
    more_red, more_blue = np.float32([1, -1, 0]), np.float32([0, -1, 1])
    apart.set_weights([np.stack([more_red, -more_red, more_blue, -more_blue], axis=1)[None, None]])
    together.set_weights([np.float32([[1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1]])[None, None]])
    green.set_weights([np.float32([[0, 0, 0], [1, 1, 1], [0, 0, 0]])[None, None]])
    return to_float32(model, height=64, width=64)
