"""Which range each activation gets, and the int8 model made from them.

Four kinds of tensor: the input and the tensors that share the output's quantization have exact ranges, known without
data; what is added to the image to make the output has the image's step, so that the sum is exact; tensors that only
move values share the range of what they move; all others are calibrated.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.errors import DataError, ModelFileError
from octopix.graph import Graph, Operator, constant, read_graph
from quantize.calibrators import Calibrator, Range
from quantize.checks import NO_INT16_KERNEL
from quantize.embed import with_ranges
from quantize.mlir import quantize_int8, quantize_int16x8
from quantize.statistics import TensorStatistics, activations, collect

Array = npt.NDArray[Any]

IMAGE_RANGE: Range = (0.0, 1.0)
"""As 8 bits: scale 1/255, zero point 0. An 8-bit image enters and leaves as it is; saturation is the clip."""

WITHIN = 1e-6
"""By which a range may be wider than it is said to be: float32's error in the sum of its ends."""

MOVERS = frozenset(
    {"DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "STRIDED_SLICE"}
)
"""Operators whose output values are input values, so that both ends must have one quantization."""


def ranges_for(
    float_model: bytes,
    images: Iterable[Array],
    calibrator: Calibrator,
    *,
    watch: Callable[[int], None] | None = None,
) -> dict[int, Range]:
    """Calibrate every activation of a float model.

    Args:
        float_model: float32 ``.tflite``, one image in [0, 1] in, one out.
        images: float32 (1, H, W, C) in [0, 1].
        calibrator: one of `quantize.calibrators.CALIBRATORS`.
        watch: called with the number of images done.

    Returns:
        (lo, hi) by flatbuffer tensor index, for `to_int8`.

    Raises:
        DataError: no image.
        ModelFileError: NaN, infinity or nothing but zeros in a tensor.
    """
    graph = read_graph(float_model)
    statistics = collect(float_model, images, tensors=calibrated_tensors(graph), watch=watch)
    return complete(graph, calibrate(statistics, calibrator))


def calibrate(statistics: Mapping[int, TensorStatistics], calibrator: Calibrator) -> dict[int, Range]:
    """Apply one calibrator to every tensor.

    Raises:
        DataError: a tensor was zero all over, which leaves nothing to scale; the message names it.
    """
    found = {}
    for index, each in statistics.items():
        if each.minimum == each.maximum == 0:
            raise DataError(
                expected=f"calibration images that excite {each.name}",
                got=f"zeros all over it on {each.images} images",
                do="calibrate on photographs with detail; if it persists, the weights in front of it are dead",
            )
        lo, hi = calibrator(each)
        found[index] = (float(lo), float(hi))
    return found


def calibrated_tensors(graph: Graph) -> tuple[int, ...]:
    """Activations whose range must be measured: not exact, and not merely moved."""
    exact = exact_tensors(graph) | scaled_image(graph).keys()
    return tuple(index for index in activations(graph) if index not in exact and source(graph, index) == index)


def exact_tensors(graph: Graph) -> frozenset[int]:
    """The input, the output, and what lies between the output and the operator that computes its values.

    For ESPCN: the last convolution's output, DEPTH_TO_SPACE's. The walk back stops at a tensor with another
    consumer, which would see the clip too.
    """
    exact = {*graph.inputs, *graph.outputs}
    frontier = list(graph.outputs)
    while frontier:
        mover = _mover_of(graph, frontier.pop())
        if mover is not None and len(consumers(graph, mover.inputs[0])) == 1:
            exact.add(mover.inputs[0])
            frontier.append(mover.inputs[0])
    return frozenset(exact)


def corrections_of_image(graph: Graph) -> frozenset[int]:
    """What the output is the image's sum with, or its difference from the image; read by nothing else.

    For U-Net: the last convolution's output.
    """
    exact, found = exact_tensors(graph), set()
    for operator in (each for each in graph.operators if each.outputs and each.outputs[0] in exact):
        operands = [source(graph, index) for index in operator.inputs[:2]]
        corrected = operands.index(graph.inputs[0]) if graph.inputs[0] in operands else None
        if corrected is not None and (operator.name == "ADD" or (operator.name == "SUB" and corrected == 0)):
            other = operator.inputs[1 - corrected]
            alone = all(len(consumers(graph, index)) == 1 for index in _path(graph, other))
            found |= {_path(graph, other)[-1]} if alone else set()
    return frozenset(found & set(calibrated_tensors(graph)))


def in_whole_steps(calibrated: Range) -> Range:
    """256 steps of the image, 1/255 each, around a range; the range as it is, where it is wider.

    With such a range what is added to the image is rounded as the sum would be, and the sum adds no error of its own.
    """
    lo, hi = calibrated
    if hi - lo > 1 + WITHIN:
        return calibrated
    zero_point = round(255 * (1 - lo - hi) / 2)
    return -zero_point / 255, (255 - zero_point) / 255


@dataclass(frozen=True)
class Affine:
    """factor · x + offset."""

    factor: float = 1.0
    offset: float = 0.0

    def __call__(self, value: float) -> float:
        """The result for one value."""
        return self.factor * value + self.offset

    def then(self, other: "Affine") -> "Affine":
        """First this one, then another."""
        return Affine(self.factor * other.factor, other(self.offset))

    def inverse(self) -> "Affine":
        """What takes its results back."""
        return Affine(1 / self.factor, -self.offset / self.factor)


def affine_of(graph: Graph, operator: Operator) -> Affine | None:
    """What an operator does that combines its first input with one number, or equal ones; None for all others."""
    if operator.name not in {"ADD", "SUB", "MUL", "DIV"} or operator.options.get("activation", "NONE") != "NONE":
        return None
    number = graph.tensors[operator.inputs[1]]
    if not number.is_constant or number.dtype != "float32":
        return None
    values = constant(number).reshape(-1)
    widens = graph.tensors[operator.inputs[0]].shape != graph.tensors[operator.outputs[0]].shape
    if not values.size or (values != values[0]).any() or (widens and values.size > 1):
        return None
    value = float(values[0])
    if operator.name in {"ADD", "SUB"}:
        return Affine(offset=value if operator.name == "ADD" else -value)
    return Affine(factor=value if operator.name == "MUL" else 1 / value) if value else None


def scaled_image(graph: Graph) -> dict[int, Range]:
    """Tensors that are the image in another unit, such as [0, 255], right behind the input: exact like the image."""
    found: dict[int, Range] = {graph.inputs[0]: IMAGE_RANGE}
    for operator in graph.operators:
        step = affine_of(graph, operator) if operator.inputs and operator.inputs[0] in found else None
        if step is not None and operator.outputs[0] not in graph.outputs:
            lo, hi = sorted(step(end) for end in found[operator.inputs[0]])
            if lo <= 0 <= hi:
                found[operator.outputs[0]] = (lo, hi)
    del found[graph.inputs[0]]
    return found


def complete(graph: Graph, calibrated: Mapping[int, Range]) -> dict[int, Range]:
    """Add exact and moved ranges to calibrated ones.

    Raises:
        ModelFileError: an activation is left without a range; the stock quantizer would leave it float, in silence.
    """
    whole = corrections_of_image(graph)
    calibrated = {index: in_whole_steps(found) if index in whole else found for index, found in calibrated.items()}
    ranges = {**dict.fromkeys(exact_tensors(graph), IMAGE_RANGE), **scaled_image(graph)}
    for index in activations(graph):
        origin = source(graph, index)
        if index in ranges:
            continue
        if origin not in calibrated and origin not in ranges:
            raise ModelFileError(
                expected=f"a range for {graph.tensors[index].name}", got="none", do="calibrate that tensor too"
            )
        ranges[index] = calibrated.get(origin) or ranges[origin]
    return ranges


def to_int8(float_model: bytes, ranges: Mapping[int, Range]) -> bytes:
    """The full-integer model: uint8 image in, uint8 image out, int8 between.

    Args:
        float_model: float32 ``.tflite``.
        ranges: (lo, hi) of every activation, e.g. from `ranges_for`, or learned.

    Raises:
        ModelFileError: a range is not finite or is empty, an activation has none, or the quantizer refuses the graph.
    """
    return quantize_int8(with_ranges(float_model, _checked(read_graph(float_model), ranges)))


def to_int16x8(float_model: bytes, ranges: Mapping[int, Range]) -> bytes:
    """Int8 weights, int16 activations, float32 image in and out; what only moves values stays float where it must.

    Args and errors are those of `to_int8`. 16-bit activations have no zero point, so each range is made symmetric.
    """
    full = _checked(read_graph(float_model), ranges)
    symmetric = {index: (-max(-lo, hi), max(-lo, hi)) for index, (lo, hi) in full.items()}
    return quantize_int16x8(with_ranges(float_model, symmetric), float_operators=NO_INT16_KERNEL)


def _checked(graph: Graph, ranges: Mapping[int, Range]) -> dict[int, Range]:
    """Every activation's range, each of them usable."""
    full = complete(graph, ranges)
    for index, (lo, hi) in full.items():
        if not (np.isfinite([lo, hi]).all() and lo <= 0 <= hi and lo < hi):
            raise ModelFileError(
                expected=f"a finite range around zero for {graph.tensors[index].name}",
                got=f"[{lo}, {hi}]",
                do="calibrate it again",
            )
    return full


def source(graph: Graph, index: int) -> int:
    """The tensor whose values this one holds, perhaps in another order."""
    return _path(graph, index)[-1]


def consumers(graph: Graph, index: int) -> tuple[Operator, ...]:
    """Operators that read a tensor."""
    return tuple(operator for operator in graph.operators if index in operator.inputs)


def _mover_of(graph: Graph, index: int) -> Operator | None:
    return next((each for each in graph.operators if index in each.outputs and _moves(each)), None)


def _moves(operator: Operator) -> bool:
    """Also a tensor concatenated with itself: the anchor of mobile networks, which is the image many times."""
    return operator.name in MOVERS or (operator.name == "CONCATENATION" and len(set(operator.inputs)) == 1)


def _path(graph: Graph, index: int) -> list[int]:
    """From a tensor back to its source, both included."""
    path = [index]
    while (mover := _mover_of(graph, path[-1])) is not None:
        path.append(mover.inputs[0])
    return path
