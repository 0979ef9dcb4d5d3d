"""A network that is open for running, whatever runs it, and the facts of what that is."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from octopix.errors import ConfigError, ImageError, ModelFileError
from octopix.graph import Graph, Tensor

RUN, COPIES_TOO = "run", "write+run+read"


@dataclass(frozen=True)
class RunFacts:
    """What was asked of the runtime, and what it gave. Unknowable is None."""

    runtime: str
    version: str
    delegate_asked: str
    delegate_got: str | None
    """``cpu-xnnpack`` if XNNPACK took at least one operator, ``cpu-builtin`` if none; ``gpu`` for hardware only, as
    ``software-gpu`` is a CPU that plays one; ``…-fp16`` where half precision shows in the output."""
    threads: int
    operators: int | None
    operators_delegated: int | None
    """Of ``operators``, how many the delegate took; the rest run on builtin kernels. Resizing does not change it."""
    adapter: str | None = None
    """What the GPU's driver calls itself, and its interface."""
    fallback: str | None = None
    """Why the CPU stands in for the delegate that was asked for; None where it does not."""
    timed: str = RUN
    """What a latency covers: GPUs work on after `Session.execute` of others would return, so for them copies, too."""


class Engine(Protocol):
    """What runs a network: inputs in, outputs out. Its errors are RuntimeError and ValueError."""

    @property
    def parallel(self) -> bool:
        """Whether several at a time are of use."""

    def input_shapes(self) -> list[tuple[int, ...]]:
        """Current shapes, in the graph's order."""

    def resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Give all inputs new shapes."""

    def place(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Take the inputs; types and shapes fit."""

    def execute(self) -> None:
        """Compute the outputs to the end."""

    def outputs(self) -> list[NDArray[Any]]:
        """Copies of all outputs."""

    def tensor(self, index: int) -> NDArray[Any]:
        """A copy of any tensor; only where the engine was made to keep them."""


class Session:
    """One network, ready to run. Not to be shared between threads.

    Shapes are those of the network, batch first: (1, H, W, C) for pictures.
    """

    def __init__(self, engine: Engine, graph: Graph, facts: RunFacts, *, init_ms: float, keep_tensors: bool) -> None:
        self._engine = engine
        self._keep_tensors = keep_tensors
        self.graph = graph
        self.facts = facts
        self.init_ms = init_ms
        """Milliseconds the runtime took from bytes to allocated tensors."""
        self._inputs = [graph.tensors[index] for index in graph.inputs]
        self._output = graph.tensors[graph.outputs[0]]
        self._shapes = engine.input_shapes()
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
        return np.dtype(self._inputs[0].dtype)

    @property
    def output_dtype(self) -> np.dtype[Any]:
        """Element type of the first output."""
        return np.dtype(self._output.dtype)

    @property
    def input_quantization(self) -> tuple[float, int]:
        """(scale, zero point) of the first input: value = scale · (stored − zero point); (0.0, 0) if none."""
        return _quantization(self._inputs[0])

    @property
    def output_quantization(self) -> tuple[float, int]:
        """(scale, zero point) of the first output; (0.0, 0) if none."""
        return _quantization(self._output)

    @property
    def parallel(self) -> bool:
        """Whether several sessions at a time are of use; a GPU takes one call after the other."""
        return self._engine.parallel

    def resize(self, *shapes: Sequence[int]) -> None:
        """Give the inputs new shapes; costs a new allocation only when one of them changes.

        Raises:
            ModelFileError: the network cannot take such shapes, or the memory is too small for them.
        """
        wanted = [tuple(shape) for shape in shapes]
        if self._allocated and wanted == self._shapes:
            return
        self._allocated = False
        with runtime_errors(self.facts.runtime, f"a model that accepts input {wanted[0]}", "give another size"):
            self._engine.resize(wanted)
        self._shapes, self._allocated = wanted, True

    def place(self, *arrays: NDArray[Any]) -> None:
        """Copy the inputs in, one array per input, resizing where the shapes differ.

        Raises:
            ImageError: an array's element type is not the input's (nothing is converted silently).
            ModelFileError: as for `resize`.
        """
        for tensor, array in zip(self._inputs, arrays, strict=True):
            if array.dtype != np.dtype(tensor.dtype):
                raise ImageError(
                    expected=f"{tensor.dtype} values for the input {tensor.name!r}",
                    got=f"{array.dtype}",
                    do="convert them on purpose: integer inputs hold value / scale + zero point",
                )
        self.resize(*(array.shape for array in arrays))
        self._engine.place(arrays)

    def execute(self) -> None:
        """Run the network to its end on the inputs already placed: the call that latency tables time.

        ``facts.timed`` says whether that includes copies.
        """
        with runtime_errors(self.facts.runtime, "a network that runs", "check the model with `octopix inspect`"):
            self._engine.execute()

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """All inputs in, copies of all outputs out."""
        self.place(*inputs)
        self.execute()
        return self._engine.outputs()

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
        return self._engine.tensor(index)


@contextlib.contextmanager
def runtime_errors(runtime: str, expected: str, do: str) -> Iterator[None]:
    """Make a `ModelFileError` of what a runtime refuses."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        got = f"from {runtime}: {' '.join(str(error).split())}"
        raise ModelFileError(expected=expected, got=got, do=do) from error


def _quantization(tensor: Tensor) -> tuple[float, int]:
    found = tensor.quantization
    if found is None or len(found.scales) != 1:
        return 0.0, 0
    return float(found.scales[0]), int(found.zero_points[0]) if found.zero_points else 0
