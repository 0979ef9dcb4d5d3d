"""What is inside a ``.tflite``: tensors with their types and quantization, operators with their options, metadata."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from flatbuffers import number_types

from octopix import schema
from octopix.errors import ModelFileError
from octopix.operators import BITS, CUSTOM, DTYPES, OPERATOR_NAMES, OPTIONS, Field
from octopix.schema import Block, Node, damaged

Option = int | float | bool | str | tuple[int, ...]

_BOOL, _INT8, _UINT8, _INT32, _INT64, _FLOAT32 = (
    number_types.BoolFlags,
    number_types.Int8Flags,
    number_types.Uint8Flags,
    number_types.Int32Flags,
    number_types.Int64Flags,
    number_types.Float32Flags,
)


@dataclass(frozen=True)
class Quantization:
    """real = scale · (stored − zero point), one pair for the whole tensor or one per slice along ``axis``.

    ``minimum`` and ``maximum`` are ranges that a calibration left behind; converters drop them.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]


@dataclass(frozen=True)
class Tensor:
    """One tensor. ``shape_signature`` has −1 where the size is free; ``shape`` then has a stand-in, usually 1."""

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    quantization: Quantization | None
    data: memoryview | None
    """The constant's bytes, a view into the file; None for an activation."""
    buffer: int

    @property
    def is_constant(self) -> bool:
        """Whether the value stands in the file."""
        return self.data is not None


@dataclass(frozen=True)
class Operator:
    """One operator in order of execution. An input of −1 is an optional one that is left out."""

    index: int
    name: str
    """As in the schema (``CONV_2D``); a custom operator has the name it was given."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Option]
    """What `octopix.operators.OPTIONS` lists for it; enums as words, e.g. ``padding``: ``SAME``."""

    def number(self, option: str, default: int = 0) -> int:
        """An option that is a whole number."""
        value = self.options.get(option, default)
        return value if isinstance(value, int) else default

    def real(self, option: str) -> float:
        """An option that is a real number; 0 where it is left out."""
        value = self.options.get(option, 0.0)
        return value if isinstance(value, float) else 0.0

    def sizes(self, option: str) -> tuple[int, ...]:
        """An option that is a list of numbers."""
        value = self.options.get(option, ())
        return value if isinstance(value, tuple) else ()


@dataclass(frozen=True)
class Graph:
    """A model's only subgraph. ``inputs`` and ``outputs`` are tensor indices."""

    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: Mapping[str, bytes]
    description: str

    def operand(self, operator: Operator, position: int) -> Tensor | None:
        """The tensor at an input position of an operator; None where an optional one is left out."""
        if position >= len(operator.inputs) or operator.inputs[position] < 0:
            return None
        return self.tensors[operator.inputs[position]]


def read_graph(source: Path | bytes) -> Graph:
    """Read a ``.tflite`` file, or its bytes.

    Constants are views into the bytes: nothing is copied.

    Raises:
        ModelFileError: unreadable, truncated, damaged, foreign, or with more than one subgraph.
    """
    raw = schema.read_model_bytes(source)
    with schema.naming(source):
        return _graph(schema.root(raw))


def constant(tensor: Tensor) -> npt.NDArray[Any]:
    """A constant tensor's stored values as an array of its shape, read-only, without a copy; not dequantized.

    Raises:
        ModelFileError: not a constant, or of a type NumPy does not have.
    """
    if tensor.data is None:
        raise _no_array(tensor, "an activation")
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError as error:
        raise _no_array(tensor, tensor.dtype) from error
    if dtype.itemsize * math.prod(tensor.shape) != len(tensor.data):
        raise _no_array(tensor, f"{len(tensor.data)} bytes, packed or sparse,")
    return np.frombuffer(tensor.data, dtype.newbyteorder("<")).reshape(tensor.shape)


def _graph(model: Node) -> Graph:
    subgraphs = list(model.tables(2))
    if len(subgraphs) != 1:
        raise ModelFileError(
            expected="a model of one subgraph",
            got=f"{len(subgraphs)} subgraphs",
            do="convert it without control flow (IF, WHILE, CALL_ONCE) and with one signature",
        )
    tensors = _tensors(model, subgraphs[0])
    inputs, outputs = subgraphs[0].numbers(1, _INT32), subgraphs[0].numbers(2, _INT32)
    _check_indices((*inputs, *outputs), len(tensors), least=0)
    return Graph(
        operators=_operators(model, subgraphs[0], len(tensors)),
        tensors=tensors,
        inputs=inputs,
        outputs=outputs,
        metadata={name: _bytes(model, block) for name, block in schema.metadata(model)},
        description=model.text(3),
    )


def _bytes(node: Node, block: Block | None) -> bytes:
    return b"" if block is None else node.content.raw[block.start : block.stop]


def _tensors(model: Node, subgraph: Node) -> tuple[Tensor, ...]:
    blocks = schema.buffers(model)
    return tuple(_tensor(index, node, blocks) for index, node in enumerate(subgraph.tables(0)))


def _tensor(index: int, node: Node, blocks: tuple[Block | None, ...]) -> Tensor:
    buffer = node.number(2, schema.UINT32)
    _check_indices((buffer,), len(blocks), least=0)
    block = blocks[buffer]
    shape = node.numbers(0, _INT32)
    tensor = Tensor(
        index=index,
        name=node.text(3),
        shape=shape,
        shape_signature=node.numbers(7, _INT32) or shape,
        dtype=_dtype(node.number(1, _INT8)),
        quantization=_quantization(node.table(4)),
        data=None if block is None else memoryview(node.content.raw)[block.start : block.stop],
        buffer=buffer,
    )
    _check_size(tensor, sparse=node.has(6))
    return tensor


def _dtype(code: int) -> str:
    if not 0 <= code < len(DTYPES):
        raise damaged(f"number type {code}, which schema version {schema.VERSION} does not have")
    return DTYPES[code].name


def _check_size(tensor: Tensor, *, sparse: bool) -> None:
    if min(tensor.shape, default=0) < 0 or len(tensor.shape_signature) != len(tensor.shape):
        raise damaged(f"shape {tensor.shape} with signature {tensor.shape_signature} of tensor {tensor.name}")
    bits = BITS[tensor.dtype]
    if tensor.data is None or bits is None or sparse:
        return
    needed = (math.prod(tensor.shape) * bits + 7) // 8
    if len(tensor.data) != needed:
        raise damaged(f"{len(tensor.data)} bytes for {tensor.dtype} {tensor.shape} of tensor {tensor.name}")


def _quantization(node: Node | None) -> Quantization | None:
    if node is None:
        return None
    found = Quantization(
        scales=node.numbers(2, _FLOAT32),
        zero_points=node.numbers(3, _INT64),
        axis=node.number(6, _INT32),
        minimum=node.numbers(0, _FLOAT32),
        maximum=node.numbers(1, _FLOAT32),
    )
    return found if found.scales or found.minimum else None


def _operators(model: Node, subgraph: Node, tensors: int) -> tuple[Operator, ...]:
    names = tuple(_operator_name(each) for each in model.tables(1))
    return tuple(_operator(index, node, names, tensors) for index, node in enumerate(subgraph.tables(3)))


def _operator_name(code: Node) -> str:
    # Codes up to 127 stand in the first field, which is one byte, later ones in the last: the larger is the true one.
    number = max(code.number(0, _INT8), code.number(3, _INT32))
    if number == CUSTOM:
        return code.text(1)
    return OPERATOR_NAMES[number] if 0 <= number < len(OPERATOR_NAMES) else f"BUILTIN_{number}"


def _operator(index: int, node: Node, names: tuple[str, ...], tensors: int) -> Operator:
    code = node.number(0, schema.UINT32)
    _check_indices((code,), len(names), least=0)
    inputs, outputs = node.numbers(1, _INT32), node.numbers(2, _INT32)
    _check_indices(inputs, tensors, least=-1)
    _check_indices(outputs, tensors, least=0)
    return Operator(index, names[code], inputs, outputs, _options(names[code], node))


def _options(name: str, node: Node) -> Mapping[str, Option]:
    known = OPTIONS.get(name)
    if known is None:
        return {}
    union, options = node.number(3, _UINT8), node.table(4)
    if options is not None and union != known.union:
        raise damaged(f"options of kind {union} on {name}")
    return {field.name: _option(name, field, options) for field in known.fields}


def _option(name: str, field: Field, options: Node | None) -> Option:
    if field.kind is _FLOAT32:
        return 0.0 if options is None else float(options.number(field.slot, field.kind))
    if field.vector:
        return () if options is None else options.numbers(field.slot, field.kind)
    value: int = field.default if options is None else options.number(field.slot, field.kind, field.default)
    if field.least is not None and value < field.least:
        raise damaged(f"{field.name} {value} on {name}")
    if field.words:
        if not 0 <= value < len(field.words):
            raise damaged(f"{field.name} {value} on {name}")
        return field.words[value]
    return value


def _check_indices(indices: tuple[int, ...], count: int, *, least: int) -> None:
    if any(not least <= index < count for index in indices):
        raise damaged(f"a reference to one of {indices} among {count}")


def _no_array(tensor: Tensor, got: str) -> ModelFileError:
    return ModelFileError(
        expected=f"a dense constant in {tensor.name} ({tensor.dtype} {tensor.shape})",
        got=got,
        do="convert the model again without sparsity or packed types",
    )
