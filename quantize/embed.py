"""Writes into ``.tflite`` files, by TensorFlow's schema: the model card, and calibrated ranges for the quantizer."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from tensorflow.lite.python import schema_py_generated as tflite

from octopix import schema
from octopix.aligned import AlignedBuilder
from octopix.card import METADATA_NAME, ModelCard, card_block
from octopix.errors import ModelFileError
from octopix.graph import read_graph


def embed_card(model: bytes, card: ModelCard) -> bytes:
    """Put a card into a model, in place of one that may be there.

    The card's block becomes the last bytes of the file. Equal inputs give equal bytes, and `octopix.card.graph_sha256`
    of the result depends on the network alone.

    Raises:
        ModelFileError: no whole ``.tflite``, or one with weights outside of its flatbuffer (beyond 2 GiB).
    """
    unpacked = _unpack(model)
    _drop_card(unpacked)
    entry = tflite.MetadataT()
    entry.name, entry.buffer = METADATA_NAME, len(unpacked.buffers)
    unpacked.metadata = [*(unpacked.metadata or []), entry]
    builder = AlignedBuilder(len(model))
    unpacked.buffers.append(_Written(builder, card_block(card)))
    return _pack(unpacked, builder)


def with_ranges(float_model: bytes, ranges: Mapping[int, tuple[float, float]]) -> bytes:
    """Write calibrated ranges into a float model, where TFLite's quantizer looks for them.

    Args:
        float_model: a float ``.tflite``.
        ranges: (smallest, largest) real value by flatbuffer tensor index. Other tensors keep what they have.

    Raises:
        ModelFileError: no whole ``.tflite``, an index that is none of its activations, or a range that is not finite
            or is upside down.
    """
    unpacked = _unpack(float_model)
    tensors = read_graph(float_model).tensors
    for index, (low, high) in ranges.items():
        if not 0 <= index < len(tensors) or tensors[index].is_constant:
            raise ModelFileError(
                expected="ranges for activations of this model",
                got=f"one for tensor {index}",
                do="calibrate this very model",
            )
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ModelFileError(
                expected=f"a finite range for {tensors[index].name}",
                got=f"[{low}, {high}]",
                do="look for NaN in the calibration images and in the weights",
            )
        unpacked.subgraphs[0].tensors[index].quantization = _range(low, high)
    return _pack(unpacked, AlignedBuilder(len(float_model)))


def rewritten(model: bytes, edit: Callable[[Any], None]) -> bytes:
    """A model without a card, changed by ``edit`` through TensorFlow's schema objects (``ModelT``) and packed again.

    Raises:
        ModelFileError: no whole ``.tflite``.
    """
    unpacked = _unpack(model)
    edit(unpacked)
    return _pack(unpacked, AlignedBuilder(len(model)))


def without_card(model: bytes) -> bytes:
    """The model alone; a model without a card as it is.

    Raises:
        ModelFileError: as `embed_card`.
    """
    return model if METADATA_NAME not in read_graph(model).metadata else rewritten(model, _drop_card)


def append_constant(unpacked: Any, name: str, values: npt.NDArray[Any]) -> int:
    """A further float32 constant of a model that is being `rewritten`; returns its tensor number."""
    tensor, buffer = tflite.TensorT(), tflite.BufferT()
    tensor.name, tensor.type, tensor.shape = name, tflite.TensorType.FLOAT32, list(values.shape)
    tensor.buffer, buffer.data = len(unpacked.buffers), stored(values)
    unpacked.buffers.append(buffer)
    unpacked.subgraphs[0].tensors.append(tensor)
    return len(unpacked.subgraphs[0].tensors) - 1


def stored(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values as a buffer holds them: float32, little-endian, bytes."""
    return np.frombuffer(np.ascontiguousarray(values, "<f4").tobytes(), np.uint8)


class _Written(tflite.BufferT):
    """A buffer whose bytes are in the file already, and so at its end: flatbuffers are written from back to front."""

    def __init__(self, builder: AlignedBuilder, content: bytes) -> None:
        super().__init__()
        self.position = builder.CreateNumpyVector(np.frombuffer(content, np.uint8))

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  # overrides
        """Write the table that points to the bytes."""
        tflite.BufferStart(builder)
        tflite.BufferAddData(builder, self.position)
        return int(tflite.BufferEnd(builder))


def _unpack(model: bytes) -> Any:
    """The model as TensorFlow's objects. They check nothing, so octopix's reader goes first."""
    read_graph(model)
    blocks = schema.buffers(schema.root(model))
    if any(block is not None and not block.prefix for block in blocks):
        raise ModelFileError(
            expected="a model whose weights are inside its flatbuffer",
            got="weights behind it",
            do="use a model below 2 GiB, converted without large-model offsets",
        )
    return tflite.ModelT.InitFromPackedBuf(model, 0)


def _drop_card(unpacked: Any) -> None:
    """Take the card's entry out, and its buffer, which embedding always put last."""
    entries = unpacked.metadata or []
    for entry in [each for each in entries if each.name == METADATA_NAME.encode()]:
        entries.remove(entry)
        if entry.buffer == len(unpacked.buffers) - 1:
            unpacked.buffers.pop()
        else:
            unpacked.buffers[entry.buffer].data = None


def _range(low: float, high: float) -> Any:
    found = tflite.QuantizationParametersT()
    found.min, found.max = np.array([low], np.float32), np.array([high], np.float32)
    return found


def _pack(unpacked: Any, builder: AlignedBuilder) -> bytes:
    builder.Finish(unpacked.Pack(builder), file_identifier=schema.IDENTIFIER)
    return bytes(builder.Output())
