"""Published PyTorch checkpoints, read without PyTorch and without executing what they hold.

A checkpoint is a pickle, and a pickle can name any function to be called. The reader here knows three names, those
that a plain state dictionary needs, and refuses all others. It reads the stream format of PyTorch before 1.6, which the
LESRCNN authors published: five pickles (magic, version, system, tensors, storage keys), then the raw storages.
"""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.errors import ModelFileError

Array = npt.NDArray[np.float32]
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


@dataclass(frozen=True)
class _View:
    """A tensor before its storage is known: sizes and strides count elements."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_checkpoint(path: Path) -> dict[str, Array]:
    """Tensors of a state dictionary by name, float32, PyTorch's own layout (out, in, height, width).

    Raises:
        ModelFileError: not such a checkpoint, damaged, of the later zip format, or one that asks for more than tensors.
    """
    stream = BytesIO(path.read_bytes())
    if stream.getvalue()[:2] == b"PK":
        raise _refused(path, "a zip archive", "save it again with torch.save(…, _use_new_zipfile_serialization=False)")
    try:
        if (_load(stream), _load(stream)) != (MAGIC, PROTOCOL):
            raise _refused(path, "another magic number or version", "check the download")
        _load(stream)  # sizes of the writer's C types; float32 is the same everywhere
        views = _load(stream)
        storages = {key: _storage(stream) for key in _load(stream)}
        return {name: _tensor(view, storages) for name, view in views.items()}
    except (pickle.UnpicklingError, struct.error, EOFError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _refused(path, f"something else ({error})", "check the download") from error


class _Unpickler(pickle.Unpickler):
    """Knows ordered dictionaries, float storages and tensor views, and nothing else."""

    KNOWN: Mapping[tuple[str, str], Callable[..., Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): OrderedDict,  # a marker, never called
        ("torch._utils", "_rebuild_tensor_v2"): lambda key, offset, shape, strides, *rest: _View(
            key, offset, shape, strides
        ),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up among the known ones."""
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no tensor needs")
        return self.KNOWN[module, name]

    def persistent_load(self, identity: Any) -> str:
        """The key of a storage; ``identity`` is (storage, type, key, device, count, view)."""
        return str(identity[2])


def _load(stream: BytesIO) -> Any:
    return _Unpickler(stream).load()


def _storage(stream: BytesIO) -> Array:
    (count,) = struct.unpack("<q", stream.read(8))
    content = stream.read(4 * count)
    if count < 0 or len(content) != 4 * count:
        raise EOFError("it ends in the middle of a storage")
    return np.frombuffer(content, "<f4")


def _tensor(view: _View, storages: Mapping[str, Array]) -> Array:
    storage = storages[view.storage][view.offset :]
    reach = 1 + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if min(view.shape, default=1) < 1 or min(view.strides, default=0) < 0 or reach > storage.size:
        raise ValueError("a tensor reaches beyond its storage")
    steps = [stride * storage.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(storage, view.shape, steps).astype(np.float32)


def _refused(path: Path, got: str, do: str) -> ModelFileError:
    return ModelFileError(expected=f"a PyTorch checkpoint of float tensors (legacy stream) in {path}", got=got, do=do)
