"""Networks and pictures that the tests of `quantize` share."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import skimage.data

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIDE = 64


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """Eight float32 (1, 64, 64, 1) crops of a photograph in [0, 1]."""
    camera = skimage.data.camera()
    crops = [camera[top : top + SIDE, top : top + SIDE] for top in range(0, 512, SIDE)]
    return [(crop / 255).astype(np.float32)[None, ..., None] for crop in crops]


def _espcn(keras: Any) -> Any:
    from train.models.espcn import build

    return build(scale=4)


def _residual(keras: Any) -> Any:
    """An enhancer: shortcut, PReLU, image added at the end."""
    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    head = layers.Conv2D(8, 3, padding="same", name="head")(image)
    body = layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.2), name="bend")(head)
    body = layers.Conv2D(8, 3, padding="same", name="body")(body)
    body = layers.Add(name="shortcut")([head, body])
    tail = layers.Conv2D(1, 3, padding="same", name="tail")(body)
    return keras.Model(image, layers.Add(name="restored")([image, tail]))


def _separable(keras: Any) -> Any:
    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    x = layers.SeparableConv2D(8, 3, padding="same", activation="relu", name="first")(image)
    x = layers.DepthwiseConv2D(3, padding="same", name="second")(x)
    return keras.Model(image, layers.Conv2D(1, 1, name="last")(layers.LeakyReLU(0.1, name="leak")(x)))


def _hourglass(keras: Any) -> Any:
    """A small U-Net: down, up by a transposed convolution, joined."""
    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    head = layers.Conv2D(4, 3, padding="same", activation="relu", name="head")(image)
    down = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="down")(head)
    up = layers.Conv2DTranspose(4, 2, strides=2, name="up")(down)
    joined = layers.Concatenate(name="joined")([head, up])
    return keras.Model(image, layers.Conv2D(1, 3, padding="same", name="last")(joined))


def _grouped(keras: Any) -> Any:
    """Each output of the middle convolution sees half of the channels."""
    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    head = layers.Conv2D(8, 3, padding="same", activation="relu", name="head")(image)
    body = layers.Conv2D(8, 3, padding="same", groups=2, activation="relu", name="body")(head)
    return keras.Model(image, layers.Conv2D(1, 3, padding="same", name="last")(body))


def _shared_output(keras: Any) -> Any:
    """The tensor in front of the shuffle is read by a second operator."""
    from train.models.layers import DepthToSpace

    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="subpixels")(image)
    gain = layers.Conv2D(4, 1, activation="relu", name="gain")(x)
    x = layers.Add(name="sum")([x, gain])
    y = DepthToSpace(2, name="shuffle")(x)
    z = layers.Conv2D(4, 1, padding="same", name="side")(x)
    return keras.Model(image, layers.Add(name="both")([y, DepthToSpace(2, name="shuffle_side")(z)]))


def _anchored(keras: Any) -> Any:
    """A correction of the repeated image."""
    from train.models.layers import enlarged_on_anchor

    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="features")(image)
    x = layers.Conv2D(4, 3, padding="same", name="subpixels")(x)
    return keras.Model(image, enlarged_on_anchor(image, x, 2))


def _broadcast(keras: Any) -> Any:
    """One channel is added to eight."""
    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    one = layers.Conv2D(1, 3, padding="same", activation="relu", name="one")(image)
    many = layers.Conv2D(8, 3, padding="same", activation="relu", name="many")(image)
    return keras.Model(image, layers.Conv2D(1, 3, padding="same", name="last")(layers.Add(name="sum")([one, many])))


def _shuffled(keras: Any) -> Any:
    """Channels become pixels in the middle; a convolution reads them on both sides of the shuffle."""
    from train.models.layers import DepthToSpace

    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    x = layers.Conv2D(12, 3, padding="same", name="subpixels")(image)
    fine = layers.PReLU(shared_axes=[1, 2], name="bend")(DepthToSpace(2, name="shuffle")(x))
    fine = layers.Conv2D(1, 3, padding="same", name="last")(fine)
    coarse = DepthToSpace(2, name="shuffle_side")(layers.Conv2D(4, 1, name="side")(x))
    return keras.Model(image, layers.Add(name="both")([fine, coarse]))


def _centred(keras: Any) -> Any:
    """A mean of 107.1 steps of 1/255 is subtracted from the image."""
    from train.models.layers import MeanShift

    layers, image = keras.layers, keras.Input((None, None, 1), name="image")
    x = MeanShift([0.42], name="sub_mean")(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="head")(x)
    return keras.Model(image, layers.Conv2D(1, 3, padding="same", name="last")(x))


BUILDERS: dict[str, Callable[[Any], Any]] = {
    "anchored": _anchored,
    "broadcast": _broadcast,
    "centred": _centred,
    "espcn": _espcn,
    "residual": _residual,
    "separable": _separable,
    "hourglass": _hourglass,
    "grouped": _grouped,
    "shared_output": _shared_output,
    "shuffled": _shuffled,
}


@pytest.fixture(scope="session")
def network() -> Callable[[str], Any]:
    """Keras model by name, with reproducible random weights that keep photographs roughly within [0, 1]."""
    import tf_keras

    made: dict[str, Any] = {}

    def make(name: str) -> Any:
        if name not in made:
            tf_keras.utils.set_random_seed(20261121)
            made[name] = BUILDERS[name](tf_keras)
        return made[name]

    return make


@pytest.fixture(scope="session")
def float_model(network: Callable[[str], Any]) -> Callable[[str], bytes]:
    """The float32 flatbuffer of a network, 64×64 pixels, by name."""
    from quantize.export import to_float32

    made: dict[str, bytes] = {}

    def make(name: str) -> bytes:
        if name not in made:
            made[name] = to_float32(network(name), height=SIDE, width=SIDE)
        return made[name]

    return make


@pytest.fixture(scope="session")
def int8_model(float_model: Callable[[str], bytes], photographs: Sequence[np.ndarray]) -> Callable[[str], bytes]:
    """The full-integer flatbuffer of a network, min-max ranges over the photographs."""
    from quantize.calibrators import CALIBRATORS
    from quantize.ranges import ranges_for, to_int8

    made: dict[str, bytes] = {}

    def make(name: str) -> bytes:
        if name not in made:
            model = float_model(name)
            made[name] = to_int8(model, ranges_for(model, photographs, CALIBRATORS["minmax"]))
        return made[name]

    return make


@pytest.fixture(scope="session")
def corrector_of(photographs: Sequence[np.ndarray]) -> Callable[..., Any]:
    """Corrections of a float flatbuffer by the photographs or by other crops, a quarter of which judges."""
    from quantize.calibrators import CALIBRATORS
    from quantize.corrections import Corrector, Judge

    def make(model: bytes, crops: Sequence[np.ndarray] | None = None, *, calibrator: str = "mse") -> Any:
        chosen = [np.rint(each * 255).astype(np.uint8) for each in photographs] if crops is None else crops
        return Corrector(Judge(model, chosen), CALIBRATORS[calibrator])

    return make


@pytest.fixture
def corrector(float_model: Callable[[str], bytes], corrector_of: Callable[..., Any]) -> Callable[[str], Any]:
    """Corrections of a network by name."""
    return lambda name: corrector_of(float_model(name))


@pytest.fixture(scope="session")
def subject() -> Any:
    """ESPCN ×4 with its committed weights."""
    from quantize.workbench import load_subject

    return load_subject("espcn_x4")
