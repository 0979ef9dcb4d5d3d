"""A network that takes any size, made to say one size: for tools that can only run what stands in the file."""

from collections.abc import Sequence

from octopix.errors import ModelFileError
from octopix.graph import read_graph
from octopix.schema import Node, root

_SHAPE, _SIGNATURE = 0, 7


def with_input_shape(content: bytes, shape: Sequence[int]) -> bytes:
    """The same file with ``shape`` (1, H, W, C) written over its only input's, in place: not a byte more or less.

    The runtime works the other tensors' sizes out when it allocates them.

    Raises:
        ModelFileError: damaged, several inputs, or an input of another number of dimensions.
    """
    graph = read_graph(content)
    if len(graph.inputs) != 1 or len(graph.tensors[graph.inputs[0]].shape) != len(shape):
        raise ModelFileError(
            expected=f"a network with one input of {len(shape)} dimensions",
            got=f"{len(graph.inputs)} inputs",
            do="use the classic benchmark_model, which can resize inputs",
        )
    changed = bytearray(content)
    tensor = _tensor(content, graph.inputs[0])
    for slot in (_SHAPE, _SIGNATURE):
        block = tensor.block(slot)
        if block is not None:
            raw = b"".join(int(side).to_bytes(4, "little") for side in shape)
            changed[block.start : block.start + len(raw)] = raw
    return bytes(changed)


def _tensor(content: bytes, index: int) -> Node:
    subgraph = next(root(content).tables(2))
    return list(subgraph.tables(0))[index]
