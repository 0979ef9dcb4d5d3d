"""What a ``.tflite`` is, in one record: card, operators, types, costs, geometry, hashes. No runtime is needed."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from octopix.card import ModelCard, file_sha256, find_card, graph_sha256
from octopix.complexity import Complexity, complexity
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import Graph, Operator, Tensor, read_graph
from octopix.receptive import Geometry, geometry
from octopix.schema import naming, read_model_bytes
from octopix.shapes import STAND_IN_SIDE, Sizes, infer, takes_any_size

Found = TypeVar("Found")


@dataclass(frozen=True)
class Port:
    """An input or output of a network."""

    name: str
    shape: tuple[int, ...]
    """As declared; −1 where the size is open."""
    dtype: str
    scale: float | None
    """value = scale · (stored − zero_point); None for floats."""
    zero_point: int | None


@dataclass(frozen=True)
class OperatorSummary:
    """One operator, in order of execution."""

    index: int
    name: str
    dtypes: tuple[str, ...]
    """Of its operands, weights and bias included."""
    output_dtype: str
    output_shape: tuple[int, ...] | None
    """At the summary's ``size``; None where it cannot be worked out."""
    output_scale: float | None
    """value = scale · (stored − zero_point); None for floats."""
    output_zero_point: int | None
    weight_scales: int | None
    """How many scales the weights have: 1 for the whole tensor, or one per slice along ``weight_axis``."""
    weight_axis: int | None
    macs: int | None
    parameters: int | None


@dataclass(frozen=True)
class ModelSummary:
    """A whole file. What cannot be worked out is None, and ``unknown`` says why."""

    file: str
    card: ModelCard | None
    kib: float
    """File size in KiB (1024 bytes)."""
    size: tuple[int, int] | None
    """(height, width) of the input that MACs and shapes refer to; None where the input is no picture."""
    macs: int | None
    parameters: int | None
    receptive_field: int | None
    multiple_of: int | None
    scale: float | None
    """Output side over input side."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: tuple[OperatorSummary, ...]
    graph_sha256: str
    file_sha256: str
    unknown: tuple[str, ...]

    @property
    def name(self) -> str:
        """Model and scheme of the card, or the file's name."""
        return f"{self.card.model} {self.card.scheme}" if self.card else f"{self.file} (no card)"

    @property
    def operator_counts(self) -> Mapping[str, int]:
        """Operator name -> how many."""
        return Counter(operator.name for operator in self.operators)


def picture_size(graph: Graph, wanted: tuple[int, int] | None = None) -> tuple[int, int] | None:
    """(height, width) to give figures for: ``wanted``, else the model's own, else `STAND_IN_SIDE` where it is open.

    None where the network has not one input of (1, H, W, C).
    """
    shape = graph.tensors[graph.inputs[0]].shape_signature if len(graph.inputs) == 1 else ()
    if len(shape) != 4:
        return None
    return wanted or (_side(shape[1]), _side(shape[2]))


def summarise(path: Path, *, size: tuple[int, int] | None = None) -> ModelSummary:
    """Read a ``.tflite``; a card is not needed. ``size`` (height, width) replaces the model's own for MACs.

    Raises:
        ModelFileError: damaged or foreign.
    """
    content = read_model_bytes(path)
    with naming(path):
        graph, card = read_graph(content), find_card(content)
    at = picture_size(graph, size)
    unknown: list[str] = []
    cost = _attempt(lambda: complexity(graph, **_keywords(at)), unknown)
    sizes = _attempt(lambda: infer(graph, **_keywords(at)), unknown)
    shape = _attempt(lambda: geometry(graph), unknown) or Geometry(None, 0, None, None)
    if shape.unbounded_by:
        unknown.append(f"the receptive field is without bound, by {shape.unbounded_by}")
    return ModelSummary(
        file=path.name,
        card=card,
        kib=len(content) / 1024,
        size=at,
        macs=cost.macs if cost else None,
        parameters=cost.parameters if cost else None,
        receptive_field=shape.receptive_field,
        multiple_of=shape.multiple_of or None,
        scale=None if shape.scale is None else float(shape.scale),
        inputs=tuple(_port(graph, index) for index in graph.inputs),
        outputs=tuple(_port(graph, index) for index in graph.outputs),
        operators=tuple(_operator(graph, each, cost, sizes) for each in graph.operators),
        graph_sha256=graph_sha256(content),
        file_sha256=file_sha256(content),
        unknown=tuple(dict.fromkeys(unknown)),
    )


def count(graph: Graph, size: tuple[int, int] | None) -> Complexity | None:
    """MACs and parameters at ``size``; None where an operator cannot be followed."""
    return _attempt(lambda: complexity(graph, **_keywords(size)), [])


def _attempt(find: Callable[[], Found], unknown: list[str]) -> Found | None:
    """A fact that not every graph has; the reason for its absence goes to ``unknown``."""
    try:
        return find()
    except (ModelFileError, ConfigError) as error:
        unknown.append(str(error))
        return None


def _operator(graph: Graph, operator: Operator, cost: Complexity | None, sizes: Sizes | None) -> OperatorSummary:
    own = cost.per_operator[operator.index] if cost else None
    operands = [graph.tensors[index] for index in operator.inputs if index >= 0]
    weights = next((tensor.quantization for tensor in operands if tensor.is_constant and _is_quantized(tensor)), None)
    first = operator.outputs[0] if operator.outputs else None
    scale, zero_point = (None, None) if first is None else _mapping(graph.tensors[first])
    return OperatorSummary(
        index=operator.index,
        name=operator.name,
        dtypes=tuple(tensor.dtype for tensor in operands),
        output_dtype="" if first is None else graph.tensors[first].dtype,
        output_shape=sizes.shapes.get(first) if sizes and first is not None else None,
        output_scale=scale,
        output_zero_point=zero_point,
        weight_scales=len(weights.scales) if weights else None,
        weight_axis=weights.axis if weights and len(weights.scales) > 1 else None,
        macs=own.macs if own else None,
        parameters=own.parameters if own else None,
    )


def _port(graph: Graph, index: int) -> Port:
    tensor = graph.tensors[index]
    scale, zero_point = _mapping(tensor)
    return Port(
        name=tensor.name,
        shape=tensor.shape_signature if takes_any_size(tensor) else tensor.shape,
        dtype=tensor.dtype,
        scale=scale,
        zero_point=zero_point,
    )


def _mapping(tensor: Tensor) -> tuple[float | None, int | None]:
    """(scale, zero point) of an activation, which has one pair at most."""
    found = tensor.quantization
    if found is None or not found.scales:
        return None, None
    return found.scales[0], found.zero_points[0] if found.zero_points else None


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.quantization is not None and bool(tensor.quantization.scales)


def _keywords(size: tuple[int, int] | None) -> dict[str, int]:
    return {} if size is None else {"height": size[0], "width": size[1]}


def _side(declared: int) -> int:
    return STAND_IN_SIDE if declared < 1 else declared
