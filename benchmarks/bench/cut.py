"""One operator of a graph as a model of its own: real constants and quantization, shapes of the chosen size.

The runtime has no profiler that its Python interface shows. Timed alone, an operator lacks what the whole graph
gives it: neighbours that are fused with it, and caches that they left warm. So the sum stands beside the whole.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.bench.flatbuffer import Ports, buffer_of, packed, tensor_of, unpacked
from octopix.graph import Graph, Operator, read_graph
from octopix.shapes import Sizes, infer


@dataclass(frozen=True)
class Cut:
    """One operator alone."""

    operator: Operator
    model: bytes
    inputs: tuple[int, ...]
    """Tensors of the whole graph that the cut's inputs stand for, in their order."""
    outputs: tuple[int, ...]


def cuts(model: bytes, *, height: int, width: int) -> Iterator[Cut]:
    """Every operator that works on the picture. Those that follow from shapes and constants alone are none.

    Args:
        model: a ``.tflite`` of one picture in.
        height: of the network's input, in pixels.
        width: of the network's input, in pixels.

    Raises:
        ModelFileError: damaged, or octopix cannot follow the graph at this size.
    """
    graph = read_graph(model)
    knife = _Knife(graph, unpacked(model), infer(graph, height=height, width=width))
    for operator in graph.operators:
        if knife.works_on_the_picture(operator):
            yield knife.cut(operator)


class _Knife:
    def __init__(self, graph: Graph, whole: Any, sizes: Sizes) -> None:
        self._graph = graph
        self._whole = whole
        self._sizes = sizes
        self._makers = {index: operator for operator in graph.operators for index in operator.outputs}

    def works_on_the_picture(self, operator: Operator) -> bool:
        return any(self._depends(index) for index in operator.outputs)

    def cut(self, operator: Operator) -> Cut:
        chain = (*self._makers_of_constants(operator), operator)
        touched = dict.fromkeys(index for each in chain for index in (*each.inputs, *each.outputs) if index >= 0)
        places = {index: place for place, index in enumerate(touched)}
        inputs = tuple(dict.fromkeys(index for index in operator.inputs if index >= 0 and self._depends(index)))
        buffers = [buffer_of()]
        tensors = [self._tensor(index, buffers) for index in touched]
        codes = [self._whole.operatorCodes[self._operators[each.index].opcodeIndex] for each in chain]
        model = packed(
            tensors=tensors,
            operators=[self._moved(each, place, places) for place, each in enumerate(chain)],
            codes=codes,
            buffers=buffers,
            ports=Ports(tuple(places[index] for index in inputs), tuple(places[index] for index in operator.outputs)),
        )
        return Cut(operator, model, inputs, operator.outputs)

    @property
    def _operators(self) -> Any:
        return self._whole.subgraphs[0].operators

    def _depends(self, index: int) -> bool:
        """Whether a tensor's values depend on the picture."""
        if index in self._graph.inputs:
            return True
        maker = self._makers.get(index)
        if self._graph.tensors[index].is_constant or index in self._sizes.values or maker is None:
            return False
        return any(self._depends(source) for source in maker.inputs if source >= 0)

    def _makers_of_constants(self, operator: Operator) -> tuple[Operator, ...]:
        """Operators in front that turn constants into constants: the DEQUANTIZE of half-precision weights."""
        found: dict[int, Operator] = {}
        for index in operator.inputs:
            maker = self._makers.get(index)
            if maker is not None and index not in self._sizes.values and not self._depends(index):
                found |= {each.index: each for each in (*self._makers_of_constants(maker), maker)}
        return tuple(found.values())

    def _tensor(self, index: int, buffers: list[Any]) -> Any:
        known = self._sizes.values.get(index)
        if known is not None:  # follows from the shapes, which are fixed now
            buffers.append(buffer_of(known.astype(self._graph.tensors[index].dtype)))
            name = self._graph.tensors[index].name
            return tensor_of(name, known.shape, self._graph.tensors[index].dtype, buffer=len(buffers) - 1)
        tensor = copy.copy(self._whole.subgraphs[0].tensors[index])
        content = self._whole.buffers[tensor.buffer]
        tensor.shape, tensor.shapeSignature = np.array(self._sizes.shapes[index], np.int32), None
        tensor.buffer = 0
        if self._graph.tensors[index].is_constant:
            buffers.append(content)
            tensor.buffer = len(buffers) - 1
        return tensor

    def _moved(self, operator: Operator, code: int, places: Mapping[int, int]) -> Any:
        moved = copy.copy(self._operators[operator.index])
        moved.opcodeIndex = code
        moved.inputs = np.array([places.get(index, -1) for index in operator.inputs], np.int32)
        moved.outputs = np.array([places[index] for index in operator.outputs], np.int32)
        return moved
