"""The one place that makes TFLite interpreters, and says truthfully what they run on.

A runtime is chosen by argument (``--runtime``), by the environment variable ``OCTOPIX_RUNTIME``, or as the
first of ``RUNTIMES`` that can be imported. Model bytes are checked by octopix's own reader before
any runtime sees them: tflite-runtime 2.14 ends the whole process on a truncated file.
"""

import contextlib
import importlib
import importlib.metadata
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octopix.errors import ConfigError, ImageError, ModelFileError, RuntimeMissingError
from octopix.graph import Graph, read_graph
from octopix.native import lines_taken
from octopix.schema import naming, read_model_bytes
from octopix.shapes import STAND_IN_SIDE, takes_any_size

RUNTIME_VARIABLE = "OCTOPIX_RUNTIME"
MAX_THREADS = 1024
"""More than any CPU has; runtimes ask the system for all at once, and end the process when it refuses."""


@dataclass(frozen=True)
class RuntimeEntry:
    """Where a runtime lives and which extra of octopix installs it."""

    module: str
    extra: str
    numpy_below: int | None = None
    """The NumPy major version it was not compiled for: there it imports, and dies when it makes an interpreter."""


RUNTIMES: Mapping[str, RuntimeEntry] = {
    "ai-edge-litert": RuntimeEntry(module="ai_edge_litert.interpreter", extra="litert"),
    "tflite-runtime": RuntimeEntry(module="tflite_runtime.interpreter", extra="tflite-runtime", numpy_below=2),
}
"""Distribution name -> entry, in order of preference."""

DELEGATES: Mapping[str, tuple[str, str]] = {
    "cpu": ("cpu-xnnpack", "BUILTIN"),
    "cpu-builtin": ("cpu-builtin", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
}
"""Argument -> (what is asked for, the ``OpResolverType`` that asks for it)."""


@dataclass(frozen=True)
class RunFacts:
    """What was asked of the runtime, and what it gave. Unknowable is None."""

    runtime: str
    version: str
    delegate_asked: str
    delegate_got: str | None
    """``cpu-xnnpack`` if XNNPACK took at least one operator, ``cpu-builtin`` if none."""
    threads: int
    operators: int | None
    operators_delegated: int | None
    """Of ``operators``, how many XNNPACK took; the rest run on the builtin kernels. Resizing does not change it."""


class Session:
    """One interpreter with its tensors allocated. Not to be shared between threads.

    Shapes are those of the network, batch first: (1, H, W, C) for pictures.
    """

    def __init__(self, interpreter: Any, graph: Graph, facts: RunFacts, *, init_ms: float, keep_tensors: bool) -> None:
        self._interpreter = interpreter
        self._keep_tensors = keep_tensors
        self.graph = graph
        self.facts = facts
        self.init_ms = init_ms
        """Milliseconds the runtime took from bytes to allocated tensors."""
        self._inputs = interpreter.get_input_details()
        self._outputs = [detail["index"] for detail in interpreter.get_output_details()]
        self._shapes = [tuple(int(size) for size in detail["shape"]) for detail in self._inputs]
        self._allocated = True

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Current shape of the first input."""
        return self._shapes[0]

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Current shapes of all inputs."""
        return tuple(self._shapes)

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """Element type of the first input, e.g. float32 or uint8."""
        dtype: np.dtype[Any] = np.dtype(self._inputs[0]["dtype"])
        return dtype

    @property
    def output_dtype(self) -> np.dtype[Any]:
        """Element type of the first output."""
        dtype: np.dtype[Any] = np.dtype(self._interpreter.get_output_details()[0]["dtype"])
        return dtype

    @property
    def input_quantization(self) -> tuple[float, int]:
        """(scale, zero point) of the first input: value = scale · (stored − zero point); (0.0, 0) if none."""
        return _quantization(self._inputs[0])

    @property
    def output_quantization(self) -> tuple[float, int]:
        """(scale, zero point) of the first output; (0.0, 0) if none."""
        return _quantization(self._interpreter.get_output_details()[0])

    def resize(self, *shapes: Sequence[int]) -> None:
        """Give the inputs new shapes; costs a new allocation only when one of them changes.

        Raises:
            ModelFileError: the network cannot take such shapes, or the memory is too small for them.
        """
        wanted = [tuple(shape) for shape in shapes]
        if self._allocated and wanted == self._shapes:
            return
        self._allocated = False
        with _runtime_errors(self.facts.runtime, f"a model that accepts input {wanted[0]}", "give another size"):
            for detail, shape in zip(self._inputs, wanted, strict=True):
                self._interpreter.resize_tensor_input(detail["index"], shape)
            self._interpreter.allocate_tensors()
        self._shapes, self._allocated = wanted, True

    def place(self, *arrays: NDArray[Any]) -> None:
        """Copy the inputs in, one array per input, resizing where the shapes differ.

        Raises:
            ImageError: an array's element type is not the input's (nothing is converted silently).
            ModelFileError: as for `resize`.
        """
        for detail, array in zip(self._inputs, arrays, strict=True):
            if array.dtype != detail["dtype"]:
                raise ImageError(
                    expected=f"{np.dtype(detail['dtype'])} values for the input {detail['name']!r}",
                    got=f"{array.dtype}",
                    do="convert them on purpose: integer inputs hold value / scale + zero point",
                )
        self.resize(*(array.shape for array in arrays))
        for detail, array in zip(self._inputs, arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)

    def execute(self) -> None:
        """Run the network on the inputs already placed, copying nothing: the call that latency tables time."""
        with _runtime_errors(self.facts.runtime, "a network that runs", "check the model with `octopix inspect`"):
            self._interpreter.invoke()

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """All inputs in, copies of all outputs out."""
        self.place(*inputs)
        self.execute()
        return [self._interpreter.get_tensor(index) for index in self._outputs]

    def invoke(self, array: NDArray[Any]) -> NDArray[Any]:
        """The only input in, a copy of the first output out."""
        return self.run([array])[0]

    def tensor(self, index: int) -> NDArray[Any]:
        """A copy of any tensor after a run; needs ``keep_tensors=True``, since arenas are reused otherwise."""
        if not self._keep_tensors:
            raise ConfigError(
                expected="a session that keeps its tensors",
                got="one that reuses their memory",
                do="open it with keep_tensors=True",
            )
        values: NDArray[Any] = self._interpreter.get_tensor(index)
        return values


def open_session(
    model: Path | bytes,
    *,
    threads: int = 1,
    runtime: str | None = None,
    delegate: str = "cpu",
    keep_tensors: bool = False,
) -> Session:
    """Open a ``.tflite`` for running.

    Args:
        model: the file, or its bytes.
        threads: CPU threads, 1 to `MAX_THREADS`.
        runtime: a key of `RUNTIMES`; None means ``OCTOPIX_RUNTIME``, else the first that is installed.
        delegate: a key of `DELEGATES`: ``cpu`` lets XNNPACK take what it can, ``cpu-builtin`` keeps it out.
        keep_tensors: keep every intermediate tensor readable. ai-edge-litert then runs XNNPACK operator
            by operator; tflite-runtime falls back to its builtin kernels (the facts say so).

    Raises:
        RuntimeMissingError: no runtime, or not the one asked for, can be imported.
        ModelFileError: the file is damaged or foreign, or holds what the runtime cannot run.
        ConfigError: an unknown runtime or delegate, or a number of threads out of range.
    """
    _check_threads(threads)
    asked, resolver = _known(DELEGATES, delegate, "delegate that")
    name, module = load_runtime(runtime)
    content = read_model_bytes(model)
    with naming(model):
        graph = read_graph(content)
    start = time.perf_counter()
    refused = _runtime_errors(name, "a model this runtime can run", _advice(name))
    with naming(model), refused, _quiet_creation():
        interpreter = module.Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_op_resolver_type=module.OpResolverType[resolver],
            experimental_preserve_all_tensors=keep_tensors,
        )
        _fill_open_sides(interpreter, graph)
        interpreter.allocate_tensors()
    init_ms = (time.perf_counter() - start) * 1000
    facts = _facts(interpreter, runtime=name, asked=asked, threads=threads)
    return Session(interpreter, graph, facts, init_ms=init_ms, keep_tensors=keep_tensors)


def _fill_open_sides(interpreter: Any, graph: Graph) -> None:
    """Ask for `STAND_IN_SIDE` where a side is open: many a network cannot be allocated at the 1 that stands there."""
    for tensor in (graph.tensors[index] for index in graph.inputs):
        if takes_any_size(tensor):
            sides = [STAND_IN_SIDE if side < 0 else side for side in tensor.shape_signature[1:]]
            interpreter.resize_tensor_input(tensor.index, [tensor.shape[0], *sides])


def load_runtime(name: str | None = None) -> tuple[str, Any]:
    """Choose and import a runtime: (its key in `RUNTIMES`, its interpreter module).

    Raises:
        ConfigError: ``name`` or ``OCTOPIX_RUNTIME`` is no key of `RUNTIMES`.
        RuntimeMissingError: it is not installed, or cannot be imported; names the command that mends it.
    """
    wanted = name or os.environ.get(RUNTIME_VARIABLE) or None
    if wanted is not None:
        _known(RUNTIMES, wanted, f"runtime (given, or in {RUNTIME_VARIABLE}) that")
    candidates = tuple(RUNTIMES) if wanted is None else (wanted,)
    reasons = []
    for candidate in candidates:
        try:
            return candidate, _import(RUNTIMES[candidate])
        except (ImportError, OSError) as error:  # OSError: a native library that is damaged or of another machine
            reasons.append(f"{candidate}: {' '.join(str(error).split())}")
    raise RuntimeMissingError(
        expected="an installed TFLite runtime" if wanted is None else f"the runtime {wanted}",
        got="; ".join(reasons),
        do=f'run: pip install "octopix[{RUNTIMES[candidates[0]].extra}]"',
    )


def _import(entry: RuntimeEntry) -> Any:
    module = importlib.import_module(entry.module)
    if entry.numpy_below is not None and int(np.__version__.partition(".")[0]) >= entry.numpy_below:
        raise ImportError(f"compiled for NumPy below {entry.numpy_below}, but this is NumPy {np.__version__}")
    return module


def _facts(interpreter: Any, *, runtime: str, asked: str, threads: int) -> RunFacts:
    operators, delegated = _delegation(interpreter)
    got = None if delegated is None else "cpu-xnnpack" if delegated else "cpu-builtin"
    return RunFacts(
        runtime=runtime,
        version=_version(runtime),
        delegate_asked=asked,
        delegate_got=got,
        threads=threads,
        operators=operators,
        operators_delegated=delegated,
    )


def _version(runtime: str) -> str:
    try:
        return importlib.metadata.version(runtime)
    except importlib.metadata.PackageNotFoundError:  # a module put there by hand, without its package's records
        return "unknown"


def _delegation(interpreter: Any) -> tuple[int | None, int | None]:
    """(operators, operators a delegate took), read from the execution plan.

    After allocation, the runtime lists the model's own operators and, behind them, one ``DELEGATE`` node per
    partition with the partition's outer inputs and outputs; walking back from the outputs to the inputs
    finds the operators inside. XNNPACK is the only delegate that the CPU resolvers bring along, so a
    ``DELEGATE`` node is XNNPACK's. The listing is not public API: without it the answer is None.
    """
    listing = getattr(interpreter, "_get_ops_details", None)
    if listing is None:
        return None, None
    nodes = listing()
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    producer = {int(tensor): place for place, node in enumerate(own) for tensor in node["outputs"]}
    taken: set[int] = set()
    for partition in (node for node in nodes if node["op_name"] == "DELEGATE"):
        outer = {int(tensor) for tensor in partition["inputs"]}
        frontier = [int(tensor) for tensor in partition["outputs"]]
        while frontier:
            tensor = frontier.pop()
            place = producer.get(tensor)
            if tensor in outer or place is None or place in taken:
                continue
            taken.add(place)
            frontier.extend(int(source) for source in own[place]["inputs"])
    return len(own), len(taken)


_NOTICE = re.compile(rb"^\s*INFO: Created TensorFlow Lite XNNPACK delegate for CPU\.\s*$")


@contextlib.contextmanager
def _quiet_creation() -> Iterator[None]:
    """Keep the runtime's notice of its delegate, and the warning about kept tensors, from the user's terminal."""
    with lines_taken(_NOTICE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        yield


@contextlib.contextmanager
def _runtime_errors(runtime: str, expected: str, do: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        got = f"from {runtime}: {' '.join(str(error).split())}"
        raise ModelFileError(expected=expected, got=got, do=do) from error


def _advice(runtime: str) -> str:
    others = " or ".join(name for name in RUNTIMES if name != runtime)
    return f"try another runtime ({others}), or convert the model for older operator versions"


def _check_threads(threads: int) -> None:
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(
            expected=f"1 to {MAX_THREADS} threads", got=str(threads), do="give as many as the CPU has cores"
        )


def _known(registry: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in registry:
        raise ConfigError(
            expected=f"a {what} octopix knows", got=repr(name), do=f"choose one of: {', '.join(registry)}"
        )
    return registry[name]


def _quantization(detail: Mapping[str, Any]) -> tuple[float, int]:
    scale, zero_point = detail["quantization"]
    return float(scale), int(zero_point)
