"""Small networks that a GPU does or does not run, and an environment without a GPU."""

from collections.abc import Callable, Mapping

import tensorflow as tf

NO_DRIVER = {"VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent"}


def shuffle(image: tf.Tensor) -> tf.Tensor:
    """The pixel shuffle as people write it by hand."""
    parts = tf.transpose(tf.reshape(image, (1, 8, 8, 2, 2, 1)), (0, 1, 3, 2, 4, 5))
    return tf.reshape(parts, (1, 16, 16, 1))


NETWORKS: Mapping[str, tuple[Callable[[tf.Tensor], tf.Tensor], list[tuple[str, str]]]] = {
    "shuffle": (shuffle, [("RESHAPE", "refused"), ("TRANSPOSE", "refused"), ("RESHAPE", "refused")]),
    "shuffle, as one operator": (lambda image: tf.nn.depth_to_space(image, 2), []),
    "first channel": (lambda image: image[..., 0], [("STRIDED_SLICE", "refused")]),
    "first channel, kept": (lambda image: image[..., 0:1], []),
    "backwards": (lambda image: image[:, ::-1], [("STRIDED_SLICE", "refused")]),
    "symmetric": (
        lambda image: tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC"),
        [("MIRROR_PAD", "refused")],
    ),
    "reflected": (lambda image: tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), []),
    "groups": (lambda image: tf.nn.conv2d(image, tf.ones((3, 3, 2, 4)), 1, "SAME"), [("CONV_2D", "wrong")]),
    "halves": (lambda image: tf.add(*tf.split(image, 2, 3)), [("ADD", "wrong")]),
    "with itself": (
        lambda image: tf.matmul(tf.reshape(image, (1, 64, 4)), tf.reshape(image, (1, 64, 4)), transpose_b=True),
        [("BATCH_MATMUL", "fatal")],
    ),
}


def network(name: str) -> bytes:
    """One of the networks, for (1, 8, 8, 4)."""
    function = tf.function(NETWORKS[name][0]).get_concrete_function(tf.TensorSpec((1, 8, 8, 4), tf.float32))
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
