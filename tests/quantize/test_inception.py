"""The feature network of FID: what is written, and what is said where Keras' weights cannot be had."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras

from octopix.errors import DataError
from octopix.runtime import open_session
from quantize.__main__ import main
from quantize.inception import export_inception


def _narrow(**options: Any) -> tf_keras.Model:
    """A network with Inception's ports, and seven features in place of 2048."""
    image = tf_keras.Input(options["input_shape"])
    maps = tf_keras.layers.Conv2D(7, 3, strides=16)(image)
    return tf_keras.Model(image, tf_keras.layers.GlobalAveragePooling2D()(maps))


def _offline(**options: Any) -> tf_keras.Model:
    """What Keras does where its server cannot be reached: it raises a bare Exception."""
    raise Exception("URL fetch failure on https://example.org/notop.h5: None -- [Errno -2]")


@pytest.fixture
def inception_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    return lambda stand_in: monkeypatch.setattr(tf_keras.applications, "InceptionV3", stand_in)


def test_the_file_takes_one_picture_and_gives_its_features(
    inception_is: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inception_is(_narrow)
    out = tmp_path / "new" / "inception.tflite"
    assert main(["inception", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    session = open_session(out)
    assert (session.input_shape, session.input_dtype) == ((1, 299, 299, 3), np.float32)
    assert session.invoke(np.zeros((1, 299, 299, 3), np.float32)).shape == (1, 7)


def test_offline_the_way_round_is_named_and_nothing_written(inception_is: Callable[..., None], tmp_path: Path) -> None:
    inception_is(_offline)
    with pytest.raises(DataError, match=r"URL fetch failure.*connect to the network once, or give --weights"):
        export_inception(tmp_path / "inception.tflite")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.h5, got no such file"):
        export_inception(tmp_path / "inception.tflite", tmp_path / "none.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_weights_of_no_network_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(DataError, match=r"from .*text\.h5"):
        export_inception(tmp_path / "inception.tflite", tmp_path / "text.h5")
    assert not (tmp_path / "inception.tflite").exists()


@pytest.mark.slow
def test_the_real_network_gives_keras_features(tmp_path: Path) -> None:
    """Inception v3 itself, with random weights in a file like the one Keras publishes."""
    network = tf_keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(299, 299, 3), pooling="avg"
    )
    random = np.random.default_rng(0)
    for norm in (layer for layer in network.layers if isinstance(layer, tf_keras.layers.BatchNormalization)):
        norm.moving_variance.assign(random.uniform(0.01, 0.02, norm.moving_variance.shape))  # features near 1, not 1e-4
    network.save_weights(tmp_path / "weights.h5")
    export_inception(tmp_path / "inception.tflite", tmp_path / "weights.h5")
    picture = random.uniform(-1, 1, (1, 299, 299, 3)).astype(np.float32)
    features = open_session(tmp_path / "inception.tflite").invoke(picture)
    expected = network(picture, training=False).numpy()
    assert features.shape == (1, 2048)
    # float32 through 94 convolutions, each normalization folded into its convolution: some 1e-5 of the largest.
    np.testing.assert_allclose(features, expected, atol=1e-4 * float(np.abs(expected).max()))
