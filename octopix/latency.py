"""Timing calls: every raw sample is kept, summaries are defined, and unsteady measurements say so."""

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MAX_SAMPLES = 5000
"""Calls of microseconds would otherwise fill a result file with samples that tell nothing new."""
MIN_SAMPLES = 10
MAX_SPREAD = 0.10
"""Standard deviation over mean above which a summary is called unstable (pyperf's limit)."""
MAX_DRIFT = 0.05
"""Change of the median from the first to the second half above which the machine was still settling."""


@dataclass(frozen=True)
class Latency:
    """Raw times of one call, in milliseconds, in the order they were taken."""

    samples_ms: tuple[float, ...]
    warmup: int
    """Calls before the first sample; their times are not among the samples."""
    init_ms: float | None = None
    """From model bytes to allocated tensors, where that was measured."""
    first_ms: float | None = None
    """The very first call, which pays for packing weights and touching memory."""
    warnings: tuple[str, ...] = ()

    @property
    def median_ms(self) -> float:
        """Middle sample; mean of the middle two for an even count."""
        return statistics.median(self.samples_ms)

    @property
    def p95_ms(self) -> float:
        """Nearest rank: the smallest sample that at least 95 % of the samples do not exceed."""
        return quantile(self.samples_ms, 0.95)

    @property
    def min_ms(self) -> float:
        """Fastest sample."""
        return min(self.samples_ms)

    @property
    def mean_ms(self) -> float:
        """Arithmetic mean."""
        return statistics.fmean(self.samples_ms)

    @property
    def stdev_ms(self) -> float:
        """Sample standard deviation (n − 1); 0 for a single sample."""
        return statistics.stdev(self.samples_ms) if len(self.samples_ms) > 1 else 0.0


def quantile(samples: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest sample that at least ``share`` (0..1) of the samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def measure(
    call: Callable[[], object],
    *,
    warmup: int = 3,
    runs: int = 20,
    min_seconds: float = 2.0,
    init_ms: float | None = None,
) -> Latency:
    """Time ``call``: ``warmup`` calls, then at least ``runs`` calls and ``min_seconds``, `MAX_SAMPLES` at most.

    The load average is read before the first call, so that the measurement does not warn of itself.
    """
    init = {} if init_ms is None else {"call": init_ms}
    return measure_alternating({"call": call}, warmup=warmup, runs=runs, min_seconds=min_seconds, init_ms=init)["call"]


def measure_alternating(
    calls: Mapping[str, Callable[[], object]],
    *,
    warmup: int = 3,
    runs: int = 20,
    min_seconds: float = 2.0,
    init_ms: Mapping[str, float] | None = None,
) -> Mapping[str, Latency]:
    """Time several calls in turn (A B C A B C …), so that a disturbance meets all of them and ratios hold.

    Each call gets ``warmup`` untimed and at least ``runs`` timed turns; the whole lasts at least
    ``min_seconds`` per call, unless `MAX_SAMPLES` turns come first. In turns, every call finds the caches
    as another left them: small models look slightly slower than alone.
    """
    overload = _overload()
    first = {name: _timed(call) for name, call in calls.items()}
    for _ in range(warmup - 1):
        for call in calls.values():
            call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    end, turns = time.perf_counter() + min_seconds * len(calls), 0
    while turns < runs or (time.perf_counter() < end and turns < MAX_SAMPLES):
        for name, call in calls.items():
            samples[name].append(_timed(call))
        turns += 1
    return {
        name: Latency(
            samples_ms=tuple(times),
            warmup=max(warmup, 1),
            init_ms=(init_ms or {}).get(name),
            first_ms=first[name],
            warnings=(*overload, *instabilities(times)),
        )
        for name, times in samples.items()
    }


def instabilities(samples_ms: Sequence[float]) -> tuple[str, ...]:
    """What makes these samples a weak ground for a verdict, in plain sentences; empty when nothing does."""
    found = []
    if len(samples_ms) < MIN_SAMPLES:
        found.append(f"only {len(samples_ms)} samples; {MIN_SAMPLES} are the least to trust")
    if len(samples_ms) < 2:
        return tuple(found)
    spread = statistics.stdev(samples_ms) / statistics.fmean(samples_ms)
    if spread > MAX_SPREAD:
        found.append(f"unstable: the standard deviation is {spread:.0%} of the mean")
    half = len(samples_ms) // 2
    drift = statistics.median(samples_ms[half:]) / statistics.median(samples_ms[:half]) - 1
    if abs(drift) > MAX_DRIFT:
        found.append(f"drifting: the second half's median is {drift:+.0%} from the first half's")
    return tuple(found)


def available_cores() -> int:
    """CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float | None:
    """Runnable processes over the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def _overload() -> tuple[str, ...]:
    load, cores = load_average(), available_cores()
    if load is None or load <= cores:
        return ()
    return (f"busy machine: load average {load:.1f} on {cores} cores before the first call",)


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
