"""The nearest device: a folder on this machine, with octopix from this environment."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.target import Finished, StableTargetError, TransientTargetError
from octopix.files import replacing


@dataclass(frozen=True)
class LocalTarget:
    """Runs commands in ``folder``, which must exist."""

    folder: Path
    name: str = "local"
    octopix: tuple[str, ...] = (sys.executable, "-m", "octopix")

    def run(self, command: Sequence[str], *, timeout: float) -> Finished:
        """See `Target.run`."""
        try:
            done = subprocess.run(
                command, cwd=self.folder, timeout=timeout, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            raise StableTargetError(
                expected=f"a command that starts in {self.folder}",
                got=f"`{command[0]}`: {error.strerror or error}",
                do="check the folder, and that the program is installed",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise TransientTargetError(
                expected=f"`{command[0]}` to end within {timeout:g} s",
                got="a command that was still running",
                do="try again with nothing else running, or allow more time",
            ) from error
        return Finished(tuple(command), done.returncode, done.stdout, done.stderr)

    def push(self, local: Path, name: str) -> None:
        """See `Target.push`."""
        _copy(local, self.folder / name)

    def pull(self, name: str, local: Path) -> None:
        """See `Target.pull`."""
        _copy(self.folder / name, local)


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise StableTargetError(
            expected="a file to copy",
            got=f"{source}, which is {'a folder' if source.is_dir() else 'not there'}",
            do="check its name; `make quantize` writes models to artifacts/",
        )
    with replacing(target) as part:
        shutil.copyfile(source, part)
