"""The pieces that tensorflow-model-optimization is given: what to quantize in each layer, from which range on.

tfmot's own defaults start every activation at [-6, 6] and move slowly; a restoration network lives in ±0.5 and would
train for thousands of steps on a handful of levels. Here a range starts where calibration found it, and the gradient
moves it. tfmot's layout transforms are left out: the trained weights go back into the float model, and the graph that
ships comes from the same exporter as every other scheme's.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from quantize.calibrators import Range

keras_api = tfmot.quantization.keras
KERNELS = ("kernel", "depthwise_kernel")
"""Attributes that hold a layer's multiplied weights. Biases stay as they are: int32 is exact enough."""

Learned = Literal["kernel", "range", "other"]
"""Kinds of trained variables; the others are biases and the slopes of PReLU."""

SMALLEST = 1e-12
"""Keeps the scale of an all-zero channel from being zero."""

ACTIVATION_LEVELS = 255.0
"""Steps between the smallest and the largest of 8 bits."""

WEIGHT_LEVELS = 127
"""TFLite's int8 weights are symmetric and narrow: -127..127."""


class ChannelQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Weights rounded to int8 per output channel, scale max|w| / 127: exactly what the converter will do.

    The gradient passes straight through the rounding. Nothing saturates, so nothing else stops it.
    """

    def __init__(self, *, depthwise: bool) -> None:
        self.depthwise = depthwise

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """No state: the scale follows the weights."""
        return {}

    def __call__(self, inputs: tf.Tensor, training: Any, weights: Mapping[str, tf.Variable], **_: Any) -> tf.Tensor:
        """Round ``inputs``, a kernel whose last axis (depthwise: last two) counts output channels."""
        axes = (0, 1) if self.depthwise else tuple(range(len(inputs.shape) - 1))
        limit = tf.reduce_max(tf.abs(inputs), axis=axes, keepdims=True)
        scale = tf.stop_gradient(tf.maximum(limit, SMALLEST) / WEIGHT_LEVELS)
        return inputs + tf.stop_gradient(tf.round(inputs / scale) * scale - inputs)

    def get_config(self) -> dict[str, Any]:
        """For tfmot's serialisation."""
        return {"depthwise": self.depthwise}


class RangeQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Activations rounded to 8 bits over [lo, hi], which starts calibrated and is learned unless frozen.

    Args:
        bounds: where to start.
        learned: False keeps the range, as for the output, whose [0, 1] is the image itself.
    """

    def __init__(self, bounds: Range, *, learned: bool) -> None:
        self.bounds = (float(bounds[0]), float(bounds[1]))
        self.learned = learned

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Logarithms of what each end is multiplied by. An end at exactly 0 (after a ReLU) stays: nothing is below it.

        So an end never crosses zero, and small ranges learn as fast as large ones.
        """
        return {
            key: layer.add_weight(
                name=f"{name}_{key}", initializer="zeros", trainable=self.learned and start != 0, dtype=tf.float32
            )
            for key, start in zip(("lo", "hi"), self.bounds, strict=True)
        }

    def __call__(self, inputs: tf.Tensor, training: Any, weights: Mapping[str, tf.Variable], **_: Any) -> tf.Tensor:
        """Round ``inputs`` to 256 levels, zero being one of them; beyond the range they saturate.

        The gradient passes through the rounding, so an end of the range is drawn outwards by what saturates, and
        inwards by what finer steps would win (Esser et al., "Learned Step Size Quantization", ICLR 2020).
        TensorFlow's own operator knows the first alone: with it, ranges never shrink.
        """
        lo, hi = (start * tf.exp(weights[key]) for key, start in zip(("lo", "hi"), self.bounds, strict=True))
        scale = (hi - lo) / ACTIVATION_LEVELS
        zero = tf.stop_gradient(tf.round(-lo / scale))
        levels = inputs / scale
        levels += tf.stop_gradient(tf.round(levels) - levels)
        return (tf.clip_by_value(levels + zero, 0.0, ACTIVATION_LEVELS) - zero) * scale

    def get_config(self) -> dict[str, Any]:
        """For tfmot's serialisation."""
        return {"bounds": self.bounds, "learned": self.learned}


class LayerConfig(tfmot.quantization.keras.QuantizeConfig):
    """Kernel per channel; output over a range, where the layer's output is a tensor of the exported graph.

    Args:
        bounds: the output's range; None where the converter fuses the output away.
        learned: whether training may move it.
    """

    def __init__(self, bounds: Range | None, *, learned: bool) -> None:
        self.bounds = bounds
        self.learned = learned

    def get_weights_and_quantizers(self, layer: tf_keras.layers.Layer) -> list[tuple[tf.Variable, Any]]:
        """The kernel, if the layer has one."""
        depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
        return [(getattr(layer, name), ChannelQuantizer(depthwise=depthwise)) for name in _kernels(layer)]

    def set_quantize_weights(self, layer: tf_keras.layers.Layer, quantize_weights: list[tf.Tensor]) -> None:
        """Put the rounded kernel in the kernel's place for the call."""
        for name, weight in zip(_kernels(layer), quantize_weights, strict=True):
            setattr(layer, name, weight)

    def get_activations_and_quantizers(self, layer: tf_keras.layers.Layer) -> list[tuple[Any, Any]]:
        """None: the range is put on the layer's output, behind its fused activation."""
        return []

    def set_quantize_activations(self, layer: tf_keras.layers.Layer, quantize_activations: list[Any]) -> None:
        """Nothing to set."""

    def get_output_quantizers(self, layer: tf_keras.layers.Layer) -> list[Any]:
        """The output's range."""
        return [] if self.bounds is None else [RangeQuantizer(self.bounds, learned=self.learned)]

    def get_config(self) -> dict[str, Any]:
        """For tfmot's serialisation."""
        return {"bounds": self.bounds, "learned": self.learned}


class PlainScheme(tfmot.quantization.keras.QuantizeScheme):
    """tfmot's scheme without layout transforms and without a registry of defaults: layers say all themselves."""

    def get_layout_transformer(self) -> "PlainScheme":
        """This object; see `apply`."""
        return self

    def apply(self, model: tf_keras.Model, layer_quantize_map: dict[str, Any]) -> tuple[tf_keras.Model, dict[str, Any]]:
        """Leave the model as it is."""
        return model, layer_quantize_map

    def get_quantize_registry(self) -> "PlainScheme":
        """This object; see `supports`."""
        return self

    def supports(self, layer: tf_keras.layers.Layer) -> bool:
        """No layer gets a default."""
        return False


def with_fake_quantization(
    model: tf_keras.Model, bounds: Mapping[str, Range], *, frozen: frozenset[str]
) -> tf_keras.Model:
    """A copy of ``model`` that computes as the int8 model will, and can be trained.

    Args:
        model: float model; its weights are copied.
        bounds: range by layer name, for layers whose output is an activation of the exported graph.
        frozen: layers whose range must stay.
    """

    def annotate(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if not _kernels(layer) and layer.name not in bounds:
            return layer
        config = LayerConfig(bounds.get(layer.name), learned=layer.name not in frozen)
        return keras_api.quantize_annotate_layer(layer, config)

    names = (ChannelQuantizer, RangeQuantizer, LayerConfig)
    with keras_api.quantize_scope({each.__name__: each for each in names}):
        annotated = tf_keras.models.clone_model(model, clone_function=annotate)
        annotated.set_weights(model.get_weights())
        return keras_api.quantize_apply(annotated, PlainScheme())


def learned_bounds(aware: tf_keras.Model) -> dict[str, Range]:
    """Ranges by the float layer's name, as training left them."""
    found = {}
    for layer in aware.layers:
        start = layer.quantize_config.bounds if hasattr(layer, "quantize_config") else None
        if start is not None:
            factors = {_short(weight): math.exp(weight.numpy()) for weight in layer.weights if _is_range(weight)}
            found[layer.layer.name] = (start[0] * factors["output_lo"], start[1] * factors["output_hi"])
    return found


def kind_of(variable: tf.Variable) -> Learned:
    """What a variable of a model from `with_fake_quantization` is."""
    if _is_range(variable):
        return "range"
    return "kernel" if _short(variable) in KERNELS else "other"


def copy_float_weights(aware: tf_keras.Model, model: tf_keras.Model) -> None:
    """Put the trained, unrounded weights into ``model``."""
    trained = _weights_by_layer(aware)
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(trained[layer.name][_short(weight)])


def _weights_by_layer(aware: tf_keras.Model) -> dict[str, dict[str, tf.Variable]]:
    """Variables by the float layer's name and their own; a wrapper stands for the layer in it."""
    return {
        getattr(layer, "layer", layer).name: {_short(weight): weight for weight in layer.weights}
        for layer in aware.layers
    }


def _short(weight: tf.Variable) -> str:
    """``kernel`` of ``features/kernel:0``."""
    return str(weight.name).rpartition("/")[2].partition(":")[0]


def _is_range(weight: tf.Variable) -> bool:
    return _short(weight) in {"output_lo", "output_hi"}


def _kernels(layer: tf_keras.layers.Layer) -> list[str]:
    return [name for name in KERNELS if hasattr(layer, name)]
