"""What can be asked to run a network, and how it is spelled: ``cpu``, ``gpu`` …, or ``library:PATH``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from octopix.errors import ConfigError


@dataclass(frozen=True)
class Delegate:
    """One thing that runs networks."""

    asked: str
    """As facts have it."""
    does: str
    """For people."""
    resolver: str | None = None
    """The ``OpResolverType`` of the interpreter; None where LiteRT's CompiledModel runs it."""
    hardware: Literal["CPU", "GPU"] = "CPU"
    half: bool = False
    """Whether floats may be computed in half precision."""
    library: Path | None = None


DELEGATES: Mapping[str, Delegate] = {
    "cpu": Delegate("cpu-xnnpack", "XNNPACK takes the operators it can (default)", resolver="BUILTIN"),
    "cpu-builtin": Delegate("cpu-builtin", "keeps XNNPACK out", resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
    "cpu-fp16": Delegate("cpu-xnnpack-fp16", "XNNPACK computes float networks in half precision", half=True),
    "gpu": Delegate("gpu", "LiteRT's GPU accelerator, in float32", hardware="GPU"),
    "gpu-fp16": Delegate("gpu-fp16", "the same, in half precision where the GPU has it", hardware="GPU", half=True),
}
"""Argument -> what it means."""

LIBRARY = "library:"
"""Begins the argument that is a path: of a library that exports ``tflite_plugin_create_delegate``."""


def find_delegate(argument: str) -> Delegate:
    """What an argument means.

    Raises:
        ConfigError: neither a key of `DELEGATES` nor ``library:PATH``.
    """
    if argument.startswith(LIBRARY) and argument != LIBRARY:
        path = Path(argument.removeprefix(LIBRARY))
        # Whatever the library does not take stays with the builtin kernels: so the count of operators is its own.
        return Delegate(f"{LIBRARY}{path.name}", "", resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES", library=path)
    if argument not in DELEGATES:
        raise ConfigError(
            expected="a delegate that octopix knows",
            got=repr(argument),
            do=f"choose one of: {', '.join(DELEGATES)}, {LIBRARY}PATH",
        )
    return DELEGATES[argument]
