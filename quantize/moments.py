"""What the kernels of a model see, on its float and on its int8 form at once: means and covariances, streamed.

Both forms run the same image with every tensor kept readable; around places drawn at random, the values under the
kernel are taken from both, or from the int8 form alone. Memory does not grow with the number of images, but where the
float form's views are kept for several gatherings (`float_views`), and then no further than `MEMORY`.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from octopix.crew import in_order
from octopix.graph import Operator, read_graph
from octopix.images import to_unit
from octopix.latency import available_cores
from octopix.runtime import Session, open_session
from quantize.filters import KINDS, Filter
from quantize.rounding import Moments

Array = npt.NDArray[Any]

Want = Literal["means", "alone", "both"]
"""How much of it: means of the int8 form, its covariances too, or those of both forms."""

PLACES = 768
"""Places per image that a kernel is put on."""

MEMORY = 1 << 29
"""Bytes of covariances that are gathered at once; more layers than fit are gathered in more runs. Also of views that
are kept."""

Views = Sequence[Mapping[int, Array]]
"""By image and operator number, what the float model shows a kernel at its places: (groups, places, d)."""


def gather(
    float_model: bytes,
    int8_model: bytes,
    chosen: Sequence[Filter],
    images: Sequence[Array],
    *,
    want: Want = "both",
    known: Views | None = None,
    threads: int | None = None,
    watch: Callable[[int], None] = lambda done: None,
) -> dict[int, tuple[Moments, ...]]:
    """Moments by the number of the float model's operator; for a depthwise filter those of each output, else one.

    Args:
        float_model: from `quantize.filters.separated`.
        int8_model: made of it.
        chosen: filters of the float model; as many as `batches` allows.
        images: uint8 (1, H, W, C).
        want: what is left out is as if the float model saw the int8 model's values; for means, covariances are empty.
        known: from `float_views`, where one filter is chosen; the float model is not run then.
        threads: images at once; as many as there are processors if None.
        watch: told the number of images done.
    """
    assert known is None or (want == "both" and len(chosen) == 1)  # whose places are those of `float_views`
    twins = _twins(float_model, int8_model)
    sums = {each.operator.index: _Sums(each, want) for each in chosen}
    run_float = want == "both" and known is None
    read = in_order(
        images,
        workers=threads or available_cores(),
        make=lambda: _Pair(float_model if run_float else None, int8_model, twins),
        work=lambda pair, number, image: pair.read(image, chosen, number, {} if known is None else known[number]),
    )
    for done, views in enumerate(read, start=1):
        for index, view in views:
            sums[index].add(view)
        watch(done)
    return {index: each.finish() for index, each in sums.items()}


def float_views(float_model: bytes, chosen: Sequence[Filter], images: Sequence[Array]) -> Views | None:
    """What `gather` would take from the float model for each filter alone; None where that would not fit in `MEMORY`.

    Layers that are solved one after the other change the int8 model only: the float model need not run for each anew.
    """
    values = PLACES * sum(each.weights.size if each.depthwise else each.weights[0].size for each in chosen)
    if values * np.dtype(np.float32).itemsize * len(images) > MEMORY:
        return None

    def read(session: Session, number: int, image: Array) -> dict[int, Array]:
        session.invoke(to_unit(image))
        return {
            each.operator.index: Sampler(each, tensor.shape, np.random.default_rng(number)).views(tensor)
            for each in chosen
            for tensor in (session.tensor(each.image),)
        }

    make = partial(open_session, float_model, keep_tensors=True)
    return tuple(in_order(images, workers=available_cores(), make=make, work=read))


def batches(chosen: Sequence[Filter], want: Want) -> list[tuple[Filter, ...]]:
    """Filters in groups whose covariances fit in `MEMORY`, order kept."""
    if want == "means":
        return [tuple(chosen)] if chosen else []
    groups: list[list[Filter]] = [[]]
    room = MEMORY
    for each in chosen:
        need = 2 * 8 * _Sums(each, want).elements
        if groups[-1] and need > room:
            groups.append([])
            room = MEMORY
        groups[-1].append(each)
        room -= need
    return [tuple(group) for group in groups if group]


@dataclass(frozen=True)
class _Views:
    """Values under a kernel: (groups, places, d) by the int8 and, where it was run or is known, by the float model."""

    int8: Array
    float_: Array | None


class _Sums:
    """Sums of one filter's views and of their products."""

    def __init__(self, each: Filter, want: Want) -> None:
        _, height, width, channels = each.weights.shape
        self.groups = channels if each.depthwise else 1
        self.size = height * width * (1 if each.depthwise else channels)
        self.elements = self.groups * self.size**2
        self.count = 0
        self._want = want
        self._squares: Array | None = None
        self._cross: Array | None = None
        self._means: Array | None = None

    def add(self, views: _Views) -> None:
        """Add one image's."""
        seen = [views.int8] if views.float_ is None else [views.int8, views.float_]
        self._means = _plus(self._means, np.stack([each.sum(axis=1, dtype=np.float64) for each in seen]))
        self.count += views.int8.shape[1]
        if self._want == "means":
            return
        self._squares = _plus(self._squares, views.int8.transpose(0, 2, 1) @ views.int8)
        if views.float_ is not None:
            self._cross = _plus(self._cross, views.float_.transpose(0, 2, 1) @ views.int8)

    def finish(self) -> tuple[Moments, ...]:
        """Covariances from sums."""
        means = np.asarray(self._means) / self.count
        return tuple(self._moments(group, means[0, group], means[-1, group]) for group in range(self.groups))

    def _moments(self, group: int, int8: Array, float_: Array) -> Moments:
        if self._want == "means":
            nothing = np.empty((0, 0))
            return Moments(covariance=nothing, cross=nothing, mean=float_, mean_int8=int8)
        covariance = np.asarray(self._squares)[group] / self.count - np.outer(int8, int8)
        cross = covariance
        if self._want == "both":
            cross = np.asarray(self._cross)[group] / self.count - np.outer(float_, int8)
        return Moments(covariance=covariance, cross=cross, mean=float_, mean_int8=int8)


def _plus(total: Array | None, more: Array) -> Array:
    """The sum in float64, in the total's place: of a wide layer, covariances are hundreds of megabytes."""
    return more.astype(np.float64) if total is None else np.add(total, more, out=total)


class _Pair:
    """The two forms of a model, ready to run; the float one only where it is wanted."""

    def __init__(self, float_model: bytes | None, int8_model: bytes, twins: dict[int, int]) -> None:
        self._float = None if float_model is None else open_session(float_model, keep_tensors=True)
        self._int8 = open_session(int8_model, keep_tensors=True)
        self._twins = twins

    def read(
        self, image: Array, chosen: Sequence[Filter], number: int, known: Mapping[int, Array]
    ) -> list[tuple[int, _Views]]:
        """Run them; views by operator number, at the same places of both, which depend on the image's ``number``."""
        if self._float is not None:
            self._float.invoke(to_unit(image))
        self._int8.invoke(image)
        random, found = np.random.default_rng(number), []
        for each in chosen:
            index = each.operator.index
            int8 = _real(self._int8, self._twins[index])
            sampler = Sampler(each, int8.shape, random)
            float_ = known.get(index) if self._float is None else sampler.views(self._float.tensor(each.image))
            found.append((index, _Views(sampler.views(int8), float_)))
        return found


class Sampler:
    """Takes what a kernel sees at places of its output that are drawn once. Outside of the image is zero.

    Args:
        each: the filter.
        shape: (1, H, W, C) of the image it reads.
        random: draws the places.
    """

    def __init__(self, each: Filter, shape: Sequence[int], random: np.random.Generator) -> None:
        self._depthwise = each.depthwise
        self._multiplier = each.weights.shape[3] // shape[3] if each.depthwise else 1
        axes = zip(shape[1:3], each.weights.shape[1:3], ("h", "w"), strict=True)
        self._axes = [_Axis(each.operator, side, kernel, name, random) for side, kernel, name in axes]
        self.places = (self._axes[0].places, self._axes[1].places)
        """Rows and columns of the output."""

    def views(self, image: Array) -> Array:
        """(groups, places, d) of (1, H, W, C): kernel rows, then columns, then channels run fastest."""
        down, along = self._axes
        padded = np.pad(image[0], (down.beyond, along.beyond, (0, 0)))
        taken = [
            padded[down.firsts + row, along.firsts + column]
            for row, column in itertools.product(down.offsets, along.offsets)
        ]
        if not self._depthwise:
            return np.concatenate(taken, axis=1)[None]
        return np.repeat(np.stack(taken, axis=2).transpose(1, 0, 2), self._multiplier, axis=0)


class _Axis:
    """One axis of a sampler, by TensorFlow's SAME and VALID."""

    def __init__(self, operator: Operator, side: int, kernel: int, name: str, random: np.random.Generator) -> None:
        stride, dilation = operator.number(f"stride_{name}", 1), operator.number(f"dilation_{name}", 1)
        reach = (kernel - 1) * dilation + 1
        same = operator.options["padding"] == "SAME"
        outputs = math.ceil((side if same else side - reach + 1) / stride)
        before = max((outputs - 1) * stride + reach - side, 0) // 2 if same else 0
        self.places = random.integers(0, outputs, PLACES)
        self.offsets = range(0, reach, dilation)
        self.beyond = (before, max(0, (outputs - 1) * stride + reach - before - side))
        """Zeros in front of the image and behind it."""
        self.firsts = self.places * stride
        """Where each place's window begins in the padded image."""


def _real(session: Session, index: int) -> Array:
    """A quantized tensor's real values, float32."""
    found = session.graph.tensors[index].quantization
    assert found is not None  # a full-integer model: every activation has a scale
    return (session.tensor(index).astype(np.float32) - found.zero_points[0]) * np.float32(found.scales[0])


def _twins(float_model: bytes, int8_model: bytes) -> dict[int, int]:
    """By a float convolution's number, the tensor that its int8 form reads: both graphs keep their order."""
    ours, theirs = (
        [each for each in read_graph(model).operators if each.name in KINDS] for model in (float_model, int8_model)
    )
    return {one.index: other.inputs[0] for one, other in zip(ours, theirs, strict=True)}
