"""What the machine can do: convolutions that computing limits, and a copy that memory limits, in the same run.

Peaks are those of the runtime that the networks use, not of a data sheet: the fastest call of the fastest of some
convolutions whose weights and pictures fit into a processor's second cache, or nearly.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.bench.flatbuffer import convolution
from benchmarks.bench.records import Peaks, Rate
from octopix.conditions import read_conditions
from octopix.latency import measure
from octopix.proof import noise
from octopix.runtime import open_session

COPIED_MIB = 512
"""Of the array that is copied: more than any cache, where the memory is large enough."""
_SHARE = 16
"""At most so small a part of all memory is copied, and as much is written."""
RUNS = 10


@dataclass(frozen=True)
class Shape:
    """A convolution: (1, side, side, channels) to (1, side, side, filters)."""

    side: int
    channels: int
    filters: int
    taps: int

    @property
    def text(self) -> str:
        """For people."""
        taps, side = f"{self.taps}x{self.taps}", f"{self.side}x{self.side}"
        return f"{taps} convolution {side}x{self.channels} to {self.filters}"

    @property
    def macs(self) -> int:
        """Of one call."""
        return self.side**2 * self.taps**2 * self.channels * self.filters


SHAPES = (Shape(64, 128, 128, 3), Shape(32, 256, 256, 3), Shape(64, 256, 256, 1))


def measure_peaks(*, threads: int, seconds: float) -> Peaks:
    """Measure them with so many threads, at least so long for each."""
    return Peaks(
        threads=threads,
        int8=tuple(_convolution_rate(shape, "int8", threads, seconds) for shape in SHAPES),
        float32=tuple(_convolution_rate(shape, "float32", threads, seconds) for shape in SHAPES),
        memory=(_copy_rate(threads, seconds),),
    )


def _convolution_rate(shape: Shape, dtype: str, threads: int, seconds: float) -> Rate:
    model = convolution(side=shape.side, channels=shape.channels, filters=shape.filters, taps=shape.taps, dtype=dtype)
    session = open_session(model, threads=threads)
    session.place(noise((1, shape.side, shape.side, shape.channels), session.input_dtype))
    samples = measure(session.execute, runs=RUNS, min_seconds=seconds).samples_ms
    return Rate(f"{shape.text}, {dtype}", float(shape.macs), samples)


def _copy_rate(threads: int, seconds: float) -> Rate:
    """NumPy lets other threads run while it copies, so each thread copies its part."""
    count = _copied_bytes()
    source, target = np.ones(count, np.uint8), np.zeros(count, np.uint8)
    bounds = [count * part // threads for part in range(threads + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(bounds)]
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            for done in [pool.submit(np.copyto, target[part], source[part]) for part in parts]:
                done.result()

        samples = measure(copy, warmup=1, runs=3, min_seconds=seconds).samples_ms
    return Rate(f"copy of {count / 2**20:.0f} MiB", 2.0 * count, samples)


def _copied_bytes() -> int:
    memory = read_conditions().memory_mib
    mib = COPIED_MIB if memory is None else min(COPIED_MIB, memory / _SHARE)
    return int(mib * 2**20)
