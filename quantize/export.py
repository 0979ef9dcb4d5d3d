"""From a Keras model to a float ``.tflite`` of one static shape, and to its float16 and dynamic-range relatives.

No clip is added: int8 models saturate at the ends of [0, 1] anyway (see `quantize.ranges`), and `octopix.Restorer`
clips float outputs. A clip operator would be two more passes over the high-resolution frame.
"""

import numpy as np
import tensorflow as tf
import tf_keras

from octopix.errors import ModelFileError
from quantize.mlir import ConverterError

SIDE = 128
"""Height and width the graph is exported with; interpreters may resize it."""

INPUT_NAME = "image"


def to_float32(model: tf_keras.Model, *, height: int = SIDE, width: int = SIDE) -> bytes:
    """The float model as a flatbuffer.

    Args:
        model: one input (B, H, W, C) in [0, 1], one output.
        height, width: the static input size, 1×height×width×C.

    Raises:
        ModelFileError: a weight is NaN or infinite (the message names it), or TensorFlow cannot convert an operator.
    """
    return _convert(_converter(model, height, width))


def to_float16(model: tf_keras.Model, *, height: int = SIDE, width: int = SIDE) -> bytes:
    """Weights in float16, widened when the model is loaded; input, output and arithmetic stay float32.

    Raises:
        ModelFileError: as `to_float32`.
    """
    converter = _converter(model, height, width)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _convert(converter)


def to_dynamic(model: tf_keras.Model, *, height: int = SIDE, width: int = SIDE) -> bytes:
    """Weights in int8; activations are quantized on the fly where the runtime can, input and output stay float32.

    Raises:
        ModelFileError: as `to_float32`.
    """
    converter = _converter(model, height, width)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _convert(converter)


def _converter(model: tf_keras.Model, height: int, width: int) -> tf.lite.TFLiteConverter:
    """A converter of the model's inference function.

    The function's owner is a bare module with the variables, not the Keras model: the result is the same to the
    byte, but the SavedModel that the converter writes on its way holds no Keras objects and is made in half the time.
    """
    _check_weights(model)
    function = tf.function(lambda image: model(image, training=False))
    shape = (1, height, width, model.input_shape[-1])
    concrete = function.get_concrete_function(tf.TensorSpec(shape, tf.float32, name=INPUT_NAME))
    owner = tf.Module()
    owner.variables_of_model = model.variables
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], owner)


def _convert(converter: tf.lite.TFLiteConverter) -> bytes:
    try:
        return bytes(converter.convert())
    except (ConverterError, tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ModelFileError(
            expected="a Keras model made of operators that TFLite has",
            got=" ".join(str(error).split()),
            do="replace the operator that TensorFlow names",
        ) from error


def _check_weights(model: tf_keras.Model) -> None:
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            raise ModelFileError(
                expected=f"finite weights in {model.name}",
                got=f"NaN or infinity in {weight.name}",
                do="go back to the last good checkpoint, or train again with a smaller learning rate",
            )
