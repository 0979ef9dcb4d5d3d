"""The nearest device: a folder on this machine."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.process import run_program
from deploy.remote import checked_name, missing
from deploy.target import Finished
from octopix.files import replacing


@dataclass(frozen=True)
class LocalTarget:
    """Runs commands in ``folder``, which must exist."""

    folder: Path
    name: str = "local"

    def run(self, command: Sequence[str], *, timeout: float) -> Finished:
        """See `Runner.run`."""
        return run_program(command, cwd=self.folder, timeout=timeout)

    def push(self, local: Path, name: str) -> None:
        """See `Carrier.push`."""
        _copy(local, self.folder / checked_name(name))

    def pull(self, name: str, local: Path) -> None:
        """See `Carrier.pull`."""
        _copy(self.folder / checked_name(name), local)


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise missing(source)
    with replacing(target) as part:
        shutil.copyfile(source, part)


def this_octopix() -> tuple[str, ...]:
    """The words that start the octopix of this environment."""
    return (sys.executable, "-m", "octopix")
