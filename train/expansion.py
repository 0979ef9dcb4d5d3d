"""Over-parameterised training: each convolution as a product of two linear ones, which collapse into it exactly.

Nothing lies between the two, so the network that ships is the plain one; but gradient descent on the product finds
better kernels (Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super Resolution", MLSys 2022). The
product is taken on the kernels, not on the images, so a step costs hardly more than a plain one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from octopix.errors import ConfigError
from train.collapsible import CollapsibleConv2D

Array = npt.NDArray[np.float32]


@tf_keras.utils.register_keras_serializable(package="octopix")
class ExpandedConv2D(CollapsibleConv2D):
    """A convolution whose kernel is ``expand`` (k×k, in → expansion) times ``project`` (1×1, expansion → out).

    Args:
        expansion: channels between the two.
        options: those of Conv2D; groups are not supported.
    """

    def __init__(self, *args: Any, expansion: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.expansion = expansion

    def _make_weights(self) -> None:
        gain = 2.0 if self.activation is tf_keras.activations.relu else 1.0
        scaling = tf_keras.initializers.VarianceScaling
        self.expand = self._weight("expand", (*self.kernel_shape[:-1], self.expansion), scaling(1.0))
        # A layer that is to start at nothing keeps to it: residuals that begin at full size can kill narrow ReLUs.
        silent = isinstance(self.kernel_initializer, tf_keras.initializers.Zeros)
        self.project = self._weight("project", (self.expansion, self.filters), "zeros" if silent else scaling(gain))
        self.bias = self._weight("bias", (self.filters,), "zeros") if self.use_bias else None

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve with the collapsed kernel."""
        result = self._convolved(inputs, self._kernel())
        if self.bias is not None:
            result += tf.cast(self.bias, self.compute_dtype)
        return self.activation(result)

    def collapsed(self) -> dict[str, tf.Tensor]:
        """The product of both, and the bias."""
        return self._named(self._kernel(), self.bias)

    def start_from(self, arrays: Mapping[str, Array]) -> set[str]:
        """Set the factors to halves of the kernel's singular value decomposition, whose product is the kernel.

        Directions beyond the kernel's rank stay random in ``expand`` and are zero in ``project``: they cost nothing
        and learn like the others.

        Raises:
            ConfigError: the expansion is narrower than the kernel's rank may be.
        """
        kernel, bias = (arrays.get(f"{self.name}/{name}:0") for name in ("kernel", "bias"))
        filled = set()
        if kernel is not None and kernel.shape == self.kernel_shape:
            self._factorize(kernel)
            filled.add(f"{self.name}/kernel:0")
        if bias is not None and self.bias is not None and bias.shape == tuple(self.bias.shape):
            self.bias.assign(bias)
            filled.add(f"{self.name}/bias:0")
        return filled

    def _factorize(self, kernel: Array) -> None:
        left, values, right = np.linalg.svd(kernel.reshape(-1, self.filters).astype(np.float64), full_matrices=False)
        rank = len(values)
        if rank > self.expansion:
            raise ConfigError(
                expected=f"an expansion of at least {rank}, for {self.name} to start from given weights",
                got=str(self.expansion),
                do="widen `expansion`, or leave `start` out of the recipe",
            )
        expand, project = self.expand.numpy(), np.zeros(self.project.shape)
        expand[..., :rank] = (left * np.sqrt(values)).reshape(*kernel.shape[:-1], rank)
        project[:rank] = np.sqrt(values)[:, None] * right
        self.expand.assign(expand)
        self.project.assign(project)

    def _kernel(self) -> tf.Tensor:
        return tf.tensordot(self.expand, self.project, axes=1)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "expansion": self.expansion}
