"""Over-parameterised training: each convolution as a product of two linear ones, which collapse into it exactly.

Nothing lies between the two, so the network that ships is the plain one; but gradient descent on the product finds
better kernels (Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super Resolution", MLSys 2022). The
product is taken on the kernels, not on the images, so a step costs hardly more than a plain one.
"""

from typing import Any

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable(package="octopix")
class ExpandedConv2D(tf_keras.layers.Conv2D):
    """A convolution whose kernel is ``expand`` (k×k, in → expansion) times ``project`` (1×1, expansion → out).

    Args:
        expansion: channels between the two.
        options: those of Conv2D; groups are not supported.
    """

    def __init__(self, *args: Any, expansion: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.expansion = expansion

    def build(self, input_shape: tf.TensorShape) -> None:
        """Make the factors; kept in float32 under every policy, because their product is."""
        gain = 2.0 if self.activation is tf_keras.activations.relu else 1.0

        def weight(name: str, shape: tuple[int, ...], initializer: Any) -> tf.Variable:
            return self.add_weight(name, shape, initializer=initializer, experimental_autocast=False)

        scaling = tf_keras.initializers.VarianceScaling
        self.expand = weight("expand", (*self.kernel_size, input_shape[-1], self.expansion), scaling(1.0))
        self.project = weight("project", (self.expansion, self.filters), scaling(gain))
        self.bias = weight("bias", (self.filters,), "zeros") if self.use_bias else None
        self.built = True

    def collapsed(self) -> tf.Tensor:
        """The plain kernel (k, k, in, out), float32."""
        return tf.tensordot(self.expand, self.project, axes=1)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve with the collapsed kernel."""
        kernel = tf.cast(self.collapsed(), self.compute_dtype)
        result = tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate)
        if self.bias is not None:
            result += tf.cast(self.bias, self.compute_dtype)
        return self.activation(result)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "expansion": self.expansion}


def expanded(model: tf_keras.Model, expansion: int) -> tf_keras.Model:
    """A fresh copy of ``model`` with every convolution expanded; the weights are new, not copied."""

    def replace(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if type(layer) is tf_keras.layers.Conv2D:
            return ExpandedConv2D(expansion=expansion, **layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    return tf_keras.models.clone_model(model, clone_function=replace)


def collapsed_weights(model: tf_keras.Model) -> list[tf.Tensor]:
    """Weights in the order of the plain model's ``weights``, whether or not ``model`` is expanded."""
    found: list[tf.Tensor] = []
    for layer in model.layers:
        if isinstance(layer, ExpandedConv2D):
            found += [layer.collapsed()] + ([] if layer.bias is None else [layer.bias])
        else:
            found += layer.weights
    return found
