"""Reads TFLite flatbuffers by hand, on the `flatbuffers` package's table alone: the same under every runtime.

Every access is checked against the size of the file, so a truncated, damaged or foreign file is a `ModelFileError`
and nothing else. Slots are the field numbers of the public TFLite schema, version 3.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import number_types, table

from octopix.errors import ModelFileError

IDENTIFIER = b"TFL3"
VERSION = 3

UINT32 = number_types.Uint32Flags
UINT64 = number_types.Uint64Flags
_HEADER = 8  # the root's offset, then the identifier
_LENGTH = 4  # of a vector, in front of its elements


@dataclass(frozen=True)
class Block:
    """Where the bytes of a buffer stand in the file; ``prefix`` bytes in front of them hold their length."""

    start: int
    stop: int
    prefix: int


class Content:
    """The bytes of a model file, and how much of them may still be read."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        # Vectors of a sound file do not overlap. In a damaged one they may, and reading it must not take hours.
        self._left = 2 * len(raw) + 4096

    def check(self, start: int, size: int) -> None:
        """Raise `ModelFileError` unless ``size`` bytes from ``start`` are inside the file."""
        if not 0 <= start <= len(self.raw) - size:
            raise damaged(f"a reference to byte {start + size} in a file of {len(self.raw)} bytes")

    def spend(self, size: int) -> None:
        """Count bytes that were read as lists; more than the file can hold is a `ModelFileError`."""
        self._left -= size
        if self._left < 0:
            raise damaged("lists that overlap")


class Node(table.Table):  # type: ignore[misc]  # flatbuffers ships no types
    """One table of the file."""

    __slots__ = ("content",)

    def __init__(self, content: Content, position: int) -> None:
        content.check(position, _LENGTH)
        super().__init__(content.raw, position)
        self.content = content

    def Get(self, flags: Any, off: int) -> Any:  # noqa: N802  # overrides: every read of the base class comes through here
        """Read a number at a position of the file."""
        self.content.check(off, flags.bytewidth)
        return super().Get(flags, off)

    def has(self, slot: int) -> bool:
        """Whether a field is present."""
        return self._position(slot) is not None

    def number(self, slot: int, kind: Any, default: int = 0) -> Any:
        """A scalar field; ``kind`` is a class of ``flatbuffers.number_types``."""
        position = self._position(slot)
        return default if position is None else self.Get(kind, position)

    def numbers(self, slot: int, kind: Any) -> tuple[Any, ...]:
        """A vector of scalars; empty if absent."""
        start, count = self._vector(slot, kind.bytewidth)
        self.content.spend(count * kind.bytewidth)
        dtype = np.dtype(kind.name).newbyteorder("<")
        return tuple(np.frombuffer(self.content.raw, dtype, count, start).tolist())

    def text(self, slot: int) -> str:
        """A string; empty if absent. Bytes that are no UTF-8 are replaced, since names are only shown."""
        start, count = self._vector(slot, 1)
        self.content.spend(count)
        return self.content.raw[start : start + count].decode(errors="replace")

    def block(self, slot: int) -> Block | None:
        """Where a vector of bytes stands; None if absent or empty."""
        start, count = self._vector(slot, 1)
        return Block(start, start + count, _LENGTH) if count else None

    def table(self, slot: int) -> "Node | None":
        """A table; None if absent."""
        position = self._position(slot)
        return None if position is None else Node(self.content, position + self.Get(UINT32, position))

    def tables(self, slot: int) -> Iterator["Node"]:
        """A vector of tables; nothing if absent."""
        start, count = self._vector(slot, UINT32.bytewidth)
        self.content.spend(count * UINT32.bytewidth)
        for position in range(start, start + count * UINT32.bytewidth, UINT32.bytewidth):
            yield Node(self.content, position + self.Get(UINT32, position))

    def _position(self, slot: int) -> int | None:
        offset = self.Offset(4 + 2 * slot)  # a vtable starts with two lengths of two bytes each
        return self.Pos + offset if offset else None

    def _vector(self, slot: int, width: int) -> tuple[int, int]:
        position = self._position(slot)
        if position is None:
            return 0, 0
        start = position + self.Get(UINT32, position)
        count = self.Get(UINT32, start)
        self.content.check(start + _LENGTH, count * width)
        return start + _LENGTH, count


def read_model_bytes(source: Path | bytes) -> bytes:
    """The bytes of a model file; bytes pass through.

    Raises:
        ModelFileError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ModelFileError(
            expected=f"a readable .tflite at {source}", got=error.strerror or str(error), do="check the path"
        ) from error


def root(raw: bytes) -> Node:
    """The model table of a TFLite file.

    Raises:
        ModelFileError: another kind of file, or another version of the schema.
    """
    if raw[4:_HEADER] != IDENTIFIER:
        raise ModelFileError(
            expected=f"a TFLite model, which has {IDENTIFIER.decode()} as its bytes 4 to 7",
            got=f"{len(raw)} bytes that start with {raw[:_HEADER]!r}",
            do="check that this is the .tflite file, whole, and not a link, a page or another format",
        )
    content = Content(raw)
    model = Node(content, int.from_bytes(raw[:4], "little"))
    version = model.number(0, UINT32)
    if version != VERSION:
        raise ModelFileError(
            expected=f"a TFLite model of schema version {VERSION}",
            got=f"version {version}",
            do="convert the model again with a current converter",
        )
    return model


def buffers(model: Node) -> tuple[Block | None, ...]:
    """Where each of the model's buffers stands; None for empty ones.

    Small models hold their buffers as vectors, models beyond 2 GiB behind the flatbuffer, at an offset from the start
    of the file.
    """
    return tuple(_buffer(each) for each in model.tables(4))


def metadata(model: Node) -> tuple[tuple[str, Block | None], ...]:
    """The model's metadata: names, and where the bytes stand."""
    blocks = buffers(model)
    found = []
    for entry in model.tables(6):
        index = entry.number(1, UINT32)
        if index >= len(blocks):
            raise damaged(f"metadata in buffer {index} of {len(blocks)}")
        found.append((entry.text(0), blocks[index]))
    return tuple(found)


def damaged(what: str) -> ModelFileError:
    """The error for a file that contradicts itself."""
    return ModelFileError(
        expected="a whole TFLite model", got=what, do="it is truncated or damaged: copy it, or convert it, again"
    )


@contextlib.contextmanager
def naming(source: Path | bytes) -> Iterator[None]:
    """Add the file's name to the errors of the block."""
    try:
        yield
    except ModelFileError as error:
        if isinstance(source, bytes):
            raise
        raise ModelFileError(expected=error.expected, got=f"{error.got} in {source}", do=error.do) from error


def _buffer(node: Node) -> Block | None:
    start, size = node.number(1, UINT64), node.number(2, UINT64)
    if start <= 1 or size == 0:  # 1 is the writer's placeholder for "not yet known"
        return node.block(0)
    node.content.check(start, size)
    return Block(start, start + size, 0)
