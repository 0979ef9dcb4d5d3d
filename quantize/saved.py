"""Float networks in ``.keras`` files of Keras 2 and 3 and in SavedModel folders, behind one face for the exporter."""

import dataclasses
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from octopix.errors import ModelFileError, OctopixError
from quantize.surgery import TO_NCHW, TO_NHWC
from train.models import layers

SIGNATURE = "serving_default"

TRAINABLE = frozenset(
    {
        *("InputLayer", "Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "SeparableConv2D", "ReLU", "PReLU"),
        *("LeakyReLU", "Activation", "Add", "Concatenate", "DepthToSpace", "MeanShift"),
    }
)
"""Layers that `quantize.qat` has been proven on."""


@dataclass(frozen=True)
class Network:
    """What `quantize.export` needs to know of a network."""

    name: str
    call: Callable[[Any], Any]
    input_shape: tuple[int | None, ...]
    weights: Sequence[Any]
    variables: Any
    """What TensorFlow has to keep alive, or the object that owns it."""
    source: str
    model: Any = None
    """The Keras 2 model; None for others."""

    @property
    def trainable(self) -> bool:
        """Whether quantization-aware training can have it: a graph of the zoo's kinds of layers, of any size."""
        if self.model is None or any(self.input_shape[1:3]):
            return False
        if type(self.model).__name__ != "Functional":
            return False
        return all(type(layer).__name__ in TRAINABLE and len(layer.inbound_nodes) == 1 for layer in self.model.layers)

    def turned(self) -> "Network":
        """The same with channels last, where its pictures are (B, C, H, W)."""
        shape = self.input_shape
        if shape[1] not in {1, 3} or shape[3] in {1, 3}:
            return self

        def call(image: tf.Tensor) -> tf.Tensor:
            return tf.transpose(self.call(tf.transpose(image, TO_NCHW)), TO_NHWC)

        return dataclasses.replace(self, call=call, input_shape=(shape[0], shape[2], shape[3], shape[1]), model=None)

    def __call__(self, image: tf.Tensor, *, training: bool = False) -> Any:
        """As the exporter calls a Keras model: (B, H, W, C) in, inference out."""
        return self.call(image)


def open_keras(path: Path) -> Network:
    """A ``.keras`` file of either Keras, in safe mode: nothing in the file is executed.

    Raises:
        ModelFileError: damaged, or with layers that cannot be opened safely; the message has Keras' reason.
    """
    version = _keras_version(path)
    try:
        return _keras2(path, version) if version.startswith("2.") else _keras3(path, version)
    except OctopixError:
        raise
    except Exception as error:  # Keras raises what its layers raise
        raise ModelFileError(
            expected=f"a Keras model in {path.name} that opens in safe mode",
            got=" ".join(str(error).split())[:400] or type(error).__name__,
            do="replace Lambda and custom layers by standard ones, or export it as a SavedModel or float .tflite",
        ) from error


def open_saved_model(path: Path) -> Network:
    """A SavedModel's serving signature, or its only one.

    Raises:
        ModelFileError: damaged, no signature, or one with several inputs or outputs.
    """
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises many kinds for damaged files
        raise _damaged(path, " ".join(str(error).split())[:400]) from error
    names = sorted(loaded.signatures)
    if SIGNATURE not in names and len(names) != 1:
        raise _damaged(path, f"signatures {', '.join(names) or 'none'}")
    function = loaded.signatures[SIGNATURE if SIGNATURE in names else names[0]]
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelFileError(
            expected="a signature with one input and one output, both pictures",
            got=f"inputs {', '.join(inputs)}; outputs {', '.join(outputs)}",
            do="export the one path from picture to picture",
        )
    (name, spec), result = next(iter(inputs.items())), next(iter(outputs))
    if spec.shape.rank != 4:
        raise _damaged(path, f"input {name} of shape {spec.shape}")
    return Network(
        name=path.name,
        call=lambda image: function(**{name: image})[result],
        input_shape=tuple(spec.shape),
        weights=list(function.variables),
        variables=loaded,
        source="from a SavedModel",
    )


def _keras2(path: Path, version: str) -> Network:
    known = {each.__name__: each for each in (layers.DepthToSpace, layers.MeanShift)}
    model = tf_keras.models.load_model(path, custom_objects=known, compile=False, safe_mode=True)
    shape = _one_shape(path, model.input_shape, model.outputs)
    call = lambda image: model(image, training=False)  # noqa: E731
    return Network(model.name, call, shape, model.weights, model.variables, f"from Keras {version}", model)


def _keras3(path: Path, version: str) -> Network:
    import keras  # a part of TensorFlow's own requirements, but seconds to import

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    shape = _one_shape(path, model.input_shape, model.outputs)
    variables = [each.value for each in model.variables]
    return Network(
        model.name,
        lambda image: model(image, training=False),
        shape,
        model.weights,
        variables,
        f"from Keras {version}",
    )


def _one_shape(path: Path, shape: Any, outputs: Sequence[Any]) -> tuple[int | None, ...]:
    if not isinstance(shape, tuple) or len(shape) != 4 or len(outputs) != 1:
        raise ModelFileError(
            expected=f"one input (B, H, W, C) and one output in {path.name}",
            got=f"input {shape}, {len(outputs)} outputs",
            do="save the one path from picture to picture",
        )
    return shape


def _keras_version(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise ModelFileError(
            expected="a whole .keras file", got=f"{path.name}: {error}", do="save the model again with model.save()"
        ) from error


def _damaged(path: Path, got: str) -> ModelFileError:
    return ModelFileError(
        expected=f"a SavedModel with a serving signature of one picture in {path}", got=got, do="export it again"
    )
