"""A working folder on another machine, over any `Link`: files whole or not at all, checked by SHA-256.

A file travels under a hidden name, is hashed where it arrived, and is renamed last. Whatever cuts the connection,
neither side keeps half a file under the name that anyone looks for, and pushing again replaces what was left.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from deploy.process import took_too_long
from deploy.retry import Outcome, Patience
from deploy.shell import command_line, quoted
from deploy.target import Finished, StableTargetError, TargetTimeoutError, TransientTargetError
from octopix.files import replacing

SMALL_S = 30.0
"""Enough for a directory or a hash on a slow board."""
BYTES_PER_S = 200_000.0
"""Slower than any link that is worth waiting for."""
_TIMED_OUT = (124, 137)
"""Exit codes of ``timeout``: it ended the command, or had to kill it."""
_NOT_STARTED = (126, 127)
_NO_ROOM = "No space left"


class Link(Protocol):
    """A way to reach a device's shell and files. Paths are the device's, absolute."""

    @property
    def name(self) -> str:
        """Short name for reports."""

    def shell(self, script: str, *, timeout: float) -> Finished:
        """Run shell text there; the exit code is the script's.

        Raises:
            StableTargetError: the device cannot be reached the way it is set up.
            TransientTargetError: the connection was lost, or could not be made now.
        """

    def send(self, local: Path, path: str, *, timeout: float) -> None:
        """Copy a file to ``path``; its folder exists. What arrives in part only is removed there."""

    def fetch(self, path: str, local: Path, *, timeout: float) -> None:
        """Copy ``path``, which exists, to a file here."""

    def reconnect(self) -> None:
        """Do what the transport needs after a lost connection, if anything."""


@dataclass(frozen=True)
class RemoteTarget:
    """A `Target` over a link. ``folder`` is absolute, or relative to the home of the user there; made when missing."""

    link: Link
    folder: str
    patience: Patience = field(default_factory=Patience)
    _made: set[str] = field(default_factory=set, repr=False)
    """Folders that are known to be there."""

    @property
    def name(self) -> str:
        """See `Runner.name`."""
        return self.link.name

    def run(self, command: Sequence[str], *, timeout: float) -> Finished:
        """See `Runner.run`."""

        def attempt() -> Finished:
            text = command_line(command, folder=self._root, limit_s=timeout)
            try:
                done = self.link.shell(text, timeout=timeout)
            except TargetTimeoutError as error:  # the device did not end it: it has no `timeout`, or hangs itself
                raise took_too_long(_named(command, error.finished), timeout) from error
            finished = _named(command, done)
            if finished.exit_code in _TIMED_OUT:
                raise took_too_long(finished, timeout)
            if finished.exit_code in _NOT_STARTED:
                raise _not_started(finished, self.name)
            return finished

        return self._persist(attempt)

    def push(self, local: Path, name: str) -> None:
        """See `Carrier.push`."""
        path = self._path(name)
        if not local.is_file():
            raise missing(local)
        part = f"{_parent(path)}/.part-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        size = local.stat().st_size
        wanted = sha256(local)

        def attempt() -> None:
            self._make(_parent(path))
            try:
                self.link.send(local, part, timeout=SMALL_S + size / BYTES_PER_S)
            except StableTargetError as error:
                self._forget(part)
                raise (_no_room(self.name, name, error) if _says_no_room(error) else error) from error
            self._settle(part, path, wanted)

        self._persist(attempt)

    def pull(self, name: str, local: Path) -> None:
        """See `Carrier.pull`."""
        path = self._path(name)

        def attempt() -> None:
            size, wanted = self._look(path, name)
            with replacing(local) as part:
                self.link.fetch(path, part, timeout=SMALL_S + size / BYTES_PER_S)
                if sha256(part) != wanted:
                    raise _changed(name, self.name, wanted, sha256(part))

        self._persist(attempt)

    def make_folder(self) -> None:
        """Make the working folder."""
        self._persist(lambda: self._make(self._root))

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            self._shell(f"mkdir -p {quoted(folder)}")
            self._made.add(folder)

    @property
    def _root(self) -> str:
        """The folder so that no program takes it for an option."""
        return self.folder if self.folder.startswith("/") else f"./{self.folder}"

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked_name(name)}"

    def _persist(self, attempt: Callable[[], Outcome]) -> Outcome:
        return self.patience.persist(attempt, before_retry=self.link.reconnect)

    def _shell(self, script: str) -> Finished:
        """Run a small script of our own that has to succeed."""
        done = self.link.shell(script, timeout=SMALL_S)
        if done.exit_code:
            raise StableTargetError(
                expected=f"a folder that can be written on {self.name}",
                got=done.words or f"exit code {done.exit_code}",
                do="free space there, or choose another folder",
                finished=done,
            )
        return done

    def _settle(self, part: str, path: str, wanted: str) -> None:
        """Hash what arrived; only if it is what was sent does it get its name."""
        script = f"set -e; hash=$(sha256sum < {quoted(part)}); "
        script += f'if [ "${{hash%% *}}" = {wanted} ]; then mv -f {quoted(part)} {quoted(path)}; '
        script += f'else rm -f {quoted(part)}; echo "${{hash%% *}}"; fi'
        got = self._shell(script).stdout.strip()
        if got:
            raise _changed(PurePosixPath(path).name, self.name, wanted, got)

    def _look(self, path: str, name: str) -> tuple[int, str]:
        """Size and hash of a file there."""
        found = self.link.shell(
            f"[ -f {quoted(path)} ] && wc -c < {quoted(path)} && sha256sum < {quoted(path)}", timeout=SMALL_S
        )
        words = found.stdout.split()
        if found.exit_code or len(words) < 2:
            raise StableTargetError(
                expected="a file to copy",
                got=f"{name} on {self.name}, which is not there",
                do="run the measurement again",
                finished=found,
            )
        return int(words[0]), words[1]

    def _forget(self, part: str) -> None:
        self.link.shell(f"rm -f {quoted(part)}", timeout=SMALL_S)


def checked_name(name: str) -> str:
    """A name that stays inside the working folder, as it is.

    Raises:
        StableTargetError: absolute, upward, empty, or one that holds a NUL.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise StableTargetError(
            expected="the name of a file inside the working folder", got=repr(name), do="give a plain name"
        )
    return name


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _named(command: Sequence[str], done: Finished | None) -> Finished:
    """What the link ran, under the name of the command that it ran there."""
    if done is None:
        return Finished(tuple(command), -9, "", "")
    return replace(done, command=tuple(command))


def missing(source: Path) -> StableTargetError:
    """The error of a file that cannot be copied since it is none."""
    return StableTargetError(
        expected="a file to copy",
        got=f"{source}, which is {'a folder' if source.is_dir() else 'not there'}",
        do="check its name; `make quantize` writes models to artifacts/",
    )


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file here."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _says_no_room(error: StableTargetError) -> bool:
    return error.finished is not None and _NO_ROOM in error.finished.stdout + error.finished.stderr


def _no_room(device: str, name: str, error: StableTargetError) -> StableTargetError:
    return StableTargetError(
        expected=f"room for {name} on {device}",
        got="a full disk",
        do="delete files there, or choose a folder on another disk",
        finished=error.finished,
    )


def _changed(name: str, device: str, wanted: str, got: str) -> TransientTargetError:
    return TransientTargetError(
        expected=f"{name} with SHA-256 {wanted[:12]} after copying it to or from {device}",
        got=f"{got[:12]}",
        do="check the cable and the disk there, then try again",
    )


def _not_started(finished: Finished, device: str) -> StableTargetError:
    foreign = any(text in finished.stderr for text in ("Exec format error", "not executable", "ELF"))
    return StableTargetError(
        expected=f"`{finished.command[0]}` to start on {device}",
        got=("a program for another kind of processor: " if foreign else "") + finished.words,
        do="give the build for this device's processor" if foreign else "install it there",
        finished=finished,
    )
