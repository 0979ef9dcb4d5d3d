"""The interpreter of TFLite runtimes as an engine, on the CPU or with a delegate library that the user brings."""

import contextlib
import ctypes
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from octopix.errors import DelegateError
from octopix.graph import Graph
from octopix.native import lines_taken
from octopix.shapes import STAND_IN_SIDE, takes_any_size

_EXPORTS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


class Interpreter:
    """An `octopix.session.Engine` over a runtime's interpreter, with its tensors allocated."""

    parallel = True

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._inputs = [detail["index"] for detail in interpreter.get_input_details()]
        self._outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def input_shapes(self) -> list[tuple[int, ...]]:
        """See `Engine.input_shapes`."""
        return [tuple(int(side) for side in each["shape"]) for each in self._interpreter.get_input_details()]

    def resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """See `Engine.resize`."""
        for index, shape in zip(self._inputs, shapes, strict=True):
            self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()

    def place(self, arrays: Sequence[NDArray[Any]]) -> None:
        """See `Engine.place`."""
        for index, array in zip(self._inputs, arrays, strict=True):
            self._interpreter.set_tensor(index, array)

    def execute(self) -> None:
        """See `Engine.execute`."""
        self._interpreter.invoke()

    def outputs(self) -> list[NDArray[Any]]:
        """See `Engine.outputs`."""
        return [self._interpreter.get_tensor(index) for index in self._outputs]

    def tensor(self, index: int) -> NDArray[Any]:
        """See `Engine.tensor`."""
        values: NDArray[Any] = self._interpreter.get_tensor(index)
        return values


def make_interpreter(
    module: Any,
    content: bytes,
    graph: Graph,
    *,
    resolver: str,
    threads: int,
    keep_tensors: bool = False,
    library: Path | None = None,
) -> Any:
    """A runtime's interpreter with its tensors allocated, open sides at `STAND_IN_SIDE`.

    Args:
        module: the runtime's interpreter module.
        content: the model's bytes.
        graph: of that model.
        resolver: name of an ``OpResolverType``.
        threads: of the CPU.
        keep_tensors: see `octopix.runtime.open_session`.
        library: a delegate to load.

    Raises:
        DelegateError: the library cannot be loaded, or is no delegate.
        RuntimeError, ValueError: what the runtime refuses.
    """
    with _quiet_creation():
        interpreter = module.Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_op_resolver_type=module.OpResolverType[resolver],
            experimental_preserve_all_tensors=keep_tensors,
            **({} if library is None else {"experimental_delegates": [_load(module, library)]}),
        )
        _fill_open_sides(interpreter, graph)
        interpreter.allocate_tensors()
    return interpreter


def delegation(interpreter: Any) -> tuple[int | None, int | None]:
    """(operators, operators a delegate took), read from the execution plan.

    After allocation, the runtime lists the model's own operators and, behind them, one ``DELEGATE`` node per
    partition with the partition's outer inputs and outputs; walking back from the outputs to the inputs
    finds the operators inside. XNNPACK is the only delegate that the CPU resolvers bring along, so without a library
    a ``DELEGATE`` node is XNNPACK's. The listing is not public API: without it the answer is None.
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


def _fill_open_sides(interpreter: Any, graph: Graph) -> None:
    """Ask for `STAND_IN_SIDE` where a side is open: many a network cannot be allocated at the 1 that stands there."""
    for tensor in (graph.tensors[index] for index in graph.inputs):
        if takes_any_size(tensor):
            sides = [STAND_IN_SIDE if side < 0 else side for side in tensor.shape_signature[1:]]
            interpreter.resize_tensor_input(tensor.index, [tensor.shape[0], *sides])


def _load(module: Any, library: Path) -> Any:
    """Load a delegate library.

    Raises:
        DelegateError: it is missing, damaged, of another machine, no delegate, or does not start.
    """
    _check_library(library)
    try:
        return module.load_delegate(str(library))
    except (AttributeError, OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise _no_delegate(library, f"one that does not start ({said or 'it says nothing'})") from error


def _check_library(library: Path) -> None:
    """Look first: of what it cannot load, the runtime leaves a half-made object that complains once more later."""
    try:
        found = ctypes.CDLL(str(library))
    except OSError as error:  # dlopen's words name what is missing
        raise _no_delegate(library, " ".join(str(error).split())) from error
    if not all(hasattr(found, name) for name in _EXPORTS):
        raise _no_delegate(library, f"a library without {_EXPORTS[0]}")


def _no_delegate(library: Path, got: str) -> DelegateError:
    return DelegateError(
        expected=f"a TFLite delegate library of this machine at {library}",
        got=got,
        do=f"give the path of a library that exports {' and '.join(_EXPORTS)}",
    )


_NOTICE = re.compile(rb"^\s*INFO: Created TensorFlow Lite XNNPACK delegate for CPU\.\s*$")


@contextlib.contextmanager
def _quiet_creation() -> Iterator[None]:
    """Keep the runtime's notice of its delegate, and the warning about kept tensors, from the user's terminal."""
    with lines_taken(_NOTICE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        yield
