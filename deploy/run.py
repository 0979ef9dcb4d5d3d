"""One model on several devices at a time: each has its own result, and the failure of one stops no other."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts import ModelFile
from deploy.bench import Job
from deploy.devices import Device
from deploy.measure import Measuring, Tell
from deploy.pictures import SampleSet
from octopix.errors import OctopixError
from octopix.results import write_result

RESULTS = "results.json"


@dataclass(frozen=True)
class Ran:
    """What became of one device."""

    device: str
    path: Path | None
    """Its result; None where it failed."""
    error: OctopixError | None = None


def measure_all(
    devices: Mapping[str, Device],
    files: Sequence[ModelFile],
    samples: SampleSet,
    job: Job,
    *,
    out: Path,
    tell: Tell,
) -> tuple[Ran, ...]:
    """Measure on all devices side by side; results go to ``out/<device>/results.json``, whole or not at all.

    Args:
        devices: name -> settings; an empty name stands for the device's own.
        files: of one model.
        samples: real pictures for parity and PSNR.
        job: how much is measured.
        out: the folder of this run.
        tell: told what begins, from several threads.
    """

    def one(name: str) -> Ran:
        try:
            with devices[name].open(name or None) as bench:
                result = Measuring(bench, files, samples, job, tell).result()
                path = out / bench.device / RESULTS
                write_result(path, result)
                return Ran(bench.device, path)
        except OctopixError as error:
            return Ran(name or devices[name].target, None, error)

    with ThreadPoolExecutor(len(devices)) as pool:
        return tuple(pool.map(one, devices))
