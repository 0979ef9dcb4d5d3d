"""Tiny networks whose answers are known in advance, as real `.tflite` files with cards, and real pictures."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import skimage

from octopix.card import ModelCard

GAINS = (1.0, 0.5, 0.25)
"""What the RGB network does to red, green and blue: powers of two, exact in int8, and another one for each."""


def _card(**changes: object) -> ModelCard:
    """The card of a luma ×2 network, or what ``changes`` make of it."""
    facts: dict[str, object] = {
        "model": "nearest_x2",
        "scheme": "float32",
        "task": "super-resolution",
        "scale": 2,
        "channels": "y",
        "multiple_of": 1,
        "receptive_field": 1,
    }
    return ModelCard(**(facts | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_card() -> Callable[..., ModelCard]:
    """The card of a luma ×2 network, with whatever facts are changed."""
    return _card


@pytest.fixture(scope="session")
def gains() -> tuple[float, float, float]:
    """What the RGB networks multiply red, green and blue with."""
    return GAINS


@pytest.fixture(scope="session")
def photos() -> Path:
    """Folder of photographs: astronaut.png, chelsea.png, coffee.png, rocket.jpg (RGB) and camera.png (grey)."""
    return Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Name -> file. ``nearest…``: luma ×2, every pixel four times; ``gains…``: RGB ×1, channels times ``gains``;
    ``double``: luma ×1, values doubled; ``even``: luma ×1, identity, takes even sides only; ``bare``: no card;
    ``lying``: ``nearest`` with a card that says ×4; ``sum``: two inputs.
    """
    from quantize.embed import embed_card  # TensorFlow, only where a test needs models

    nearest = _card()
    gains = _card(model="gains", task="enhancement", scale=1, channels="rgb")
    double = _card(model="double", task="enhancement", scale=1)
    cards = {
        "nearest": (nearest, _convert(_nearest, 1)),
        "nearest-uint8": (_card(scheme="int8-ptq-minmax"), _convert(_nearest, 1, ports="uint8")),
        "nearest-int8": (_card(scheme="int8-ptq-minmax"), _convert(_nearest, 1, ports="int8")),
        "gains": (gains, _convert(_gains, 3)),
        "gains-uint8": (gains, _convert(_gains, 3, ports="uint8")),
        "double": (double, _convert(_double, 1)),
        "even": (_card(model="even", task="enhancement", scale=1, multiple_of=2), _convert(_even, 1)),
    }
    cards["lying"] = (_card(scale=4), cards["nearest"][1])
    folder = tmp_path_factory.mktemp("models")
    files = {name: embed_card(content, card) for name, (card, content) in cards.items()}
    files["sum"] = embed_card(_convert(_sum, 1, inputs=2), nearest)
    files["bare"] = cards["nearest"][1]
    for name, content in files.items():
        (folder / f"{name}.tflite").write_bytes(content)
    return {name: folder / f"{name}.tflite" for name in files}


def _nearest(tf, x):  # type: ignore[no-untyped-def]
    return tf.nn.depth_to_space(tf.nn.conv2d(x, tf.ones((1, 1, 1, 4)), 1, "SAME"), 2)


def _gains(tf, x):  # type: ignore[no-untyped-def]
    return tf.nn.conv2d(x, tf.constant(np.diag(GAINS)[None, None], tf.float32), 1, "SAME")


def _double(tf, x):  # type: ignore[no-untyped-def]
    return tf.nn.conv2d(x, tf.constant(2.0, shape=(1, 1, 1, 1)), 1, "SAME")


def _even(tf, x):  # type: ignore[no-untyped-def]
    return tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), 2)


def _sum(tf, x, y):  # type: ignore[no-untyped-def]
    return x + y


def _convert(network, channels: int, *, ports: str = "float32", inputs: int = 1) -> bytes:  # type: ignore[no-untyped-def]
    """A float model, or a full-integer one with ``ports`` (uint8 or int8) as input and output type."""
    import tensorflow as tf

    signature = tf.TensorSpec((1, 16, 16, channels), tf.float32)
    function = tf.function(lambda *values: network(tf, *values)).get_concrete_function(*[signature] * inputs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if ports != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _range(channels)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(ports)
    return bytes(converter.convert())


def _range(channels: int) -> Iterator[list[np.ndarray]]:
    """One image that holds 0 and 1, so that input and output get scale 1/255 and 8-bit values are exact."""
    ramp = np.linspace(0, 1, 16 * 16, dtype=np.float32).reshape(1, 16, 16, 1)
    yield [np.repeat(ramp, channels, axis=3)]
