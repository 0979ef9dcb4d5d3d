"""What measuring asks of a device, whatever runs there: a state, times, and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deploy.artifacts import ModelFile
from deploy.pictures import Sample
from octopix.conditions import Conditions
from octopix.device_rows import DeviceState, ProcessTiming
from octopix.images import Array
from octopix.runtime import RunFacts

CPU, GPU = "cpu", "gpu"


@dataclass(frozen=True)
class Way:
    """On what a file runs."""

    delegate: str
    """``cpu`` or ``gpu``."""
    threads: int

    def __str__(self) -> str:
        return self.delegate if self.delegate != CPU else f"cpu, {self.threads} thread{'s' * (self.threads > 1)}"


def usual_ways(cores: int) -> tuple[Way, ...]:
    """The CPU on one thread and on all ``cores``, and the GPU."""
    return (Way(CPU, 1), *((Way(CPU, cores),) if cores > 1 else ()), Way(GPU, 1))


@dataclass(frozen=True)
class Job:
    """How much is measured of each row."""

    size: tuple[int, int] = (128, 128)
    """Of the network's input, (height, width)."""
    processes: int = 3
    warmup: int = 10
    runs: int = 50
    cooldown_s: float = 5.0
    """Before each process; longer after each one that did not count."""
    tries: int = 6
    """Processes at most, those that do not count included."""
    timeout_s: float = 600.0
    """For one process."""


@dataclass(frozen=True)
class Timed:
    """One process: times, and on what they were really made."""

    timing: ProcessTiming
    facts: RunFacts


@dataclass(frozen=True)
class Outputs:
    """The device's own pictures, uint8 (H, W, C), one per sample, and on what they were really made."""

    pictures: tuple[Array, ...]
    facts: RunFacts


class Bench(Protocol):
    """A device that is ready to measure. Files are pushed when they are first used."""

    @property
    def device(self) -> str:
        """Its name in reports."""

    @property
    def tool(self) -> str:
        """What times."""

    @property
    def unchecked(self) -> str:
        """Why it cannot hand out pictures; empty where it can."""

    def conditions(self) -> Conditions:
        """What the device is."""

    def state(self) -> DeviceState:
        """Its condition now."""

    def ways(self) -> tuple[Way, ...]:
        """What is worth trying there: the CPU with 1 thread and with all, then the GPU."""

    def time(self, file: ModelFile, way: Way, job: Job) -> Timed:
        """Time one process.

        Raises:
            NotGotError: the delegate that was asked for is not to be had.
            TargetError: the device failed.
        """

    def outputs(self, file: ModelFile, way: Way, samples: Sequence[Sample], job: Job) -> Outputs:
        """Run the pictures through the network there; only where ``unchecked`` is empty. Raises as `time`."""
