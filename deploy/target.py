"""What deploy asks of a device: run a command there (`Runner`), move files there and back (`Carrier`).

Errors are stable (the same call would fail again) or transient (it may succeed later), and carry the command they
happened in with its exit code and what it wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from octopix.errors import OctopixError


@dataclass(frozen=True)
class Finished:
    """A command that came to an end."""

    command: tuple[str, ...]
    exit_code: int
    """Negative: ended by that signal; -9 where it was ended for taking too long."""
    stdout: str
    stderr: str

    @property
    def words(self) -> str:
        """What it said, for people: errors if there are any, else its output."""
        return (self.stderr.strip() or self.stdout.strip())[-2000:]


class Runner(Protocol):
    """Runs commands in one working folder of a device."""

    @property
    def name(self) -> str:
        """Short name for reports."""

    def run(self, command: Sequence[str], *, timeout: float) -> Finished:
        """Run ``command`` in the folder to its end, whatever its exit code. It must bear being run again.

        Raises:
            StableTargetError: it cannot be started.
            TransientTargetError: the connection was lost.
            TargetTimeoutError: it ran longer than ``timeout`` seconds, and was ended.
        """


class Carrier(Protocol):
    """Moves files, whole or not at all. Names are relative to the working folder and stay inside it."""

    def push(self, local: Path, name: str) -> None:
        """Copy a file from here to the folder.

        Raises:
            StableTargetError: no such file here, or no room there.
            TransientTargetError: the connection was lost, or what arrived is not what was sent.
        """

    def pull(self, name: str, local: Path) -> None:
        """Copy a file from the folder to here.

        Raises:
            StableTargetError: no such file there.
            TransientTargetError: the connection was lost, or what arrived is not what was sent.
        """


class Target(Runner, Carrier, Protocol):
    """A device, reduced to one working folder on it."""


class TargetError(OctopixError):
    """Something went wrong on a device; ``finished`` is the command it happened in, if it was started."""

    def __init__(self, *, expected: str, got: str, do: str, finished: Finished | None = None) -> None:
        super().__init__(expected=expected, got=got, do=do)
        self.finished = finished


class StableTargetError(TargetError):
    """A wrong setting, file or installation: the same call would fail again."""


class TransientTargetError(TargetError):
    """A cable, a busy device: the same call may succeed later."""


class TargetTimeoutError(TransientTargetError):
    """It took longer than allowed, and was ended."""


class NotGotError(StableTargetError):
    """The delegate that was asked for is not to be had on the device."""
