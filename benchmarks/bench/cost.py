"""What a network costs at one size, counted on its ``.tflite``.

*Bytes moved*: every operator reads its inputs and constants once and writes its outputs once, at their stored width.
What stays in a cache between two operators is not taken off, and what a convolution reads twice is not added: it is
the traffic of a runtime that works operator by operator, and the same for every machine. *Arithmetic intensity* is
2 FLOPs per multiply-accumulate over these bytes.
"""

import math

from benchmarks.bench.records import Cost
from octopix.complexity import FLOPS_PER_MAC, complexity
from octopix.footprint import working_bytes
from octopix.graph import Graph
from octopix.operators import BITS
from octopix.shapes import Sizes, infer

_SHIFT_MACS = 9
"""Per pixel, of a mean shift counted as a 1×1 convolution from 3 channels to 3."""
_DEFAULT_BITS = 32


def cost_of(graph: Graph, *, height: int, width: int, file_bytes: int) -> Cost:
    """Count a network for one input of ``height`` × ``width`` pixels.

    Raises:
        ModelFileError: octopix cannot follow the graph at this size.
    """
    found = complexity(graph, height=height, width=width)
    sizes = infer(graph, height=height, width=width)
    moved = _bytes_moved(graph, sizes)
    _, rows, columns, _ = sizes.shapes[graph.outputs[0]]
    shifted = (height * width, rows * columns) if _shifts_means(graph) else (0, 0)
    return Cost(
        macs=found.macs,
        parameters=found.parameters,
        kib=file_bytes / 1024,
        gflops={
            "2*MAC": FLOPS_PER_MAC["2*MAC"] * found.macs / 1e9,
            "lesrcnn-table": table_gflops(found.macs, shifted_pixels=sum(shifted)),
        },
        bytes_moved=moved,
        intensity=FLOPS_PER_MAC["2*MAC"] * found.macs / moved,
        working_mib=working_bytes(graph, height=height, width=width) / 2**20,
    )


def table_gflops(macs: int, *, shifted_pixels: int) -> float:
    """Flops (G) as LESRCNN's table counts: 20/9 per multiply-accumulate, mean shifts as convolutions.

    Args:
        macs: of the network, without its mean shifts.
        shifted_pixels: pixels of the input and of the output, where a colour mean is taken off and added again.
            0 for networks without such shifts.
    """
    return FLOPS_PER_MAC["lesrcnn-table"] * (macs + _SHIFT_MACS * shifted_pixels) / 1e9


def _shifts_means(graph: Graph) -> bool:
    """Whether a mean colour is subtracted; that it is added again at the end may be hidden in a bias."""
    operands = (graph.operand(operator, 1) for operator in graph.operators if operator.name == "SUB")
    return any(tensor is not None and tensor.is_constant and math.prod(tensor.shape) == 3 for tensor in operands)


def _bytes_moved(graph: Graph, sizes: Sizes) -> int:
    """Small integers that follow from shapes alone (sizes, paddings) count nothing."""
    total = 0
    for operator in graph.operators:
        if not set(operator.outputs) <= sizes.values.keys():
            touched = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
            total += sum(_bytes(graph, sizes, index) for index in touched)
    return total


def _bytes(graph: Graph, sizes: Sizes, index: int) -> int:
    return math.prod(sizes.shapes[index]) * (BITS[graph.tensors[index].dtype] or _DEFAULT_BITS) // 8
