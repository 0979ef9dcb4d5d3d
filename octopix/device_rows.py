"""Rows of a measurement on a device: what ran there, how fast, how well, and whether it was the same as on the host.

A fact that cannot be read is None, never 0.
"""

import statistics
from dataclasses import dataclass
from typing import Literal

from octopix.card import ModelCard
from octopix.runtime import RunFacts


@dataclass(frozen=True)
class DeviceState:
    """A device's condition at one moment."""

    governor: str | None = None
    frequency_mhz: float | None = None
    """Of the fastest CPU, now."""
    frequency_max_mhz: float | None = None
    """Of the fastest CPU: what it may reach now. Thermal limits lower it."""
    temperature_c: float | None = None
    """Hottest sensor."""
    throttling: int | None = None
    """Raspberry Pi: the bits of ``vcgencmd get_throttled``. Android: thermal status, 0 none to 6 shutdown."""
    memory_free_mib: float | None = None
    battery_percent: float | None = None


@dataclass(frozen=True)
class ProcessTiming:
    """Times of one process, in milliseconds, and the most memory it held."""

    runs: int
    warmup: int
    median_ms: float | None
    p95_ms: float | None
    min_ms: float | None
    mean_ms: float | None
    init_ms: float | None = None
    first_ms: float | None = None
    peak_memory_mib: float | None = None
    """Of the whole process: code, weights and buffers."""
    samples_ms: tuple[float, ...] = ()
    """Raw times, where the tool gives them."""


@dataclass(frozen=True)
class Parity:
    """The device's pictures against the host's, same file, same inputs, 8 bits."""

    state: Literal["identical", "within", "unchecked"]
    largest: int | None = None
    """Largest difference in grey levels (LSB)."""
    mean: float | None = None
    """Mean absolute difference in grey levels."""
    allowed_largest: int | None = None
    reason: str = ""
    """Why it is unchecked, or what the limit follows from."""


@dataclass(frozen=True)
class DeviceRow:
    """One file on one delegate of one device."""

    model: str
    scheme: str
    device: str
    """Name of the device in its settings."""
    tool: str
    """What timed it, e.g. ``octopix bench`` or ``benchmark_model (classic), native shell``."""
    shape: tuple[int, ...]
    """Network input that Flops and latency refer to, batch first: (1, H, W, C)."""
    flops_convention: str
    flops_g: float | None
    params_m: float | None
    kib: float
    image_set: str
    images: int
    protocol: str
    psnr_db: float | None
    """Of the device's own pictures, mean; None where it cannot hand them out."""
    host_psnr_db: float | None
    """Of the same file's pictures on the host."""
    drop_db: float | None
    """PSNR of float32 on the same device and delegate − this; positive is a loss."""
    parity: Parity
    processes: tuple[ProcessTiming, ...]
    """One entry per process that counts."""
    rejected: tuple[str, ...]
    """Why processes do not count: the device grew hot, slowed down, …"""
    ratio_to_float32: float | None
    """Median of float32 over median of this, same device, delegate and threads; above 1 is faster."""
    facts: RunFacts
    before: DeviceState
    after: DeviceState
    graph_sha256: str
    file_sha256: str
    card: ModelCard | None = None

    @property
    def median_ms(self) -> float | None:
        """Median of the processes' medians."""
        return _middle([process.median_ms for process in self.processes])

    @property
    def p95_ms(self) -> float | None:
        """Median of the processes' 95th percentiles."""
        return _middle([process.p95_ms for process in self.processes])

    @property
    def init_ms(self) -> float | None:
        """Median over the processes."""
        return _middle([process.init_ms for process in self.processes])

    @property
    def peak_memory_mib(self) -> float | None:
        """Largest of the processes."""
        known = [process.peak_memory_mib for process in self.processes if process.peak_memory_mib is not None]
        return max(known, default=None)

    @property
    def spread(self) -> float | None:
        """Largest over smallest of the processes' medians, minus 1; None for a single process."""
        known = [process.median_ms for process in self.processes if process.median_ms is not None]
        return max(known) / min(known) - 1 if len(known) > 1 else None

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """Raw times of all processes; empty where the tool gives none."""
        return tuple(sample for process in self.processes for sample in process.samples_ms)


def _middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
