"""Foreign float ``.tflite`` graphs made like the zoo's: one NHWC picture in [0, 1] in, one out, one static size.

What the network computes stays the same; only operators at its two ends are added, taken away or joined.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from octopix.errors import ModelFileError
from octopix.graph import Graph, Operator, constant, read_graph
from octopix.shapes import infer
from quantize.embed import append_constant, rewritten
from quantize.ranges import Affine, affine_of
from quantize.value_range import SPANS, UNIT, ValueRange

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
Span = tuple[float, float]
CLOSE = 1e-6
"""Two scalings are one another's inverse up to float32's rounding."""


def channels_last(model: bytes) -> bytes:
    """The model without the transpositions at its ends, if its pictures are (1, C, H, W) and turned at once.

    Raises:
        ModelFileError: pictures with channels first that no operator turns.
    """
    graph = read_graph(model)
    source, target = graph.inputs[0], graph.outputs[0]
    if not _channels_first(graph, source) and not _channels_first(graph, target):
        return model
    readers = [each for each in graph.operators if source in each.inputs]
    writer = next((each for each in graph.operators if target in each.outputs), None)
    dropped = []
    if _channels_first(graph, source):
        if len(readers) != 1 or not _turns(graph, readers[0], TO_NHWC):
            raise _first(graph, source, "behind its input")
        source = readers[0].outputs[0]
        dropped.append(readers[0].index)
    if _channels_first(graph, target):
        if writer is None or not _turns(graph, writer, TO_NCHW) or _reads(graph, target):
            raise _first(graph, target, "in front of its output")
        target = writer.inputs[0]
        dropped.append(writer.index)
    return rewritten(model, lambda unpacked: _rewired(unpacked, dropped, source, target))


def sized(model: bytes, height: int, width: int) -> bytes:
    """The model with every tensor's shape as it is for one picture of this size, and none left open."""
    shapes = infer(read_graph(model), height=height, width=width).shapes

    def edit(unpacked: Any) -> None:
        for index, shape in shapes.items():
            tensor = unpacked.subgraphs[0].tensors[index]
            tensor.shape, tensor.shapeSignature = np.array(shape, np.int32), None

    return rewritten(model, edit)


def stated_ranges(model: bytes) -> tuple[list[Span], list[Span]]:
    """Value ranges that a network's own first and last operators allow, of its input and of its output.

    A scaling right behind the input makes its picture start at 0 or lie around it, with values near 1; so does, seen
    from the other side, one in front of the output. A last TANH gives [-1, 1], a last LOGISTIC [0, 1].
    """
    graph = read_graph(model)
    _, front, before = _front(graph)
    back, target, after = _back(graph)
    given = [span for span in SPANS.values() if not front or _usual(*map(before, span))]
    made = [span for span in SPANS.values() if not back or _usual(*map(after.inverse(), span))]
    last = next((each.name for each in graph.operators if target in each.outputs), "")
    if last in SATURATING:
        inner = SATURATING[last]
        made = [span for span in SPANS.values() if np.allclose(span, [after(end) for end in inner], atol=CLOSE)]
    return given or list(SPANS.values()), made or list(SPANS.values())


def _usual(black: float, white: float) -> bool:
    """Whether networks work on such values: from 0 or around it, and of a size near 1."""
    return 0.1 <= white <= 4 and (abs(black) < CLOSE or abs(black + white) < CLOSE)


def in_unit_range(model: bytes, values: ValueRange) -> bytes:
    """The model with [0, 1] at both ends, where it had ``values``.

    Scalings by one number that stand at its ends already, such as a division by 255, are joined with those that come
    to it; what cancels out leaves no operator.
    """
    if values == UNIT:
        return model
    graph = read_graph(model)
    source, inner, before = _front(graph)
    made, target, after = _back(graph)
    black, white = values.given
    front = Affine(white - black, black).then(before)
    black, white = values.made
    back = after.then(Affine(1 / (white - black), -black / (white - black)))
    dropped = [*inner, *made]

    def edit(unpacked: Any) -> None:
        edges = _Edges(unpacked)
        image = edges.prepended(source, front)
        restored = edges.appended(target, back)
        subgraph = unpacked.subgraphs[0]
        kept = [each for place, each in enumerate(subgraph.operators) if place not in dropped]
        subgraph.operators = [*edges.first, *kept, *edges.last]
        subgraph.inputs, subgraph.outputs = [image], [restored]
        unpacked.signatureDefs = None

    return rewritten(model, edit)


SATURATING: dict[str, Span] = {"TANH": (-1.0, 1.0), "LOGISTIC": (0.0, 1.0)}
"""Last operators whose values have ends."""


def _front(graph: Graph) -> tuple[int, list[int], Affine]:
    """The tensor behind all scalings at the input, their operators, and what they amount to."""
    passed: list[int] = []
    index, total = graph.inputs[0], Affine()
    while len(readers := _reads(graph, index)) == 1 and (step := affine_of(graph, readers[0])) is not None:
        if readers[0].outputs[0] in graph.outputs:
            break
        total, index = total.then(step), readers[0].outputs[0]
        passed.append(readers[0].index)
    return index, passed, total


def _back(graph: Graph) -> tuple[list[int], int, Affine]:
    """The operators of all scalings at the output, the tensor in front of them, and what they amount to."""
    passed: list[int] = []
    index, total = graph.outputs[0], Affine()
    while len(_reads(graph, index)) == len(passed[:1]):  # the output itself is read by none, what leads to it by one
        writer = next((each for each in graph.operators if index in each.outputs), None)
        step = None if writer is None else affine_of(graph, writer)
        if writer is None or step is None or writer.inputs[0] in graph.inputs:
            break
        if len(_reads(graph, writer.inputs[0])) > 1:
            break
        total, index = step.then(total), writer.inputs[0]
        passed.append(writer.index)
    return passed, index, total


@dataclass
class _Edges:
    """New operators at both ends of a graph."""

    model: Any
    first: list[Any] = field(default_factory=list)
    last: list[Any] = field(default_factory=list)

    def prepended(self, target: int, affine: Affine) -> int:
        """A new input whose scaled values are those of tensor ``target``; ``target`` itself where nothing is to do."""
        steps = self._steps(affine)
        if not steps:
            return target
        image = index = self._like(target, "image")
        for place, (code, number) in enumerate(steps):
            result = target if place == len(steps) - 1 else self._like(target, f"scaled_image_{place}")
            self.first.append(self._operator(code, index, number, result))
            index = result
        return image

    def appended(self, source: int, affine: Affine) -> int:
        """A new output that holds the values of tensor ``source``, scaled."""
        index = source
        for place, (code, number) in enumerate(self._steps(affine)):
            result = self._like(source, f"scaled_output_{place}")
            self.last.append(self._operator(code, index, number, result))
            index = result
        return index

    def _steps(self, affine: Affine) -> list[tuple[str, float]]:
        steps = [] if abs(affine.factor - 1) < CLOSE else [("MUL", affine.factor)]
        return steps if abs(affine.offset) < CLOSE else [*steps, ("ADD", affine.offset)]

    def _like(self, index: int, name: str) -> int:
        """A new activation of the shape of another; its number."""
        tensors = self.model.subgraphs[0].tensors
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.name = tensors[index].shape, schema.TensorType.FLOAT32, name
        tensor.shapeSignature, tensor.buffer = tensors[index].shapeSignature, 0
        tensors.append(tensor)
        return len(tensors) - 1

    def _operator(self, code: str, source: int, number: float, target: int) -> Any:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, code))
        operator.inputs, operator.outputs = [source, self._number(number)], [target]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{code.capitalize()}Options")
        operator.builtinOptions = getattr(schema, f"{code.capitalize()}OptionsT")()
        return operator

    def _number(self, value: float) -> int:
        return append_constant(self.model, f"number_{len(self.model.buffers)}", np.array([value]))

    def _code(self, builtin: int) -> int:
        codes = self.model.operatorCodes
        for place, each in enumerate(codes):
            if max(each.builtinCode, each.deprecatedBuiltinCode) == builtin:
                return place
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        codes.append(code)
        return len(codes) - 1


def _rewired(unpacked: Any, dropped: Sequence[int], source: int, target: int) -> None:
    subgraph = unpacked.subgraphs[0]
    subgraph.operators = [each for place, each in enumerate(subgraph.operators) if place not in dropped]
    subgraph.inputs, subgraph.outputs = [source], [target]
    unpacked.signatureDefs = None


def _reads(graph: Graph, index: int) -> list[Operator]:
    return [each for each in graph.operators if index in each.inputs]


def _channels_first(graph: Graph, index: int) -> bool:
    """(1, C, H, W) with C of a picture, and a last side that is none."""
    shape = graph.tensors[index].shape_signature
    return len(shape) == 4 and shape[1] in {1, 3} and shape[3] not in {1, 3}


def _turns(graph: Graph, operator: Operator, order: Sequence[int]) -> bool:
    """Whether it is a TRANSPOSE of this order, or the RESHAPE that converters write for one channel."""
    if operator.name == "RESHAPE":
        shape, result = (graph.tensors[ends[0]].shape for ends in (operator.inputs, operator.outputs))
        return len(shape) == 4 and 1 in (shape[1], shape[3]) and result == tuple(shape[axis] for axis in order)
    if operator.name != "TRANSPOSE":
        return False
    tensor = graph.tensors[operator.inputs[1]]
    return tensor.is_constant and tuple(constant(tensor)) == tuple(order)


def _first(graph: Graph, index: int, place: str) -> ModelFileError:
    return ModelFileError(
        expected=f"pictures as (1, H, W, C), or as (1, C, H, W) with a TRANSPOSE right {place}",
        got=f"{graph.tensors[index].shape_signature} at {graph.tensors[index].name}",
        do="convert the network with channels last, which is what TFLite's kernels work on",
    )
