"""What the kernels of a model see, on its float form or on that and its int8 form: means and covariances, streamed.

A form runs with every tensor kept readable; around places drawn at random, the same for both forms, the values under
the kernel are taken. Memory does not grow with the number of images, but for the float form's views where they are kept
for several gatherings (`float_views`, `shown`), in half precision no more than `KEPT`, and for what the int8 form holds
between two layers (`quantize.relay`).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from octopix.crew import in_order
from octopix.graph import Graph, Operator, read_graph
from octopix.images import to_unit
from octopix.latency import available_cores
from octopix.runtime import Session, open_session
from quantize.filters import KINDS, Filter
from quantize.relay import Relay
from quantize.rounding import Moments

Array = npt.NDArray[Any]

Read = TypeVar("Read")

PLACES = 768
"""Places per image that a kernel is put on."""

MEMORY = 1 << 29
"""Bytes of covariances that are gathered at once; more layers than fit are gathered in more runs."""

KEPT = 1 << 30
"""Bytes of views that are kept, at two per value."""

HALF = (2.0**-4, 2.0**15)
"""Largest magnitudes whose tensors half precision holds well: to 2⁻¹¹ of each value or 2⁻²¹ of the largest."""

Views = Sequence[Mapping[int, Array]]
"""By image and operator number, what the float model shows a kernel at its places: (groups, places, d), float16 where
that `HALF` does."""


def observe(
    float_model: bytes, chosen: Sequence[Filter], images: Sequence[Array], *, covariances: bool = True
) -> dict[int, tuple[Moments, ...]]:
    """Moments as if the int8 model saw what the float model sees, by the number of the float model's operator.

    Args:
        float_model: from `quantize.filters.separated`.
        chosen: filters of it; as many as `batches` allows where covariances are wanted.
        images: uint8 (1, H, W, C).
        covariances: empty if not.

    Returns:
        For a depthwise filter the moments of each output, else one.
    """
    sums = {each.operator.index: _Sums(each, covariances=covariances) for each in chosen}
    for views in _float_views(float_model, chosen, images):
        for index, total in sums.items():
            total.add(views[index])
    return {index: each.finish() for index, each in sums.items()}


def moments_of(views: Views, chosen: Sequence[Filter], *, covariances: bool = True) -> dict[int, tuple[Moments, ...]]:
    """What `observe` gives, from views that were kept."""

    def summed(idle: None, number: int, each: Filter) -> tuple[Moments, ...]:
        total = _Sums(each, covariances=covariances)
        for view in views:
            total.add(view[each.operator.index])
        return total.finish()

    found = in_order(chosen, workers=available_cores(), make=lambda: None, work=summed)
    return {each.operator.index: moments for each, moments in zip(chosen, found, strict=True)}


def observe_both(
    float_model: bytes,
    int8_model: bytes,
    each: Filter,
    relay: Relay,
    *,
    known: Iterable[Array] | None = None,
) -> tuple[Moments, ...]:
    """One filter's moments on both models: for a depthwise filter those of each output, else one.

    Args:
        float_model: from `quantize.filters.separated`.
        int8_model: made of it.
        each: filter of the float model.
        relay: takes the images through the int8 model, as far as this filter.
        known: the filter's own from `float_views`; the float model is not run then.
    """
    graph = read_graph(int8_model)
    twin = _twin(float_model, graph, each)
    found = graph.tensors[twin.inputs[0]].quantization
    assert found is not None  # a full-integer model: every activation has a scale
    scale, zero = np.float32(found.scales[0]), found.zero_points[0]

    def seen(idle: None, number: int, stored: Array) -> Array:
        return (_views(each, stored, number, outside=zero).astype(np.float32) - zero) * scale

    if known is None:
        known = (views[each.operator.index] for views in _float_views(float_model, [each], relay.images))
    read = relay.read_by(int8_model, twin.index)
    sums = _Sums(each, covariances=True)
    views = in_order(read, workers=available_cores(), make=lambda: None, work=seen)
    for int8, float_ in zip(views, known, strict=True):
        sums.add(int8, float_)
    return sums.finish()


def float_views(
    float_model: bytes, chosen: Sequence[Filter], images: Sequence[Array], *, averaged: Sequence[Filter] = ()
) -> Views | None:
    """What the float model shows each filter at its places; None where that `is_too_much`.

    Layers that are solved one after the other change the int8 model only: the float model need not run for each anew.

    Args:
        float_model: from `quantize.filters.separated`.
        chosen: filters of it.
        images: uint8 (1, H, W, C).
        averaged: see `shown`.
    """

    def read(session: Session, number: int, image: Array) -> dict[int, Array]:
        session.invoke(to_unit(image))
        return shown(session, chosen, number, averaged=averaged)

    return None if is_too_much(chosen, len(images)) else tuple(_in_sessions(float_model, images, read))


def is_too_much(chosen: Sequence[Filter], images: int) -> bool:
    """Whether views of so many images do not fit in `KEPT`."""
    values = PLACES * sum(each.weights.size if each.depthwise else each.weights[0].size for each in chosen)
    return values * np.dtype(np.float16).itemsize * images > KEPT


def shown(
    session: Session, chosen: Sequence[Filter], number: int, *, averaged: Sequence[Filter] = ()
) -> dict[int, Array]:
    """What the float model's run on image ``number`` shows each filter: one image of `Views`.

    Of filters in ``averaged`` it leaves the mean alone, as if that were all that a single place saw.
    """

    def views(each: Filter) -> Array:
        return _views(each, session.tensor(each.image), number)

    means = {each.operator.index: views(each).mean(axis=1, keepdims=True) for each in averaged}
    return {each.operator.index: _halved(views(each)) for each in chosen} | means


def _halved(views: Array) -> Array:
    """In half precision, of which int8 values have no use for more, or as they are."""
    least, most = HALF
    return views.astype(np.float16) if least <= np.abs(views).max() <= most else views


def batches(chosen: Sequence[Filter]) -> list[tuple[Filter, ...]]:
    """Filters in groups whose covariances fit in `MEMORY`, order kept."""
    groups: list[list[Filter]] = [[]]
    room = MEMORY
    for each in chosen:
        need = 2 * 8 * _Sums(each, covariances=True).elements  # sums, and the covariances made of them
        if groups[-1] and need > room:
            groups.append([])
            room = MEMORY
        groups[-1].append(each)
        room -= need
    return [tuple(group) for group in groups if group]


def _float_views(float_model: bytes, chosen: Sequence[Filter], images: Sequence[Array]) -> Iterator[dict[int, Array]]:
    def read(session: Session, number: int, image: Array) -> dict[int, Array]:
        session.invoke(to_unit(image))
        return shown(session, chosen, number)

    return _in_sessions(float_model, images, read)


def _in_sessions(model: bytes, images: Sequence[Array], read: Callable[[Session, int, Array], Read]) -> Iterator[Read]:
    """What ``read`` makes of each image, on all cores."""
    make = partial(open_session, model, keep_tensors=True)
    return in_order(images, workers=available_cores(), make=make, work=read)


def _views(each: Filter, image: Array, number: int, *, outside: int = 0) -> Array:
    """At places that depend on the filter's geometry and on the picture's number alone."""
    return Sampler(each, image.shape, np.random.default_rng(number)).views(image, outside=outside)


class _Sums:
    """Sums of one filter's views and of their products."""

    def __init__(self, each: Filter, *, covariances: bool) -> None:
        _, height, width, channels = each.weights.shape
        self.groups = channels if each.depthwise else 1
        self.size = height * width * (1 if each.depthwise else channels)
        self.elements = self.groups * self.size**2
        self.count = 0
        self._covariances = covariances
        self._squares: Array | None = None
        self._cross: Array | None = None
        self._means: Array | None = None

    def add(self, seen: Array, float_: Array | None = None) -> None:
        """Add one image's views, (groups, places, d); with those of the int8 model, the float model's."""
        seen = seen.astype(np.float32, copy=False)
        float_ = None if float_ is None else float_.astype(np.float32, copy=False)
        ones = np.ones(seen.shape[1], np.float32)
        self._means = _plus(self._means, np.stack([ones @ views for views in (seen, float_) if views is not None]))
        self.count += seen.shape[1]
        if self._covariances:
            self._squares = _plus(self._squares, seen.transpose(0, 2, 1) @ seen)
            if float_ is not None:
                self._cross = _plus(self._cross, float_.transpose(0, 2, 1) @ seen)

    def finish(self) -> tuple[Moments, ...]:
        """Covariances from sums."""
        means = np.asarray(self._means) / self.count
        return tuple(self._moments(group, means[0, group], means[-1, group]) for group in range(self.groups))

    def _moments(self, group: int, seen: Array, float_: Array) -> Moments:
        if self._squares is None:
            return Moments(covariance=np.empty((0, 0)), cross=None, mean=float_, mean_int8=seen)
        covariance = self._squares[group] / self.count - np.outer(seen, seen)
        cross = None if self._cross is None else self._cross[group] / self.count - np.outer(float_, seen)
        return Moments(covariance=covariance, cross=cross, mean=float_, mean_int8=seen)


def _plus(total: Array | None, more: Array) -> Array:
    """The sum in float64, in the total's place: of a wide layer, covariances are hundreds of megabytes."""
    return more.astype(np.float64) if total is None else np.add(total, more, out=total)


class Sampler:
    """Takes what a kernel sees at places of its output that are drawn once.

    Args:
        each: the filter.
        shape: (1, H, W, C) of the image it reads.
        random: draws the places.
    """

    def __init__(self, each: Filter, shape: Sequence[int], random: np.random.Generator) -> None:
        self._depthwise = each.depthwise
        self._multiplier = each.weights.shape[3] // shape[3] if each.depthwise else 1
        sides = zip(shape[1:3], each.weights.shape[1:3], ("h", "w"), strict=True)
        down, along = (_Axis(each.operator, side, kernel, name, random) for side, kernel, name in sides)
        self.places = (down.places, along.places)
        """Rows and columns of the output."""
        inside = down.inside[:, :, None] & along.inside[:, None, :]
        seen = down.seen[:, :, None] * shape[2] + along.seen[:, None, :]
        self._beyond = ~inside.reshape(PLACES, -1)
        self._seen = np.where(inside, seen, 0).reshape(PLACES, -1)

    def views(self, image: Array, *, outside: int = 0) -> Array:
        """(groups, places, d) of (1, H, W, C): kernel rows, then columns, then channels run fastest."""
        taken = image.reshape(-1, image.shape[3]).take(self._seen, axis=0)
        taken[self._beyond] = outside
        if not self._depthwise:
            return taken.reshape(1, PLACES, -1)
        return np.repeat(taken.transpose(2, 0, 1), self._multiplier, axis=0)


class _Axis:
    """One axis of a sampler, by TensorFlow's SAME and VALID."""

    def __init__(self, operator: Operator, side: int, kernel: int, name: str, random: np.random.Generator) -> None:
        stride, dilation = operator.number(f"stride_{name}", 1), operator.number(f"dilation_{name}", 1)
        reach = (kernel - 1) * dilation + 1
        same = operator.options["padding"] == "SAME"
        outputs = math.ceil((side if same else side - reach + 1) / stride)
        before = max((outputs - 1) * stride + reach - side, 0) // 2 if same else 0
        self.places = random.integers(0, outputs, PLACES)
        self.seen = (self.places * stride - before)[:, None] + np.arange(0, reach, dilation)
        """(places, kernel): what each window covers, perhaps outside of the image."""
        self.inside = (self.seen >= 0) & (self.seen < side)


def _twin(float_model: bytes, int8_graph: Graph, each: Filter) -> Operator:
    """The filter's int8 form: both graphs keep the order of their convolutions."""
    ours, theirs = (
        [operator for operator in graph.operators if operator.name in KINDS]
        for graph in (read_graph(float_model), int8_graph)
    )
    twins = {one.index: other for one, other in zip(ours, theirs, strict=True)}
    return twins[each.operator.index]
