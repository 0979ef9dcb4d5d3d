"""Is it the same network there as here? The device's pictures against the host's, before any number is reported.

Limits: int8 on XNNPACK of one runtime and version on both sides is exact. Floats there may round a value near a tie the
other way. Other runtimes, other kernels and GPUs add levels of their own; ``dynamic`` quantizes again in each run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.artifacts import ModelFile
from deploy.bench import Outputs
from deploy.pictures import SampleSet, network_plane
from deploy.target import StableTargetError
from octopix.device_rows import Parity
from octopix.images import Array
from octopix.ports import decode, encode, plane_bytes
from octopix.runtime import RunFacts, open_session

XNNPACK = "cpu-xnnpack"
PSNR_DB = 0.01


@dataclass(frozen=True)
class Limit:
    """How far pictures may be apart, in grey levels (LSB)."""

    largest: int
    mean: float
    reason: str


EXACT = Limit(0, 0.0, "int8, the same runtime and kernels on both sides")
ROUNDED = Limit(1, 0.05, "floats, the same runtime and kernels on both sides")
FOREIGN = Limit(5, 1.0, "another runtime, version, kernel or processor")


def host_outputs(file: ModelFile, samples: SampleSet) -> Outputs:
    """The same file and pictures on this machine's CPU."""
    session = open_session(file.path)
    pictures = [
        plane_bytes(decode(session.invoke(encode(network_plane(sample, file.card), session)[np.newaxis])[0], session))
        for sample in samples.samples
    ]
    return Outputs(tuple(pictures), session.facts)


def limit_for(scheme: str, device: RunFacts, host: RunFacts) -> Limit:
    """How far the device may be from the host, by what both really ran on."""
    same = (device.runtime, device.version) == (host.runtime, host.version)
    if not same or {device.delegate_got, host.delegate_got} != {XNNPACK} or scheme == "dynamic":
        return FOREIGN
    return ROUNDED if scheme.startswith("float") else EXACT


def check_parity(file: ModelFile, device: Outputs, host: Outputs, samples: SampleSet, *, where: str) -> Parity:
    """Compare, and refuse what is too far apart.

    Raises:
        StableTargetError: another size, or beyond the limit, or another PSNR than the host's by more than 0.01 dB.
    """
    limit = limit_for(file.card.scheme, device.facts, host.facts)
    largest, mean = _differences(file, device.pictures, host.pictures, where)
    if largest > limit.largest or mean > limit.mean:
        raise _broken(
            file,
            where,
            f"at most {limit.largest} LSB, mean {limit.mean:g} ({limit.reason})",
            f"{largest}, mean {mean:.3g}",
        )
    there, here = samples.psnr_db(device.pictures), samples.psnr_db(host.pictures)
    if not there == here and abs(there - here) > PSNR_DB:
        raise _broken(file, where, f"the host's PSNR of {here:.3f} dB within {PSNR_DB} dB", f"{there:.3f} dB")
    return Parity(
        state="within" if largest else "identical",
        largest=largest,
        mean=mean,
        allowed_largest=limit.largest,
        reason=limit.reason,
    )


def _differences(file: ModelFile, device: Sequence[Array], host: Sequence[Array], where: str) -> tuple[int, float]:
    for there, here in zip(device, host, strict=True):
        if there.shape != here.shape:
            raise _broken(file, where, f"pictures of {here.shape}", f"{there.shape}")
    apart = [np.abs(np.subtract(there, here, dtype=np.int32)) for there, here in zip(device, host, strict=True)]
    return max(int(each.max()) for each in apart), float(np.mean([each.mean() for each in apart]))


def _broken(file: ModelFile, where: str, expected: str, got: str) -> StableTargetError:
    return StableTargetError(
        expected=f"of {file.path.name} on {where} {expected}",
        got=got,
        do="no number is reported: look for another model file, runtime or delegate there",
    )
