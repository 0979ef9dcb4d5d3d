"""Other runtimes as engines of octopix, so that pictures and clocks reach them by the very code that ours goes through.

Pictures are NHWC outside and NCHW inside; turning them is outside `Engine.execute`, the call that is timed.
Outputs are float and neither clipped nor rounded: `octopix.ports.plane_bytes` does that, as for our float networks.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from octopix.graph import Graph, read_graph
from octopix.images import Array
from octopix.session import Engine, RunFacts, Session

INPUT, OUTPUT = "input", "output"
"""Names in the ONNX graph."""
HEIGHT, WIDTH = "height", "width"
"""Names of the open sides of its input."""


class OnnxRuntimeEngine:
    """An `octopix.session.Engine` over ONNX Runtime's CPU provider, with its input and output bound.

    Args:
        path: the ``.onnx``.
        shape: the first input's, (1, H, W, C).
        threads: of one operator; operators run one after the other.
        fixed: whether this shape is the only one, which lets the runtime plan its memory.
    """

    parallel = True

    def __init__(self, path: Path, shape: tuple[int, ...], *, threads: int, fixed: bool) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors: warnings would cover the progress
        # Idle threads would otherwise go on spinning, and take the time of whoever has the next turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if fixed:
            options.add_free_dimension_override_by_name(HEIGHT, shape[1])
            options.add_free_dimension_override_by_name(WIDTH, shape[2])
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self._shape = shape

    def input_shapes(self) -> list[tuple[int, ...]]:
        """See `Engine.input_shapes`."""
        return [self._shape]

    def resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """See `Engine.resize`."""
        (self._shape,) = shapes

    def place(self, arrays: Sequence[Array]) -> None:
        """See `Engine.place`."""
        self._binding.bind_cpu_input(INPUT, _channels_first(arrays[0]))
        self._binding.bind_output(OUTPUT, "cpu")

    def execute(self) -> None:
        """See `Engine.execute`."""
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[Array]:
        """See `Engine.outputs`."""
        return [_channels_last(each) for each in self._binding.copy_outputs_to_cpu()]

    def tensor(self, index: int) -> Array:
        """See `Engine.tensor`."""
        raise ValueError("ONNX Runtime keeps no inner tensors")


class OpenVinoEngine:
    """An `octopix.session.Engine` over OpenVINO's CPU plugin.

    Args:
        path: an ``.onnx`` or an OpenVINO ``.xml``.
        shape: the first input's, (1, H, W, C).
        threads: of an inference; one stream.
        fixed: whether this shape is the only one, for which the graph is compiled then.
        precision: of what is not quantized, ``f32`` or ``bf16``; None leaves it to OpenVINO.
    """

    parallel = True

    def __init__(
        self, path: Path, shape: tuple[int, ...], *, threads: int, fixed: bool, precision: str | None = None
    ) -> None:
        import openvino

        core = openvino.Core()
        model = openvino.convert_model(path) if path.suffix == ".onnx" else core.read_model(path)
        if fixed:
            model.reshape([1, shape[3], *shape[1:3]])
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        if precision is not None:
            settings["INFERENCE_PRECISION_HINT"] = precision
        compiled = core.compile_model(model, "CPU", settings)
        self._tensor: Callable[[Array], Any] = lambda array: openvino.Tensor(array, shared_memory=True)
        self._request = compiled.create_infer_request()
        self._shape = shape

    def input_shapes(self) -> list[tuple[int, ...]]:
        """See `Engine.input_shapes`."""
        return [self._shape]

    def resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """See `Engine.resize`."""
        (self._shape,) = shapes

    def place(self, arrays: Sequence[Array]) -> None:
        """See `Engine.place`."""
        self._placed = _channels_first(arrays[0])  # shared with the request: it must live as long
        self._request.set_input_tensor(self._tensor(self._placed))

    def execute(self) -> None:
        """See `Engine.execute`. Not ``infer()``, which would copy the output into a NumPy array as well."""
        self._request.start_async()
        self._request.wait()

    def outputs(self) -> list[Array]:
        """See `Engine.outputs`."""
        return [_channels_last(self._request.get_output_tensor(0).data)]

    def tensor(self, index: int) -> Array:
        """See `Engine.tensor`."""
        raise ValueError("OpenVINO keeps no inner tensors")


Open = Callable[[tuple[int, ...]], Engine]
"""From the first input's shape, (1, H, W, C), to an engine."""


def session_of(
    open_engine: Open, reference: bytes, facts: RunFacts, *, shape: tuple[int, ...] | None = None
) -> Session:
    """A peer's network as a session.

    Args:
        open_engine: opens it.
        reference: the float ``.tflite`` it was made of, whose input and output it has.
        facts: what it runs on.
        shape: of the first input; None is the reference's own.
    """
    graph: Graph = read_graph(reference)
    began = time.perf_counter()
    engine = open_engine(shape or graph.tensors[graph.inputs[0]].shape)
    return Session(engine, graph, facts, init_ms=(time.perf_counter() - began) * 1000, keep_tensors=False)


def _channels_first(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _channels_last(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))
