"""What deploy asks of a device: run a command there, and move files there and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from octopix.errors import OctopixError


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end on a device."""

    command: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str


class Target(Protocol):
    """A device, reduced to one working folder on it. Names of files are relative to that folder."""

    @property
    def name(self) -> str:
        """Short name for reports."""

    @property
    def octopix(self) -> tuple[str, ...]:
        """The words that start octopix there."""

    def run(self, command: Sequence[str], *, timeout: float) -> Finished:
        """Run ``command`` in the folder to its end, whatever its exit code.

        Raises:
            StableTargetError: it cannot be started.
            TransientTargetError: it ran longer than ``timeout`` seconds, and was ended.
        """

    def push(self, local: Path, name: str) -> None:
        """Copy a file from here to the folder.

        Raises:
            StableTargetError: no such file here, or no room there.
        """

    def pull(self, name: str, local: Path) -> None:
        """Copy a file from the folder to here, whole or not at all.

        Raises:
            StableTargetError: no such file there.
        """


class TargetError(OctopixError):
    """Something went wrong on a device; ``finished`` is the command it happened in, if it came to an end."""

    def __init__(self, *, expected: str, got: str, do: str, finished: Finished | None = None) -> None:
        super().__init__(expected=expected, got=got, do=do)
        self.finished = finished


class StableTargetError(TargetError):
    """A wrong setting, file or installation: the same call would fail again."""


class TransientTargetError(TargetError):
    """A cable, a busy device, a timeout: the same call may succeed later."""
