"""Would the GPU run this network? What rules know, and what a trial says where there is something to try it on."""

from dataclasses import dataclass
from pathlib import Path

from octopix.errors import DelegateError, RuntimeMissingError
from octopix.gpu_rules import Finding, findings
from octopix.graph import read_graph
from octopix.runtime import open_session

GPU = "gpu"


@dataclass(frozen=True)
class GpuFit:
    """A network and the GPU."""

    findings: tuple[Finding, ...]
    """By rules, whatever is installed here."""
    got: str | None
    """What ran it here (``gpu``, ``software-gpu`` …) with the CPU's output; None where nothing did."""
    adapter: str | None
    why: str | None
    """Why nothing ran it here."""
    said: tuple[str, ...]
    """What the accelerator said of operators that it refuses."""


def gpu_fit(model: Path) -> GpuFit:
    """What stands between a ``.tflite`` and the GPU.

    Raises:
        ModelFileError: damaged or foreign.
    """
    known = findings(read_graph(model))
    try:
        facts = open_session(model, delegate=GPU).facts
    except DelegateError as error:
        return GpuFit(known, None, None, f"expected {error.expected}, got {error.got}", error.refused)
    except RuntimeMissingError as error:
        return GpuFit(known, None, None, error.got, ())
    return GpuFit(known, facts.delegate_got, facts.adapter, None, ())
