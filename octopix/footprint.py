"""How much memory a network takes for a picture of a certain size: an estimate from its graph.

Counted are the activations that are alive at the same time, at the operator where they are most, and what XNNPACK keeps
for each convolution of more than one tap: a pointer for every tap of every output pixel. For LESRCNN ×2 in int8 these
are 512 and 2160 bytes per input pixel; its process grows by 2714 from 128×128 to 384×384.
"""

import math
from collections.abc import Mapping

from octopix.graph import Graph
from octopix.operators import BITS
from octopix.shapes import Sizes, infer

_POINTER = 8
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


def working_bytes(graph: Graph, *, height: int, width: int) -> int:
    """Bytes that one run needs beside the weights.

    Raises:
        ModelFileError: as `octopix.shapes.infer`.
    """
    sizes = infer(graph, height=height, width=width)
    return _most_alive(graph, sizes) + sum(_pointers(graph, sizes).values())


def _most_alive(graph: Graph, sizes: Sizes) -> int:
    last: dict[int, int] = dict.fromkeys(graph.outputs, len(graph.operators))
    for place, operator in enumerate(graph.operators):
        for index in operator.inputs:
            last[index] = max(last.get(index, 0), place)
    alive = {index: _bytes(graph, sizes, index) for index in graph.inputs}
    most = 0
    for place, operator in enumerate(graph.operators):
        alive |= {index: _bytes(graph, sizes, index) for index in operator.outputs}
        most = max(most, sum(alive.values()))
        alive = {index: size for index, size in alive.items() if last.get(index, 0) > place}
    return most


def _bytes(graph: Graph, sizes: Sizes, index: int) -> int:
    return math.prod(sizes.shapes[index]) * (BITS[graph.tensors[index].dtype] or 32) // 8


def _pointers(graph: Graph, sizes: Sizes) -> Mapping[int, int]:
    """Operator index -> bytes."""
    found = {}
    for operator in graph.operators:
        if operator.name in _WEIGHTED:
            _, height, width, _ = sizes.shapes[operator.inputs[1]]
            _, rows, columns, _ = sizes.shapes[operator.outputs[0]]
            found[operator.index] = _POINTER * height * width * rows * columns if height * width > 1 else 0
    return found
