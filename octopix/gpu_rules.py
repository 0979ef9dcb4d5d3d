"""Operators that the GPU does not run, and what to change: known of ai-edge-litert 2.3's GPU accelerator (ML Drift).

Found by sending networks of one to three operators to the GPU alone, on a software adapter, and comparing with the CPU.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from octopix.errors import DelegateError
from octopix.graph import Graph, Operator, constant

Effect = Literal["refused", "wrong", "fatal", "untried"]
"""The network is refused; runs with another output; ends the whole process; or nobody here has tried."""


@dataclass(frozen=True)
class Finding:
    """One operator that stands in the way."""

    operator: int
    """Its index in the graph."""
    name: str
    effect: Effect
    why: str
    do: str


@dataclass(frozen=True)
class Rule:
    """What the GPU makes of some operators."""

    effect: Effect
    why: str
    do: str
    applies: Callable[[Graph, Operator], bool]


_FIXED = "give the file one size, so that the converter can work it out beforehand"
_CPU = "keep it out of the network, or run the network on the CPU"

UNSUPPORTED: Mapping[str, str] = {
    "BATCH_TO_SPACE_ND": "convert dilated convolutions as such: no padding by hand around them",
    "BROADCAST_TO": "let arithmetic broadcast by itself",
    "CONV_3D": "use CONV_2D",
    "FILL": _FIXED,
    "GATHER_ND": "use STRIDED_SLICE or GATHER",
    "L2_NORMALIZATION": "write it as MUL, SUM and RSQRT",
    "LOCAL_RESPONSE_NORMALIZATION": _CPU,
    "LOG_SOFTMAX": "use SOFTMAX and LOG",
    "SCATTER_ND": _CPU,
    "SHAPE": _FIXED,
    "SPACE_TO_BATCH_ND": "convert dilated convolutions as such: no padding by hand around them",
}
"""Operators that are refused whatever they do, and what to use instead."""

RUNS = frozenset(
    (
        *("ABS", "ADD", "ARG_MAX", "ATAN2", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CAST", "CEIL", "CONCATENATION"),
        *("CONV_2D", "COS", "CUMSUM", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "ELU", "EQUAL"),
        *("EXP", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED", "GATHER", "GELU", "GREATER", "HARD_SWISH"),
        *("LEAKY_RELU", "LESS", "LOG", "LOGICAL_AND", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM"),
        *("MIRROR_PAD", "MUL", "NEG", "PAD", "PADV2", "POW", "PRELU", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN"),
        *("REDUCE_PROD", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2"),
        *("ROUND", "RSQRT", "SELECT", "SIGN", "SIN", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQRT"),
        *("SQUARE", "SQUARED_DIFFERENCE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TILE", "TOPK_V2", "TRANSPOSE"),
        *("TRANSPOSE_CONV", "UNPACK"),
    )
)
"""Operators that gave the CPU's output."""


def _is_deep(graph: Graph, operator: Operator) -> bool:
    tensors = (graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0)
    return any(len(tensor.shape) > 4 for tensor in tensors if not tensor.is_constant)


def _is_int16(graph: Graph, operator: Operator) -> bool:
    return any(graph.tensors[index].dtype == "int16" for index in (*operator.inputs, *operator.outputs) if index >= 0)


def _drops_axes(_: Graph, operator: Operator) -> bool:
    masks = ("shrink_axis_mask", "new_axis_mask", "ellipsis_mask")
    return operator.name == "STRIDED_SLICE" and any(operator.number(mask) for mask in masks)


def _goes_backwards(graph: Graph, operator: Operator) -> bool:
    strides = graph.operand(operator, 3) if operator.name == "STRIDED_SLICE" else None
    return strides is not None and strides.is_constant and bool((constant(strides) < 0).any())


def _is_symmetric(_: Graph, operator: Operator) -> bool:
    return operator.name == "MIRROR_PAD" and operator.options.get("mode") == "SYMMETRIC"


def _adds_many(_: Graph, operator: Operator) -> bool:
    return operator.name == "ADD_N" and len(operator.inputs) != 2


def _is_grouped(graph: Graph, operator: Operator) -> bool:
    image, weights = graph.operand(operator, 0), graph.operand(operator, 1)
    if operator.name != "CONV_2D" or image is None or weights is None:
        return False
    return image.shape[-1:] != weights.shape[-1:]


def _joins_parts(graph: Graph, operator: Operator) -> bool:
    splits = (each for each in graph.operators if each.name in ("SPLIT", "SPLIT_V"))
    return any(len(set(split.outputs) & set(operator.inputs)) > 1 for split in splits)


def _multiplies_itself(_: Graph, operator: Operator) -> bool:
    return operator.name == "BATCH_MATMUL" and len(set(operator.inputs)) < len(operator.inputs)


def _is_unsupported(_: Graph, operator: Operator) -> bool:
    return operator.name in UNSUPPORTED


def _is_untried(_: Graph, operator: Operator) -> bool:
    return operator.name not in RUNS and operator.name != "ADD_N"


RULES: tuple[Rule, ...] = (
    Rule(
        "fatal",
        "takes one tensor twice, and the accelerator ends the process",
        "multiply by a copy (an addition of 0 that the converter does not remove), or run it on the CPU",
        _multiplies_itself,
    ),
    Rule("refused", "is not supported", "", _is_unsupported),
    Rule(
        "refused",
        "has a tensor of more than 4 dimensions",
        "use DEPTH_TO_SPACE or SPACE_TO_DEPTH instead of RESHAPE and TRANSPOSE by hand",
        _is_deep,
    ),
    Rule("refused", "has 16-bit integers", "take the int8 or the float file", _is_int16),
    Rule(
        "refused",
        "drops or adds dimensions",
        "slice with a range (x[..., 0:1]) and leave the dimension, or RESHAPE afterwards",
        _drops_axes,
    ),
    Rule("refused", "goes backwards", "use REVERSE_V2", _goes_backwards),
    Rule("refused", "repeats the edge itself", "use REFLECT, which leaves it out", _is_symmetric),
    Rule("refused", "has other than two inputs", "add two at a time", _adds_many),
    Rule(
        "wrong", "is a grouped convolution", "convolve slices of the channels, one each, and concatenate", _is_grouped
    ),
    Rule(
        "wrong",
        "takes several parts of one SPLIT",
        "cut with STRIDED_SLICE instead (x[..., :n] and x[..., n:])",
        _joins_parts,
    ),
    Rule("wrong", "gives another output", _CPU, lambda _, operator: operator.name == "ONE_HOT"),
    Rule("untried", "has not been tried", "try it: octopix compares the output with the CPU's", _is_untried),
)
"""In order: the first that applies to an operator says what becomes of it."""


def findings(graph: Graph) -> tuple[Finding, ...]:
    """Operators that the GPU is known not to run, or not known to run; no GPU is needed."""
    found = []
    for operator in graph.operators:
        rule = next((rule for rule in RULES if rule.applies(graph, operator)), None)
        if rule is not None:
            do = rule.do or UNSUPPORTED[operator.name]
            found.append(Finding(operator.index, operator.name, rule.effect, rule.why, do))
    return tuple(found)


def check_bearable(graph: Graph) -> None:
    """Refuse what would end the process.

    Raises:
        DelegateError: names the operator and what to change.
    """
    for each in findings(graph):
        if each.effect == "fatal":
            raise DelegateError(
                expected="a network that runs on the GPU alone",
                got=f"operator {each.operator}, {each.name}, which {each.why}",
                do=each.do,
                refused=(f"{each.name}: {each.why}",),
            )
