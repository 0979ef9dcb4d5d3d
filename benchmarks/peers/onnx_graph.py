"""A float ``.tflite`` as the ONNX graph that an export from PyTorch would have been: NCHW, no transpositions.

Every operator that can be taken over is one entry of ``CONVERTERS``. Heights and widths stay open, so that whole
pictures of any size go through the same graph.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.engines import HEIGHT, INPUT, OUTPUT, WIDTH
from octopix.errors import ModelFileError
from octopix.graph import Graph, Operator, Tensor, constant, read_graph
from octopix.images import Array

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime that is compared; nothing newer is needed."""


@dataclass
class Builder:
    """A graph in the making. Names of activations are ``INPUT``, ``OUTPUT`` or ``t<number>``."""

    graph: Graph
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def name(self, index: int) -> str:
        """Of an activation."""
        if index in self.graph.inputs:
            return INPUT
        return OUTPUT if index in self.graph.outputs else f"t{index}"

    def constant(self, name: str, values: Array) -> str:
        """Add an initializer; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def operand(self, operator: Operator, position: int) -> str:
        """Name of an input: an activation, or a constant that spreads over pictures, made channels first."""
        tensor = _needed(self.graph, operator, position)
        if not tensor.is_constant:
            return self.name(tensor.index)
        values = constant(tensor)
        spread = values.reshape((1,) * (4 - values.ndim) + values.shape)
        return self.constant(f"c{operator.index}_{position}", spread.transpose(0, 3, 1, 2))

    def add(self, kind: str, operator: Operator, inputs: Sequence[str], **attributes: Any) -> None:
        """Add a node for a whole operator, and one for the activation that is fused into it."""
        output, fused = self.name(operator.outputs[0]), str(operator.options.get("activation", "NONE"))
        if fused not in ACTIVATIONS:
            raise _not_taken(f"{operator.name} with a fused {fused}")
        raw = output if ACTIVATIONS[fused] is None else f"{output}_raw"
        self.nodes.append(helper.make_node(kind, inputs, [raw], name=f"{kind}_{operator.index}", **attributes))
        act = ACTIVATIONS[fused]
        if act is not None:
            bounds = [
                self.constant(f"b{operator.index}_{place}", np.array(x, np.float32))
                for place, x in enumerate(act.bounds)
            ]
            self.nodes.append(
                helper.make_node(act.kind, [raw, *bounds], [output], name=f"{act.kind}_of_{operator.index}")
            )


@dataclass(frozen=True)
class Activation:
    """The node of a fused activation."""

    kind: str
    bounds: tuple[float, ...] = ()


ACTIVATIONS: Mapping[str, Activation | None] = {
    "NONE": None,
    "RELU": Activation("Relu"),
    "RELU6": Activation("Clip", (0.0, 6.0)),
    "RELU_N1_TO_1": Activation("Clip", (-1.0, 1.0)),
}

Converter = Callable[[Builder, Operator], None]


def to_onnx(content: bytes) -> onnx.ModelProto:
    """The network as ONNX: float32, ``INPUT`` (1, C, height, width) to ``OUTPUT``, heights and widths open.

    Raises:
        ModelFileError: an operator, or a form of it, that is not among ``CONVERTERS``; the message names it.
    """
    graph = read_graph(content)
    missing = sorted({each.name for each in graph.operators} - CONVERTERS.keys())
    if missing:
        raise _not_taken(", ".join(missing))
    if (len(graph.inputs), len(graph.outputs)) != (1, 1):
        raise _not_taken(f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs")
    builder = Builder(graph)
    for operator in graph.operators:
        CONVERTERS[operator.name](builder, operator)
    model = helper.make_model(
        helper.make_graph(
            builder.nodes,
            "octopix",
            [_port(INPUT, graph.tensors[graph.inputs[0]], (HEIGHT, WIDTH))],
            [_port(OUTPUT, graph.tensors[graph.outputs[0]], ("output_height", "output_width"))],
            builder.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="octopix",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _port(name: str, tensor: Tensor, sides: tuple[str, str]) -> onnx.ValueInfoProto:
    if len(tensor.shape) != 4 or tensor.dtype != "float32":
        raise _not_taken(f"{tensor.name} of {tensor.dtype} {tensor.shape}")
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, tensor.shape[3], *sides])


def _convolution(builder: Builder, operator: Operator) -> None:
    weights = constant(_needed(builder.graph, operator, 1)).transpose(0, 3, 1, 2)
    groups = _needed(builder.graph, operator, 0).shape[3] // weights.shape[1]
    _add_convolution(builder, operator, weights, groups)


def _depthwise(builder: Builder, operator: Operator) -> None:
    weights = constant(_needed(builder.graph, operator, 1)).transpose(3, 0, 1, 2)
    _add_convolution(builder, operator, weights, _needed(builder.graph, operator, 0).shape[3])


def _add_convolution(builder: Builder, operator: Operator, weights: Array, groups: int) -> None:
    inputs = [builder.operand(operator, 0), builder.constant(f"w{operator.index}", weights)]
    bias = builder.graph.operand(operator, 2)
    if bias is not None:
        inputs.append(builder.constant(f"bias{operator.index}", constant(bias)))
    dilations = [operator.number("dilation_h", 1), operator.number("dilation_w", 1)]
    kernel = list(weights.shape[2:])
    builder.add(
        "Conv",
        operator,
        inputs,
        kernel_shape=kernel,
        dilations=dilations,
        group=groups,
        **_window(operator, [(side - 1) * step + 1 for side, step in zip(kernel, dilations, strict=True)]),
    )


def _window(operator: Operator, reach: Sequence[int]) -> dict[str, Any]:
    """Strides and padding; TensorFlow's SAME pads the larger half behind, and by the size where strides are not 1."""
    strides = [operator.number("stride_h", 1), operator.number("stride_w", 1)]
    if operator.options["padding"] == "VALID":
        return {"strides": strides}
    if strides != [1, 1]:
        return {"strides": strides, "auto_pad": "SAME_UPPER"}
    before = [(side - 1) // 2 for side in reach]
    return {"strides": strides, "pads": [*before, *(side - 1 - low for side, low in zip(reach, before, strict=True))]}


def _pool(kind: str) -> Converter:
    def add(builder: Builder, operator: Operator) -> None:
        kernel = [operator.number("filter_h"), operator.number("filter_w")]
        builder.add(kind, operator, [builder.operand(operator, 0)], kernel_shape=kernel, **_window(operator, kernel))

    return add


def _elementwise(kind: str) -> Converter:
    def add(builder: Builder, operator: Operator) -> None:
        builder.add(kind, operator, [builder.operand(operator, position) for position in (0, 1)])

    return add


def _plain(kind: str) -> Converter:
    def add(builder: Builder, operator: Operator) -> None:
        builder.add(kind, operator, [builder.operand(operator, 0)])

    return add


def _relu6(builder: Builder, operator: Operator) -> None:
    bounds = [
        builder.constant(f"b{operator.index}_{place}", np.array(x, np.float32)) for place, x in enumerate((0.0, 6.0))
    ]
    builder.add("Clip", operator, [builder.operand(operator, 0), *bounds])


def _prelu(builder: Builder, operator: Operator) -> None:
    slopes = constant(_needed(builder.graph, operator, 1))
    if slopes.shape[:-1] not in ((), (1, 1)):
        raise _not_taken(f"PRELU with slopes {slopes.shape}, other than one per channel")
    name = builder.constant(f"slope{operator.index}", slopes.reshape(-1, 1, 1))
    builder.add("PRelu", operator, [builder.operand(operator, 0), name])


def _leaky_relu(builder: Builder, operator: Operator) -> None:
    builder.add("LeakyRelu", operator, [builder.operand(operator, 0)], alpha=operator.real("alpha"))


def _blocks(kind: str, **attributes: str) -> Converter:
    def add(builder: Builder, operator: Operator) -> None:
        size = operator.number("block_size")
        builder.add(kind, operator, [builder.operand(operator, 0)], blocksize=size, **attributes)

    return add


def _concatenation(builder: Builder, operator: Operator) -> None:
    axis = operator.number("axis") % 4
    inputs = [builder.operand(operator, position) for position in range(len(operator.inputs))]
    builder.add("Concat", operator, inputs, axis=(0, 2, 3, 1)[axis])


def _pad(builder: Builder, operator: Operator) -> None:
    before, after = constant(_needed(builder.graph, operator, 1))[[0, 3, 1, 2]].T.astype(np.int64)
    pads = builder.constant(f"pads{operator.index}", np.concatenate([before, after]))
    builder.add("Pad", operator, [builder.operand(operator, 0), pads], mode="constant")


CONVERTERS: Mapping[str, Converter] = {
    "ADD": _elementwise("Add"),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    # In NCHW, TensorFlow's order of channels is the one that ONNX calls depth, column, row.
    "DEPTH_TO_SPACE": _blocks("DepthToSpace", mode="DCR"),
    "LEAKY_RELU": _leaky_relu,
    "MAX_POOL_2D": _pool("MaxPool"),
    "MUL": _elementwise("Mul"),
    "PAD": _pad,
    "PRELU": _prelu,
    "RELU": _plain("Relu"),
    "RELU6": _relu6,
    "SPACE_TO_DEPTH": _blocks("SpaceToDepth"),
    "SUB": _elementwise("Sub"),
}
"""What each of TFLite's operators becomes."""


def _needed(graph: Graph, operator: Operator, position: int) -> Tensor:
    tensor = graph.operand(operator, position)
    if tensor is None:
        raise _not_taken(f"{operator.name} without its input {position}")
    return tensor


def _not_taken(what: str) -> ModelFileError:
    return ModelFileError(
        expected=f"a float network of {', '.join(CONVERTERS)} to compare with peers",
        got=what,
        do="leave this network out of the comparison, or add a converter to benchmarks/peers/onnx_graph.py",
    )
