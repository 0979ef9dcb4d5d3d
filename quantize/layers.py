"""Which flatbuffer tensor holds the output of which Keras layer.

Names do not tell reliably: the converter joins them when it fuses operators, drops them at the graph's ends and
numbers duplicates. Values do: both sides run on the same noise, and equal outputs are the same tensor.
"""

import numpy as np
import tf_keras

from octopix.runtime import open_session
from quantize.statistics import activations

TOLERANCE = 1e-4
"""Of the tensor's largest value. Float kernels that sum in another order differ by 1e-6; other tensors by 1."""


def activation_tensors(model: tf_keras.Model, float_model: bytes) -> dict[str, int]:
    """Match layers with tensors.

    Args:
        model: the Keras model, one input.
        float_model: its export by `quantize.export.to_float32`.

    Returns:
        Flatbuffer index by layer name. A layer whose output the converter fused away is absent; of several equal
        tensors the first computed counts.
    """
    session = open_session(float_model, keep_tensors=True)
    noise = np.random.default_rng(0).random(session.input_shape, dtype=np.float32)
    session.invoke(noise)
    tensors = {index: session.tensor(index) for index in activations(session.graph)}
    outputs = {layer.name: layer.get_output_at(0) for layer in model.layers}
    found = {}
    for name, value in tf_keras.Model(model.inputs, outputs)(noise).items():
        match = next((index for index, tensor in tensors.items() if _equal(tensor, np.asarray(value))), None)
        if match is not None:
            found[name] = match
    return found


def _equal(tensor: np.ndarray, value: np.ndarray) -> bool:
    if tensor.shape != value.shape:
        return False
    return float(np.abs(tensor - value).max()) <= TOLERANCE * float(np.abs(value).max())
