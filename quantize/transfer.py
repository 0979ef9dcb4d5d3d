"""Corrected constants of a float ``.tflite`` carried back into the Keras model it was exported from.

Keras and TFLite name things differently, so weights are recognized by their values: the converter only turns kernels
around.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from octopix.graph import read_graph
from quantize.filters import Filter, filters

Array = npt.NDArray[Any]

BIASED = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D)
"""Layers whose last variable is the bias, if there is one; so it is in Conv2DTranspose, which is not corrected."""


def transferred(model: tf_keras.Model, separated_model: bytes, constants: Mapping[int, Array]) -> tf_keras.Model | None:
    """A copy of ``model`` that holds ``constants``. Convolutions without a bias get one.

    Args:
        model: the float Keras model.
        separated_model: its export, through `quantize.filters.separated`.
        constants: float32 arrays by tensor number of ``separated_model``.

    Returns:
        None where the Keras model has no such kernel, because the converter joined it with something, or a layer of
        another kind lacks a bias that is wanted.
    """
    copy = _with_biases(model)
    biases = _biases(copy)
    kernels = [(weight, weight.numpy()) for weight in copy.weights if len(weight.shape) == 4]
    for each in filters(read_graph(separated_model)):
        found = next((pair for pair in kernels if np.array_equal(_as_tflite(pair[1], each), each.weights)), None)
        if found is None:
            return None
        kernels = [pair for pair in kernels if pair is not found]
        weights, bias = (constants.get(index) for index in each.operator.inputs[1:3])
        if weights is not None:
            found[0].assign(_as_keras(weights, found[0].shape, each))
        if bias is not None and bias.any():
            if id(found[0]) not in biases:
                return None
            biases[id(found[0])].assign(bias)
    return copy


def _with_biases(model: tf_keras.Model) -> tf_keras.Model:
    """A copy in which every convolution has a bias: zero where there was none."""

    def cloned(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, BIASED) and not isinstance(layer, tf_keras.layers.Conv2DTranspose):
            config["use_bias"] = True
        return type(layer).from_config(config)

    copy = tf_keras.models.clone_model(model, clone_function=cloned)
    for old, new in zip(model.layers, copy.layers, strict=True):
        values = old.get_weights()
        new.set_weights([*values, *(weight.numpy() for weight in new.weights[len(values) :])])
    return copy


def _biases(model: tf_keras.Model) -> dict[int, Any]:
    """A kernel's bias by the kernel's identity: of several kernels in a layer, the last has it."""
    found = {}
    for layer in model.layers:
        kernels = [weight for weight in layer.weights if len(weight.shape) == 4]
        if kernels and getattr(layer, "use_bias", False):
            found[id(kernels[-1])] = layer.bias
    return found


def _as_tflite(kernel: Array, each: Filter) -> Array:
    """A Keras kernel (height, width, inputs, outputs) in TFLite's order."""
    if each.depthwise:
        return kernel.reshape(1, *kernel.shape[:2], -1)
    return kernel.transpose(3, 0, 1, 2)


def _as_keras(weights: Array, shape: Any, each: Filter) -> Array:
    return weights.reshape(shape) if each.depthwise else weights.transpose(1, 2, 3, 0)
