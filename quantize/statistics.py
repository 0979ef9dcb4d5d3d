"""What each activation tensor of a float model holds on calibration images, gathered in one pass.

The model runs in the LiteRT interpreter with every tensor kept readable: XNNPACK's speed, no converter. Memory does
not grow with the number of images, but for a few bytes per channel, and the result does not depend on the number of
threads.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octopix.crew import in_order
from octopix.errors import DataError, ModelFileError
from octopix.graph import Graph, read_graph
from octopix.latency import available_cores
from octopix.runtime import Session, open_session

Array = npt.NDArray[Any]

SAMPLE = 1 << 17
"""Values kept per tensor, all images together. Eight times as many gained 0.002 dB of ESPCN ×4's drop of 0.18 dB with
MSE ranges (validation list, 64 crops), eight times fewer lost 0.001 dB."""


Look = Callable[[Session, int], None]
"""Given a session that has run an image, and the image's number, in the thread that ran it."""


@dataclass(frozen=True)
class ByChannel:
    """What a tensor (1, H, W, C) holds in each channel; enough to know its statistics with channels rescaled."""

    minima: Array
    """float32 (images, C), exact; so are ``maxima``."""
    maxima: Array
    of_sample: Array
    """int32 (n,): the channel of each sampled value."""
    importance: Array | None = None
    """(C,): noise power at the output per noise power in the channel (`quantize.noise`); None where all count alike."""

    @property
    def peaks(self) -> Array:
        """The largest magnitudes, float32 (C,)."""
        found: Array = np.maximum(-self.minima, self.maxima).max(axis=0)
        return found


@dataclass(frozen=True)
class TensorStatistics:
    """One activation tensor over all calibration images."""

    name: str
    minimum: float
    """Exact, over every value of every image; so is ``maximum``."""
    maximum: float
    mean_minimum: float
    """Mean over the images of each image's minimum."""
    mean_maximum: float
    images: int
    sample: Array
    """float32 (n,), n ≤ ``SAMPLE``: values drawn at random, as many from each image."""
    by_channel: ByChannel | None = None
    """Where it was asked for."""

    @property
    def active(self) -> Array:
        """Share of values above zero in each channel, (C,)."""
        return self._mean_of(self.sample > 0)

    @property
    def variances(self) -> Array:
        """Of each channel, (C,)."""
        sample = self.sample.astype(np.float64)
        found: Array = np.maximum(self._mean_of(np.square(sample)) - np.square(self._mean_of(sample)), 0)
        return found

    @property
    def importances(self) -> Array | None:
        """Of each sampled value, float32 (n,); None where all count alike."""
        channels = self.by_channel
        if channels is None or channels.importance is None:
            return None
        return channels.importance.astype(np.float32)[channels.of_sample]

    def _mean_of(self, values: Array) -> Array:
        """Means over the sampled values of each channel; 0 of a channel that none fell on."""
        assert self.by_channel is not None  # asked for where channels may be rescaled
        channels, count = self.by_channel.of_sample, self.by_channel.minima.shape[1]
        found: Array = np.bincount(channels, values, count) / np.maximum(np.bincount(channels, minlength=count), 1)
        return found

    def rescaled(self, factors: Array) -> "TensorStatistics":
        """What the tensor would hold if each channel were multiplied by its factor.

        Args:
            factors: float32 (C,), all > 0.
        """
        assert self.by_channel is not None  # asked for where channels may be rescaled
        importance = self.by_channel.importance
        channels = dataclasses.replace(
            self.by_channel,
            minima=self.by_channel.minima * factors,
            maxima=self.by_channel.maxima * factors,
            importance=None if importance is None else importance / np.square(factors),
        )
        lows, highs = channels.minima.min(axis=1), channels.maxima.max(axis=1)
        return dataclasses.replace(
            self,
            minimum=float(lows.min()),
            maximum=float(highs.max()),
            mean_minimum=float(lows.mean(dtype=np.float64)),
            mean_maximum=float(highs.mean(dtype=np.float64)),
            sample=self.sample * factors[channels.of_sample],
            by_channel=channels,
        )


@dataclass(frozen=True)
class _Reading:
    """One tensor on one image."""

    minimum: float
    maximum: float
    sample: Array
    by_channel: ByChannel | None
    """Of this image alone."""


def activations(graph: Graph) -> tuple[int, ...]:
    """Indices of the float32 tensors that change with the image, in the order the graph computes them."""
    computed = (index for operator in graph.operators for index in operator.outputs)
    found = dict.fromkeys((*graph.inputs, *computed))
    return tuple(index for index in found if graph.tensors[index].dtype == "float32")


def collect(
    float_model: bytes,
    batches: Iterable[Array],
    *,
    tensors: Collection[int] | None = None,
    by_channel: Collection[int] = (),
    threads: int | None = None,
    look: Look | None = None,
    watch: Callable[[int], None] | None = None,
) -> dict[int, TensorStatistics]:
    """Run the images through the model and describe its activations.

    Args:
        float_model: a float32 ``.tflite`` with one input.
        batches: float32 (1, H, W, C) in the network's own range, any H and W it takes.
        tensors: flatbuffer indices to look at; all activations if None.
        by_channel: those of them, (1, H, W, C), to look at channel by channel, too.
        threads: interpreters that run at once; as many as there are processors if None.
        look: shown every image's activations, too.
        watch: called with the number of images done.

    Returns:
        Statistics by flatbuffer tensor index.

    Raises:
        DataError: no image at all.
        ModelFileError: a tensor holds NaN or infinity; the message names it.
    """
    graph = read_graph(float_model)
    chosen = activations(graph) if tensors is None else tuple(tensors)
    gathered = {index: _Gathered(graph.tensors[index].name) for index in chosen}
    reader = _Reader(chosen, frozenset(by_channel), look)
    read = in_order(
        batches,
        workers=threads or available_cores(),
        make=lambda: open_session(float_model, threads=1, keep_tensors=True),
        work=reader.read,
    )
    for done, readings in enumerate(read, start=1):
        for index, reading in readings.items():
            gathered[index].add(reading)
        if watch is not None:
            watch(done)
    return {index: each.finish() for index, each in gathered.items()}


@dataclass(frozen=True)
class _Reader:
    """Runs one image and reads its activations."""

    tensors: Collection[int]
    by_channel: Collection[int]
    look: Look | None

    def read(self, session: Session, number: int, batch: Array) -> dict[int, _Reading]:
        session.place(batch)
        session.execute()
        if self.look is not None:
            self.look(session, number)
        random = np.random.default_rng(number)  # by the image's number: the same draw whichever thread reads it
        return {
            index: _read_tensor(session.tensor(index), number, random, index in self.by_channel)
            for index in self.tensors
        }


def _read_tensor(tensor: Array, number: int, random: np.random.Generator, by_channel: bool) -> _Reading:
    values = tensor.reshape(-1)
    chosen = random.integers(values.size, size=_share(number + 1), dtype=np.int32)
    if not by_channel:
        return _Reading(float(values.min()), float(values.max()), values[chosen], None)
    rows = tensor.reshape(-1, tensor.shape[-1])
    minima, maxima = rows.min(axis=0, keepdims=True), rows.max(axis=0, keepdims=True)
    channels = ByChannel(minima, maxima, chosen % tensor.shape[-1])
    return _Reading(float(minima.min()), float(maxima.max()), values[chosen], channels)


def _share(images: int) -> int:
    """Values each image may contribute when there are ``images``: the sample over the next power of two."""
    return max(1, SAMPLE >> (images - 1).bit_length())


class _Gathered:
    """Readings of one tensor, added up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.minima = _Running()
        self.maxima = _Running()
        self.samples: list[Array] = []
        self.channels: list[ByChannel] = []

    def add(self, reading: _Reading) -> None:
        if not np.isfinite([reading.minimum, reading.maximum]).all():
            raise ModelFileError(
                expected=f"finite activations in {self.name}",
                got=f"values from {reading.minimum} to {reading.maximum} on calibration image {len(self.samples)}",
                do="look for NaN or runaway weights in front of that tensor, and train again",
            )
        self.minima.add(reading.minimum)
        self.maxima.add(reading.maximum)
        self.samples.append(reading.sample)
        if reading.by_channel is not None:
            self.channels.append(reading.by_channel)
        share = _share(len(self.samples))
        if share < self.samples[0].size:  # a prefix of a random draw is a random draw
            self.samples = [sample[:share].copy() for sample in self.samples]
            self.channels = [
                dataclasses.replace(each, of_sample=each.of_sample[:share].copy()) for each in self.channels
            ]

    def finish(self) -> TensorStatistics:
        if not self.samples:
            raise DataError(expected="calibration images", got="none", do="correct DATA=, or leave it out")
        return TensorStatistics(
            name=self.name,
            minimum=self.minima.least,
            maximum=self.maxima.greatest,
            mean_minimum=self.minima.mean,
            mean_maximum=self.maxima.mean,
            images=len(self.samples),
            sample=np.concatenate(self.samples),
            by_channel=self._by_channel(),
        )

    def _by_channel(self) -> ByChannel | None:
        if not self.channels:
            return None
        columns = zip(*((each.minima, each.maxima, each.of_sample) for each in self.channels), strict=True)
        return ByChannel(*(np.concatenate(column) for column in columns))


class _Running:
    """Extremes and mean of a stream of numbers."""

    def __init__(self) -> None:
        self.least, self.greatest, self.mean, self.count = np.inf, -np.inf, 0.0, 0

    def add(self, value: float) -> None:
        self.least, self.greatest = min(self.least, value), max(self.greatest, value)
        self.count += 1
        self.mean += (value - self.mean) / self.count
