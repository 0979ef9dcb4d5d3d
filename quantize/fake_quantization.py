"""The pieces that tensorflow-model-optimization is given: what to quantize in each layer, from which range on.

tfmot's own defaults start every activation at [-6, 6] and move slowly; a restoration network lives in ±0.5 and would
train for thousands of steps on a handful of levels. Here a range starts where calibration found it, and the gradient
moves it. Kernels stay float: they are rounded for their layers' outputs when training is over, better than training
finds them. tfmot's layout transforms are left out: the trained weights go back into the float model, and the graph that
ships comes from the same exporter as every other scheme's.
"""

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from quantize.calibrators import Range

keras_api = tfmot.quantization.keras


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
        """Round ``inputs`` to 256 levels, zero being one of them; beyond the range they saturate."""
        lo, hi = (start * tf.exp(weights[key]) for key, start in zip(("lo", "hi"), self.bounds, strict=True))
        return _in_levels(inputs, lo, hi)

    def get_config(self) -> dict[str, Any]:
        """For tfmot's serialisation."""
        return {"bounds": self.bounds, "learned": self.learned}


@tf.custom_gradient
def _in_levels(values: tf.Tensor, lo: tf.Tensor, hi: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """``values`` rounded to the 256 levels of [lo, hi], moved so that zero is one of them.

    The gradient passes through the rounding, so an end of the range is drawn outwards by what saturates, and inwards
    by what finer steps would win (Esser et al., "Learned Step Size Quantization", ICLR 2020). TensorFlow's own operator
    knows the first alone: with it, ranges never shrink.
    """
    rounded = tf.quantization.fake_quant_with_min_max_vars(values, lo, hi)

    def gradient(above: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        inside, _, _ = tf.raw_ops.FakeQuantWithMinMaxVarsGradient(gradients=above, inputs=values, min=lo, max=hi)
        by_width = (tf.reduce_sum(above * rounded) - tf.reduce_sum(inside * values)) / (hi - lo)
        return inside, -by_width, by_width

    return rounded, gradient


class OutputConfig(tfmot.quantization.keras.QuantizeConfig):
    """Quantizes a layer's output over a range, behind the layer's fused activation, and nothing else.

    Args:
        bounds: the range.
        learned: whether training may move it.
    """

    def __init__(self, bounds: Range, *, learned: bool) -> None:
        self.bounds = bounds
        self.learned = learned

    def get_weights_and_quantizers(self, layer: tf_keras.layers.Layer) -> list[tuple[tf.Variable, Any]]:
        """None."""
        return []

    def set_quantize_weights(self, layer: tf_keras.layers.Layer, quantize_weights: list[tf.Tensor]) -> None:
        """Nothing to set."""

    def get_activations_and_quantizers(self, layer: tf_keras.layers.Layer) -> list[tuple[Any, Any]]:
        """None."""
        return []

    def set_quantize_activations(self, layer: tf_keras.layers.Layer, quantize_activations: list[Any]) -> None:
        """Nothing to set."""

    def get_output_quantizers(self, layer: tf_keras.layers.Layer) -> list[Any]:
        """The output's range."""
        return [RangeQuantizer(self.bounds, learned=self.learned)]

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
    """A copy of ``model`` whose activations are rounded as the int8 model's will be, and that can be trained.

    Args:
        model: float model; its weights are copied.
        bounds: range by layer name, for layers whose output is an activation of the exported graph.
        frozen: layers whose range must stay.
    """

    def annotate(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if layer.name not in bounds:
            return layer
        config = OutputConfig(bounds[layer.name], learned=layer.name not in frozen)
        return keras_api.quantize_annotate_layer(layer, config)

    names = (RangeQuantizer, OutputConfig)
    with keras_api.quantize_scope({each.__name__: each for each in names}):
        annotated = tf_keras.models.clone_model(model, clone_function=annotate)
        annotated.set_weights(model.get_weights())
        return keras_api.quantize_apply(annotated, PlainScheme())


def learned_bounds(aware: tf_keras.Model) -> dict[str, Range]:
    """Ranges by the float layer's name, as training left them."""
    found = {}
    for layer in (each for each in aware.layers if hasattr(each, "quantize_config")):
        lo, hi = layer.quantize_config.bounds
        factors = {_short(weight): math.exp(weight.numpy()) for weight in layer.weights if is_range(weight)}
        found[layer.layer.name] = (lo * factors["output_lo"], hi * factors["output_hi"])
    return found


def is_range(variable: tf.Variable) -> bool:
    """Whether a variable of a model from `with_fake_quantization` is an end of a range."""
    return _short(variable) in {"output_lo", "output_hi"}


def copy_float_weights(aware: tf_keras.Model, model: tf_keras.Model) -> None:
    """Put the trained weights into ``model``."""
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
