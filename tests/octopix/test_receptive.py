"""Receptive field, strides and scale from the graph, against what lights up when single pixels are lit."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.errors import ModelFileError
from octopix.graph import read_graph
from octopix.receptive import geometry, receptive_field
from octopix.runtime import Session, open_session

layers = tf_keras.layers
SIDE = 48
"""Pixels a side of the pictures: a multiple of all strides below, and larger than all receptive fields."""


def conv(filters=2, side=3, **options):
    return layers.Conv2D(filters, side, padding=options.pop("padding", "same"), **options)


def up(side, stride, padding="same"):
    return layers.Conv2DTranspose(2, side, strides=stride, padding=padding)


def shuffle(block):
    return layers.Lambda(lambda x: tf.nn.depth_to_space(x, block))


def unshuffle(block):
    return layers.Lambda(lambda x: tf.nn.space_to_depth(x, block))


def chain(*parts):
    def network(x):
        for part in parts:
            x = part(x)
        return x

    return network


def branches(x):
    """Two ways at half size, of which the second looks further and lies off-centre; a third at full size."""
    half = conv(strides=2)(x)
    left = conv(2, 5)(half)
    right = conv(2, (1, 7))(conv(2, 4)(half))
    return layers.Concatenate()([up(2, 2)(left + right), conv(2, 5, dilation_rate=2)(x)])


def unet(x):
    full = conv()(x)
    half = conv()(layers.MaxPool2D(2)(full))
    quarter = conv()(layers.AveragePooling2D(3, strides=2, padding="same")(half))
    half = layers.Concatenate()([layers.UpSampling2D(2, interpolation="bilinear")(quarter), half])
    return layers.Concatenate()([up(4, 2)(conv()(half)), full])


NETWORKS = {
    # network, total stride, scale
    "espcn": (chain(conv(4, 5), conv(4), conv(16), shuffle(4)), 1, 4),
    "srcnn-unpadded": (chain(conv(4, 9, padding="valid"), conv(4, 1), conv(1, 5, padding="valid")), 1, 1),
    "rectangle": (chain(conv(2, (3, 7)), conv(2, (5, 1))), 1, 1),
    "even-kernels": (chain(conv(2, 4), conv(2, 2)), 1, 1),
    "dilated": (chain(conv(2, 3, dilation_rate=2), conv(2, 3, dilation_rate=(1, 4))), 1, 1),
    "depthwise": (chain(layers.DepthwiseConv2D(5, padding="same"), conv(2, 1)), 1, 1),
    "strided": (chain(conv(strides=2), conv(2, 5), conv(strides=3)), 6, Fraction(1, 6)),
    "stride-larger-than-kernel": (chain(conv(2, 1, strides=2), conv()), 2, Fraction(1, 2)),
    "down-up": (chain(conv(strides=2), conv(), up(4, 2)), 2, 1),
    "transposed": (chain(conv(), up(5, 3)), 1, 3),
    "transposed-first": (chain(up(4, 2), conv()), 1, 2),
    "transposed-unpadded": (chain(up(3, 2, "valid"), conv()), 1, 2),
    "transposed-with-gaps": (chain(conv(), up(1, 2)), 1, 2),
    "shuffled": (chain(conv(8), shuffle(2), conv(8), shuffle(2), conv()), 1, 4),
    "unshuffled": (chain(unshuffle(2), conv(), conv(4), shuffle(2)), 2, 1),
    "pools": (
        chain(layers.MaxPool2D(3, strides=2, padding="same"), layers.AveragePooling2D(2), conv()),
        4,
        Fraction(1, 4),
    ),
    "bilinear": (chain(conv(), layers.UpSampling2D(2, interpolation="bilinear"), conv()), 1, 2),
    "nearest": (chain(layers.UpSampling2D(3), conv()), 1, 3),
    "padded": (chain(layers.ZeroPadding2D(((3, 1), (2, 0))), conv(2, 5, padding="valid"), layers.Cropping2D(1)), 1, 1),
    "branches": (branches, 2, 1),
    "unet": (unet, 4, 1),
}


def build(network, channels=2) -> tf_keras.Model:
    """With positive weights and no bias: a lit pixel lights all outputs that depend on it, and they stay dark else."""
    image = tf_keras.Input((None, None, channels))
    model = tf_keras.Model(image, network(image))
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1, each.shape) * (each.ndim > 1) for each in model.get_weights()])
    return model


def reach(session: Session, axis: int) -> int:
    """Most input positions, from first to last along an axis, that one output position depends on."""
    depends = []
    for position in range(SIDE):
        image = np.zeros((1, SIDE, SIDE, 2), np.float32)
        image[0, *((position, SIDE // 2) if axis == 1 else (SIDE // 2, position))] = 1
        (output,) = session.run([image])
        depends.append(output.any(axis=(0, 3 - axis, 3)))
    inputs = [np.flatnonzero(column) for column in np.array(depends).T]
    return max(each[-1] - each[0] + 1 for each in inputs if each.size)


@pytest.mark.parametrize("name", NETWORKS)
def test_geometry_is_what_pixels_show(name, to_tflite):
    network, multiple_of, scale = NETWORKS[name]
    model = build(network)
    fixed, free = to_tflite(model, size=(SIDE, SIDE)), to_tflite(model)
    session = open_session(fixed)

    found = geometry(read_graph(fixed))

    assert found.receptive_field == max(reach(session, 1), reach(session, 2))
    assert (found.multiple_of, found.scale) == (multiple_of, scale)
    assert geometry(read_graph(free)) == found


def test_espcn_looks_at_nine_pixels(to_tflite):
    """5 + (3 − 1) + (3 − 1)."""
    assert receptive_field(read_graph(to_tflite(build(NETWORKS["espcn"][0])))) == 9


def test_int8_looks_as_far_as_float(to_tflite):
    contents = [to_tflite(build(unet), size=(SIDE, SIDE), int8=int8) for int8 in (False, True)]

    assert geometry(read_graph(contents[0])) == geometry(read_graph(contents[1]))


def gated(x):
    """Squeeze and excitation: each channel times a function of its mean."""
    return x * layers.Dense(2, activation="sigmoid")(tf.reduce_mean(x, axis=(1, 2), keepdims=True))


@pytest.mark.parametrize(
    ("network", "scale", "culprit"),
    [
        (chain(conv(strides=2), gated, up(2, 2)), 1, "MEAN"),
        (chain(conv(), layers.GlobalAveragePooling2D(), layers.Dense(3)), None, "MEAN"),
        (chain(conv(), layers.Lambda(lambda x: tf.reverse(x, axis=[1]))), None, "REVERSE_V2"),
        (chain(conv(), layers.Lambda(lambda x: tf.image.resize(x, (64, 64)))), None, "RESIZE_BILINEAR"),
    ],
    ids=["gate", "classifier", "mirror", "fixed-size"],
)
def test_what_has_no_bound_is_said_and_by_which_operator(network, scale, culprit, to_tflite):
    size = (SIDE, SIDE) if culprit == "REVERSE_V2" else (None, None)
    graph = read_graph(to_tflite(build(network), size=size))
    found = geometry(graph)

    assert (found.receptive_field, found.scale) == (None, scale)
    assert found.unbounded_by.startswith(culprit)
    with pytest.raises(ModelFileError, match=f"whole picture in {culprit}"):
        receptive_field(graph)


def test_two_inputs_are_refused(to_tflite):
    images = [tf_keras.Input((8, 8, 1)), tf_keras.Input((8, 8, 1))]
    model = tf_keras.Model(images, images[0] + images[1])
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()

    with pytest.raises(ModelFileError, match="expected one input"):
        geometry(read_graph(bytes(content)))
