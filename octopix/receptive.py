"""How far a network looks, what sizes it wants, and how much it enlarges: read from its graph, not measured.

Each operator gives output position o from input positions ⌊step·o + start⌋ … ⌊step·o + stop⌋ (sometimes rounded up)
along height, and likewise along width. Followed backwards from one output pixel, over all paths, these intervals end in
the pixels of the picture it depends on. Positions are those of an endless picture whose sides are multiples of the
total stride; at borders a pixel depends on fewer.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy.typing as npt

from octopix.errors import ModelFileError
from octopix.graph import Graph, Operator
from octopix.integers import slices
from octopix.schema import damaged
from octopix.shapes import POINTWISE, Sizes, infer, takes_any_size

Array = npt.NDArray[Any]

_PROBE = 3840  # pixels a side for models that take any size: a multiple of all usual strides and dilations
_LARGEST_STRIDE = 1024


@dataclass(frozen=True)
class Geometry:
    """What a network's graph says about positions.

    ``receptive_field`` is the number of input pixels, in the larger of the two dimensions, that one output pixel can
    depend on; None where that is the whole picture, or unknown, because of ``unbounded_by``. Inputs whose sides are
    multiples of ``multiple_of``, the total downsampling stride, need no padding. ``scale`` is output over input
    side (for unpadded convolutions, but for the constant border they eat); None where the output is no picture, or
    height and width scale differently. ``before`` and ``after`` are the input pixels, in the larger dimension, that the
    outputs of a block of ``multiple_of`` input pixels look at beyond that block; None where the receptive field is.
    """

    receptive_field: int | None
    multiple_of: int
    scale: Fraction | None
    unbounded_by: str | None
    before: int | None = None
    after: int | None = None


def geometry(graph: Graph) -> Geometry:
    """Receptive field, total stride and scale of a network with one picture as input and one output.

    Raises:
        ModelFileError: several inputs or outputs, no (1, H, W, C) input, or a graph that contradicts itself.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.tensors[graph.inputs[0]].shape) != 4:
        raise ModelFileError(
            expected="one input of shape (1, H, W, C) and one output",
            got=f"inputs {[graph.tensors[index].shape for index in graph.inputs]}, {len(graph.outputs)} outputs",
            do="use a model that turns one picture into one picture",
        )
    probe = _PROBE if takes_any_size(graph.tensors[graph.inputs[0]]) else None
    sizes = infer(graph, height=probe, width=probe)
    rows, columns = (_along(graph, sizes, axis) for axis in (1, 2))
    return Geometry(
        receptive_field=_larger(rows.receptive_field, columns.receptive_field),
        multiple_of=math.lcm(rows.multiple_of, columns.multiple_of),
        scale=rows.scale if rows.scale == columns.scale else None,
        unbounded_by=rows.unbounded_by or columns.unbounded_by,
        before=_larger(rows.before, columns.before),
        after=_larger(rows.after, columns.after),
    )


def _larger(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def receptive_field(graph: Graph) -> int:
    """Input pixels, in one dimension, that one output pixel can depend on.

    Raises:
        ModelFileError: as `geometry`; also if one pixel depends on the whole picture, or no bound is known.
    """
    found = geometry(graph)
    if found.receptive_field is None:
        raise ModelFileError(
            expected="a network whose output pixels depend on a neighbourhood",
            got=f"one that looks at the whole picture in {found.unbounded_by}",
            do="use it on whole pictures only, or replace that operator",
        )
    return found.receptive_field


@dataclass(frozen=True)
class _Window:
    """Input positions of output position o: step·o + start to step·o + stop, rounded down, or up where it says so."""

    step: Fraction = Fraction(1)
    start: Fraction = Fraction(0)
    stop: Fraction = Fraction(0)
    start_up: bool = False
    stop_up: bool = False

    def inputs(self, low: int, high: int) -> tuple[int, int]:
        """What the outputs from ``low`` to ``high`` depend on; empty, so the first larger, if on nothing."""
        first, last = self.step * low + self.start, self.step * high + self.stop
        return (
            math.ceil(first) if self.start_up else math.floor(first),
            math.ceil(last) if self.stop_up else math.floor(last),
        )


@dataclass(frozen=True)
class _Frame:
    """Where a tensor's positions lie on the picture.

    ``spread`` is more than 1 between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, by which converters spell dilation: the
    tensor then has every spread-th pixel as a neighbour. ``scale`` is None where positions lost their meaning.
    """

    scale: Fraction | None
    spread: int = 1
    unbounded_by: str | None = None


@dataclass(frozen=True)
class _Step:
    """An operator about to be looked through along one axis: 1 is height, 2 is width."""

    graph: Graph
    sizes: Sizes
    operator: Operator
    axis: int
    data: Mapping[int, _Frame]
    """The inputs that depend on the picture."""

    @property
    def spread(self) -> int:
        return max(frame.spread for frame in self.data.values())

    def option(self, name: str, default: int = 1) -> int:
        """An option that goes by axis, such as ``stride`` for ``stride_h`` and ``stride_w``."""
        return self.operator.number(f"{name}_{'hw'[self.axis - 1]}", default)

    def side(self, tensor: int) -> int:
        return self.sizes.shapes[tensor][self.axis]

    def taps(self) -> int:
        return self.side(self.operator.inputs[1])

    def value(self, position: int) -> Array:
        value = self.sizes.value(self.graph.tensors[self.operator.inputs[position]])
        if value is None:
            raise damaged(f"input {position} of {self.operator.name} that is no constant")
        return value


Windows = Mapping[int, _Window]
"""How the output depends on each input, by tensor index."""


def _along(graph: Graph, sizes: Sizes, axis: int) -> Geometry:
    frames = {graph.inputs[0]: _Frame(Fraction(1))}
    path: list[tuple[Operator, Windows]] = []
    for operator in graph.operators:
        data = {index: frames[index] for index in operator.inputs if index in frames}
        if data and not sizes.values.keys() >= set(operator.outputs):
            step = _Step(graph, sizes, operator, axis, data)
            windows = _look(step)
            frames |= dict.fromkeys(operator.outputs, _frame(step, windows))
            path.append((operator, windows or {}))
    last = frames.get(graph.outputs[0], _Frame(None, unbounded_by="an output that no operator makes from the input"))
    multiple_of = math.lcm(*(frame.scale.denominator for frame in frames.values() if frame.scale))
    if multiple_of > _LARGEST_STRIDE:
        raise damaged(f"a total stride of {multiple_of}")
    if last.unbounded_by or last.scale is None:
        return Geometry(None, multiple_of, last.scale, last.unbounded_by)
    field, before, after = _extent(graph, path, multiple_of, last.scale)
    return Geometry(field, multiple_of, last.scale, None, before, after)


def _look(step: _Step) -> Windows | None:
    """How the operator's outputs depend on its inputs; None if without bound, or in a way that is not known."""
    rule = _same_position if step.operator.name in POINTWISE else _RULES.get(step.operator.name)
    if rule is None or len({frame.spread for frame in step.data.values() if frame.scale}) > 1:
        return None
    windows = rule(step)
    return windows if windows is not None and windows.keys() >= step.data.keys() else None


def _frame(step: _Step, windows: Windows | None) -> _Frame:
    """Where the outputs lie. An input without a scale (say, one mean per channel) takes that of the others."""
    reasons = [frame.unbounded_by for frame in step.data.values() if frame.unbounded_by]
    here = f"{step.operator.name} (operator {step.operator.index})"
    if windows is None:
        return _Frame(None, unbounded_by=reasons[0] if reasons else here)
    scales = {frame.scale / windows[index].step for index, frame in step.data.items() if frame.scale}
    if len(scales) > 1:
        return _Frame(None, unbounded_by=reasons[0] if reasons else here)
    spread = {"SPACE_TO_BATCH_ND": _block(step), "BATCH_TO_SPACE_ND": 1}.get(step.operator.name, step.spread)
    return _Frame(scales.pop() if scales else None, spread, reasons[0] if reasons else None)


def _extent(
    graph: Graph, path: Sequence[tuple[Operator, Windows]], block: int, scale: Fraction
) -> tuple[int, int, int]:
    """Width of what one output pixel depends on, and what a block of input pixels needs before and after itself.

    The worst of the outputs of that block, which are all that differ in it.
    """
    period = int(block * scale)
    if not 1 <= period <= _LARGEST_STRIDE:
        raise damaged(f"a total enlargement of {period}")
    reaches = [_reach(graph, path, position) for position in range(period)]
    field = max(high - low + 1 for low, high in reaches)
    before, after = max(-low for low, _ in reaches), max(high - block + 1 for _, high in reaches)
    return max(field, 0), max(before, 0), max(after, 0)


def _reach(graph: Graph, path: Sequence[tuple[Operator, Windows]], position: int) -> tuple[int, int]:
    """First and last input position that an output position depends on."""
    reach = {graph.outputs[0]: (position, position)}
    for operator, windows in reversed(path):
        for output in reach.keys() & set(operator.outputs):
            for index, window in windows.items():
                low, high = window.inputs(*reach[output])
                if low <= high:
                    known = reach.get(index, (low, high))
                    reach[index] = min(low, known[0]), max(high, known[1])
    return reach.get(graph.inputs[0], (0, -1))


def _same_position(step: _Step) -> Windows:
    return dict.fromkeys(step.data, _Window())


def _sliding(step: _Step) -> Windows | None:
    return _slide(step, step.taps())


def _pooling(step: _Step) -> Windows | None:
    return _slide(step, step.option("filter"))


def _slide(step: _Step, taps: int) -> Windows | None:
    stride, reach = step.option("stride"), (taps - 1) * step.option("dilation")
    if stride > 1 and step.spread > 1:
        return None
    # TensorFlow's SAME, for sides that are multiples of the stride: the smaller half of the padding comes first.
    before = max(reach + 1 - stride, 0) // 2 if step.operator.options["padding"] == "SAME" else 0
    start, stop = Fraction(-before * step.spread), Fraction((reach - before) * step.spread)
    return {step.operator.inputs[0]: _Window(Fraction(stride), start, stop)}


def _transposed(step: _Step) -> Windows | None:
    """Input i reaches the outputs stride·i − before … stride·i − before + taps − 1."""
    stride, taps, data = step.option("stride"), step.taps(), step.operator.inputs[2]
    before = 0
    if step.operator.options["padding"] == "SAME":
        before = max((step.side(data) - 1) * stride + taps - step.side(step.operator.outputs[0]), 0) // 2
    start, stop = Fraction(before - taps + 1, stride), Fraction(before, stride)
    return {data: _Window(Fraction(1, stride), start, stop, start_up=True)}


def _depth_to_space(step: _Step) -> Windows:
    return {step.operator.inputs[0]: _Window(Fraction(1, _block(step)))}


def _space_to_depth(step: _Step) -> Windows:
    return {step.operator.inputs[0]: _Window(Fraction(_block(step)), stop=Fraction(_block(step) - 1))}


def _resize(step: _Step) -> Windows | None:
    data, size = (step.graph.tensors[index] for index in step.operator.inputs[:2])
    to_one_size = takes_any_size(data) and size.is_constant
    if to_one_size or step.operator.options["align_corners"]:
        return None  # then the enlargement depends on the size of the picture
    unit = Fraction(step.side(data.index), step.side(step.operator.outputs[0]))
    bilinear = step.operator.name == "RESIZE_BILINEAR"
    shift = Fraction(0)
    if step.operator.options["half_pixel_centers"]:
        shift = unit / 2 - Fraction(int(bilinear), 2)
    return {data.index: _Window(unit, shift, shift, stop_up=bilinear)}


def _concatenation(step: _Step) -> Windows | None:
    return _same_position(step) if _is_channel(step, step.operator.number("axis")) else None


def _split(step: _Step) -> Windows | None:
    return _same_position(step) if _is_channel(step, int(step.value(0))) else None


def _over_channels(step: _Step) -> Windows | None:
    """A reduction over channels alone leaves each pixel where it is."""
    channels = all(_is_channel(step, axis) for axis in step.value(1).reshape(-1).tolist())
    return _same_position(step) if channels and step.operator.options["keep_dims"] else None


def _is_channel(step: _Step, axis: int) -> bool:
    rank = len(step.sizes.shapes[next(iter(step.data))])
    return rank == 4 and axis % rank == 3


def _pad(step: _Step) -> Windows:
    before = int(step.value(1)[step.axis][0])
    return _shifted(step, -before)


def _crop(step: _Step) -> Windows | None:
    side = step.side(step.operator.inputs[0])
    taken = slices(step.operator, *(step.value(position) for position in (1, 2, 3)))
    along = taken[step.axis] if step.axis < len(taken) else slice(None)
    if not isinstance(along, slice):
        return None
    first, _, stride = along.indices(side)
    return (
        {step.operator.inputs[0]: _Window(Fraction(stride), Fraction(first), Fraction(first))} if stride > 0 else None
    )


def _shifted(step: _Step, by: int) -> Windows:
    return {step.operator.inputs[0]: _Window(start=Fraction(by), stop=Fraction(by))}


def _space_to_batch(step: _Step) -> Windows | None:
    return _shifted(step, -int(step.value(2).reshape(2, 2)[step.axis - 1, 0])) if step.spread == 1 else None


def _batch_to_space(step: _Step) -> Windows | None:
    return _shifted(step, int(step.value(2).reshape(2, 2)[step.axis - 1, 0])) if step.spread == _block(step) else None


def _block(step: _Step) -> int:
    """Block size of an operator that moves pixels between space, depth and batch; 1 for others."""
    if step.operator.name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        return int(step.value(1).reshape(2)[step.axis - 1])
    return step.operator.number("block_size", 1)


def _dense(step: _Step) -> Windows | None:
    return _same_position(step) if step.operator.options["keep_num_dims"] else None


def _reshape(step: _Step) -> Windows | None:
    shapes = [step.sizes.shapes[index] for index in (step.operator.inputs[0], step.operator.outputs[0])]
    return _same_position(step) if shapes[0] == shapes[1] else None


_RULES: Mapping[str, Callable[[_Step], Windows | None]] = {
    "AVERAGE_POOL_2D": _pooling,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "CONCATENATION": _concatenation,
    "CONV_2D": _sliding,
    "DEPTHWISE_CONV_2D": _sliding,
    "DEPTH_TO_SPACE": _depth_to_space,
    "FULLY_CONNECTED": _dense,
    "L2_POOL_2D": _pooling,
    "MAX_POOL_2D": _pooling,
    "MEAN": _over_channels,
    "MIRROR_PAD": _pad,
    "PAD": _pad,
    "PADV2": _pad,
    "REDUCE_MAX": _over_channels,
    "REDUCE_MIN": _over_channels,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "STRIDED_SLICE": _crop,
    "SUM": _over_channels,
    "TRANSPOSE_CONV": _transposed,
}
"""How each operator's output positions depend on its inputs. Others move pixels freely, or are not known."""
