"""LiteRT's CompiledModel as an engine: on the GPU alone, or on the CPU in half precision.

That a network runs on the GPU is proven by nothing but that it is accepted for the GPU alone: with the CPU beside it
LiteRT calls anything accelerated. Which adapter that is, and whether it is a CPU that plays one, stands on stderr only.
"""

import functools
import importlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from octopix.delegates import Delegate
from octopix.errors import DelegateError
from octopix.fixed_size import with_input_shape
from octopix.graph import Graph
from octopix.native import lines_taken
from octopix.shapes import STAND_IN_SIDE, takes_any_size

Made = TypeVar("Made")

RUNTIME = "ai-edge-litert"
SMALL_SIDE = 32
"""Height and width that networks of any size are opened at on a GPU, where each size is compiled anew."""

_FORCE_FP16 = 4  # XNNPACK's TFLITE_XNNPACK_DELEGATE_FLAG_FORCE_FP16
_EVERYTHING = re.compile(rb"")
_ADAPTER = re.compile(r"Selected adapter: (.*?), (?:arch|vendor|backend|adapterType)=")
_BACKEND, _KIND = re.compile(r"\bbackend=([^,]+)"), re.compile(r"\badapterType=(.+)$")
_REFUSING = "operations are not supported"
_DYNAMIC = "has dynamic-sized tensors"
_INVALID = "Validation error"
_REFUSED = re.compile(r"[A-Z][A-Z0-9_]*: .+")
_NO_ADAPTER = ("No adapters found", "Found no drivers", "Failed to initialize WebGPU environment")
_COMPLAINT = re.compile(r"^(?:ERROR: (?:\[[^\]]*\])?|[EF]\d{4} \S+ +\d+ \S+\]) *(.+)$")


@dataclass(frozen=True)
class Adapter:
    """What LiteRT's GPU accelerator runs on, as it says itself."""

    name: str
    kind: str
    """The driver's word: ``Discrete GPU``, ``Integrated GPU``, ``CPU`` …; empty where nothing was said."""

    @property
    def got(self) -> str:
        """The word for it in facts. Only what calls itself a GPU is called one."""
        if "CPU" in self.kind.upper():
            return "software-gpu"
        return "gpu" if "GPU" in self.kind.upper() else "unnamed-gpu"


@dataclass(frozen=True)
class LiteRt:
    """The module of CompiledModel and the one environment of this process, which holds the GPU's device."""

    module: Any
    environment: Any
    adapters: list[Adapter]
    """Empty until the first network met the GPU: the adapter is named once."""


class Compiled:
    """An `octopix.session.Engine` over a CompiledModel.

    Args:
        model: of LiteRT.
        graph: of the same file.
        waits: whether the end of a call is known by its output only, as on GPUs; then `execute` copies, too.
    """

    def __init__(self, model: Any, graph: Graph, *, waits: bool) -> None:
        self.parallel = not waits
        self._model = model
        self._waits = waits
        key = next(iter(model.get_signature_list()))
        self._inputs = _order(model.get_input_tensor_details(key), graph.inputs)
        self._outputs = _order(model.get_output_tensor_details(key), graph.outputs)
        self._dtypes = [np.dtype(graph.tensors[index].dtype) for index in graph.outputs]
        self._tried = False
        self._placed: list[NDArray[Any]] = []
        self._read: list[NDArray[Any]] = []
        self._make_buffers()

    def input_shapes(self) -> list[tuple[int, ...]]:
        """See `Engine.input_shapes`."""
        return [self._shapes[place] for place in self._inputs]

    def resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """See `Engine.resize`."""

        def change() -> None:
            for place, shape in zip(self._inputs, shapes, strict=True):
                # Strict would be: only sides that the file leaves open.
                self._model.resize_input_tensor(place, shape, strict=False)
            self._make_buffers()

        _, said, error = _heard(change)
        if error is not None:
            raise RuntimeError(_complaint(said) or str(error)) from error

    def place(self, arrays: Sequence[NDArray[Any]]) -> None:
        """See `Engine.place`."""
        self._placed = [np.ascontiguousarray(array) for array in arrays]
        if not self._waits:
            self._write()

    def execute(self) -> None:
        """See `Engine.execute`."""
        if self._tried:
            self._run()
            return
        _, said, error = _heard(self._run)
        # What a GPU's driver does not take is left out, and the output is whatever was there before.
        if error is not None or any(_INVALID in line for line in said):
            raise RuntimeError(_complaint(said) or str(error)) from error
        self._tried = True

    def outputs(self) -> list[NDArray[Any]]:
        """See `Engine.outputs`."""
        return self._read if self._waits else self._copies()

    def tensor(self, index: int) -> NDArray[Any]:
        """CompiledModel shows no tensors within."""
        raise RuntimeError(f"tensor {index} cannot be seen")

    def _run(self) -> None:
        if self._waits:
            self._write()
        self._model.run_by_index(0, self._sources, self._sinks)
        if self._waits:
            self._read = self._copies()

    def _make_buffers(self) -> None:
        self._tried = False
        self._sources = self._model.create_input_buffers(0)
        self._sinks = self._model.create_output_buffers(0)
        self._shapes = [_shape(buffer) for buffer in self._sources]
        self._sizes = [_shape(buffer) for buffer in self._sinks]

    def _write(self) -> None:
        for place, array in zip(self._inputs, self._placed, strict=True):
            self._sources[place].write(array)

    def _copies(self) -> list[NDArray[Any]]:
        found = []
        for place, dtype in zip(self._outputs, self._dtypes, strict=True):
            shape = self._sizes[place]
            found.append(self._sinks[place].read(math.prod(shape), dtype).reshape(shape))
        return found


def compile_model(content: bytes, graph: Graph, delegate: Delegate, *, threads: int) -> tuple[Compiled, Adapter | None]:
    """A network in LiteRT's CompiledModel, and on the GPU the adapter.

    Args:
        content: the model's bytes.
        graph: of that model.
        delegate: of those without a resolver.
        threads: of the CPU.

    Raises:
        DelegateError: LiteRT is too old, there is no GPU, or the network is not taken.
    """
    litert = _start()
    gpu = delegate.hardware == "GPU"
    options = _options(litert.module, delegate, threads)

    def make() -> Compiled:
        sized = _sized(content, graph, SMALL_SIDE if gpu else STAND_IN_SIDE)
        model = litert.module.CompiledModel.from_buffer(sized, environment=litert.environment, options=options)
        return Compiled(model, graph, waits=gpu)

    made, said, error = _heard(make)
    litert.adapters.extend(_adapters(said))
    if made is None:
        raise _refusal(delegate, said, error) from error
    return made, _latest(litert) if gpu else None


def started() -> bool:
    """Whether this process has started LiteRT's CompiledModel."""
    return _start.cache_info().currsize > 0


def _latest(litert: LiteRt) -> Adapter:
    return litert.adapters[-1] if litert.adapters else Adapter("unknown", "")


@functools.cache
def _start() -> LiteRt:
    """LiteRT, started once.

    Raises:
        DelegateError: this installation has none that is new enough.
    """
    # Without it LiteRT writes about OpenCL, which its wheels do not use, to standard output.
    os.environ.setdefault("LITERT_DISABLE_OPENCL", "1")
    try:
        module = importlib.import_module("ai_edge_litert.compiled_model")
        folder = str(Path(str(module.__file__)).parent)
        make = functools.partial(module.Environment.create, options=module.EnvironmentOptions(runtime_path=folder))
        environment, _, error = _heard(make)
    except (ImportError, OSError, AttributeError, TypeError) as problem:
        raise DelegateError(
            expected=f"{RUNTIME} 2.3 or later, which this delegate needs",
            got=" ".join(str(problem).split()),
            do=f'run: pip install --upgrade "{RUNTIME}>=2.3", or choose --delegate cpu',
        ) from problem
    if error is not None:
        raise DelegateError(
            expected="LiteRT to start", got=" ".join(str(error).split()), do="choose --delegate cpu"
        ) from error
    return LiteRt(module, environment, [])


def _options(module: Any, delegate: Delegate, threads: int) -> Any:
    if delegate.hardware == "GPU":
        return module.Options(
            hardware_accelerators=module.HardwareAccelerator.GPU,
            gpu_options=module.GpuOptions(enforce_f32=not delegate.half),
        )
    return module.Options(
        hardware_accelerators=module.HardwareAccelerator.CPU,
        cpu_options=module.CpuOptions(num_threads=threads, xnnpack_flags=_FORCE_FP16 if delegate.half else None),
    )


def _sized(content: bytes, graph: Graph, side: int) -> bytes:
    """The file with one size written where it leaves it open: many a network cannot be prepared at 1x1."""
    tensor = graph.tensors[graph.inputs[0]]
    if len(graph.inputs) != 1 or not takes_any_size(tensor):
        return content
    return with_input_shape(
        content, (tensor.shape[0], *(side if each < 0 else each for each in tensor.shape_signature[1:]))
    )


def _heard(make: Callable[[], Made]) -> tuple[Made | None, list[str], Exception | None]:
    """What a native call made, what it wrote to stderr, and how it failed."""
    made: Made | None = None
    failure: Exception | None = None
    with lines_taken(_EVERYTHING) as raw:
        try:
            made = make()
        except (RuntimeError, ValueError) as error:
            failure = error
    return made, [line.decode(errors="replace") for line in raw], failure


def _adapters(said: Sequence[str]) -> list[Adapter]:
    """Adapters that these lines name."""
    found = []
    for line in said:
        name, backend, kind = _ADAPTER.search(line), _BACKEND.search(line), _KIND.search(line)
        if name:
            via = f", {backend[1]}" if backend else ""
            found.append(Adapter(f"{name[1]}{via}", kind[1].strip() if kind else ""))
    return found


def _refusal(delegate: Delegate, said: Sequence[str], error: Exception | None) -> DelegateError:
    if delegate.hardware == "CPU":
        return DelegateError(
            expected="a CPU and a network that half precision fits",
            got=_complaint(said) or " ".join(str(error).split()),
            do="choose --delegate cpu",
        )
    if any(words in line for line in said for words in _NO_ADAPTER):
        return DelegateError(
            expected="a GPU with a driver for LiteRT (Vulkan on Linux)",
            got="no adapter",
            do="install the GPU's driver and the Vulkan loader (libvulkan1), or choose --delegate cpu",
        )
    refused = _refused(said)
    dynamic = "sizes that are known only while it runs" if any(_DYNAMIC in line for line in said) else ""
    return DelegateError(
        expected="a network that runs on the GPU alone",
        got="; ".join(refused) or dynamic or _complaint(said) or " ".join(str(error).split()),
        do="see what to change with `octopix inspect --delegate gpu`, or choose --delegate cpu",
        refused=refused,
    )


def _refused(said: Sequence[str]) -> tuple[str, ...]:
    """What the GPU accelerator says of operators that it does not take."""
    start = next((place for place, line in enumerate(said) if _REFUSING in line), len(said))
    found = []
    for line in said[start + 1 :]:
        if not _REFUSED.fullmatch(line):
            break
        found.append(line)
    return tuple(dict.fromkeys(found))


def _complaint(said: Sequence[str]) -> str:
    """The first error in what native code wrote; empty where it wrote none."""
    found = (_COMPLAINT.match(line) for line in said)
    return next((match[1] for match in found if match and not match[1].startswith("[")), "")


def _order(details: dict[str, dict[str, Any]], wanted: Sequence[int]) -> list[int]:
    """Where the graph's tensors stand in a signature, which has an order of its own."""
    indices = [int(each["index"]) for each in details.values()]
    return [indices.index(index) for index in wanted]


def _shape(buffer: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in buffer.get_tensor_details()["shape"])
