"""A board's shell and files through the OpenSSH client, as the user's own configuration sets it up."""

import re
from dataclasses import dataclass
from pathlib import Path

from deploy.process import run_program
from deploy.shell import framed, quoted, unframed
from deploy.target import Finished, StableTargetError, TransientTargetError
from octopix.errors import ConfigError

GRACE_S = 10.0
"""What connecting and ending may take besides the command itself, which the device limits."""
CONNECT_S = 10
_KEPT_ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
# ssh's own configuration may hand user and host to a shell (ProxyCommand, Match exec): nothing a shell would read.
_HOST = re.compile(r"([A-Za-z0-9_.][\w.+-]*@)?[A-Za-z0-9_.\[][A-Za-z0-9_.:%\[\]-]*", re.ASCII)

_STABLE: dict[str, tuple[str, str]] = {
    "Permission denied": (
        "a login without a password",
        "give the board your key (ssh-copy-id HOST), or name one with identity",
    ),
    "Host key verification failed": (
        "a host key that is known",
        "log in once with `ssh HOST` and accept it; if it changed, find out why before you remove the old one",
    ),
    "Could not resolve hostname": ("a host name that exists", "check HOST; mDNS names end in .local"),
    "Bad configuration option": ("options that ssh knows", "correct ssh_options"),
    "Too many authentication failures": ("a login without a password", "name the one key to use with identity"),
}
"""What ssh says -> (what was expected, what to do), where the same call would fail again."""


@dataclass(frozen=True)
class SshLink:
    """The `Link` to one host. Nothing is asked on the terminal: what needs a password fails."""

    host: str
    """``[user@]host``, or an alias of the user's ssh configuration."""
    port: int | None = None
    identity: Path | None = None
    options: tuple[str, ...] = ()
    """Lines of an ssh configuration: ``("StrictHostKeyChecking=accept-new",)``."""
    program: str = "ssh"

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ConfigError(
                expected="HOST as [user@]host, of letters, digits, dots and dashes",
                got=repr(self.host),
                do="correct it; for anything unusual, make an alias in your ssh configuration",
            )

    @property
    def name(self) -> str:
        """The host without the user, fit for a file name."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.host.rpartition("@")[2]).strip("-.")

    def shell(self, script: str, *, timeout: float) -> Finished:
        """See `Link.shell`."""
        return self._remote(script, timeout=timeout)

    def send(self, local: Path, path: str, *, timeout: float) -> None:
        """See `Link.send`."""
        size = local.stat().st_size
        # A cut connection ends the input early, and `cat` well: so the device counts, and clears away itself.
        script = (
            f"cat > {quoted(path)} && [ $(wc -c < {quoted(path)}) -eq {size} ] "
            f"|| {{ code=$?; rm -f {quoted(path)}; exit $code; }}"
        )
        done = self._remote(script, timeout=timeout, stdin=local)
        if done.exit_code:
            raise StableTargetError(
                expected=f"to write {path} on {self.name}",
                got=done.words or "less than was sent",
                do="free space there, or choose another folder",
                finished=done,
            )

    def fetch(self, path: str, local: Path, *, timeout: float) -> None:
        """See `Link.fetch`."""
        done = self._remote(f"cat {quoted(path)}", timeout=timeout, stdout=local)
        if done.exit_code:
            raise StableTargetError(
                expected=f"to read {path} on {self.name}", got=done.words, do="check its permissions", finished=done
            )

    def reconnect(self) -> None:
        """See `Link.reconnect`: every command connects anew."""

    def _remote(
        self, script: str, *, timeout: float, stdin: Path | None = None, stdout: Path | None = None
    ) -> Finished:
        # The login shell may be no POSIX shell; all of them understand one quoted word.
        command = [*self._words(), f"exec sh -c {quoted(framed(script))}"]
        done = run_program(command, timeout=timeout + GRACE_S, allowed=timeout, stdin=stdin, stdout=stdout)
        ended = unframed(done)
        if ended is None:
            raise self._lost(done)
        return ended

    def _words(self) -> list[str]:
        words = [self.program, "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}", *_KEPT_ALIVE]
        words += [] if self.port is None else ["-p", str(self.port)]
        words += [] if self.identity is None else ["-i", str(self.identity), "-o", "IdentitiesOnly=yes"]
        words += [word for option in self.options for word in ("-o", option)]
        return [*words, "--", self.host]

    def _lost(self, done: Finished) -> StableTargetError | TransientTargetError:
        for text, (expected, do) in _STABLE.items():
            if text in done.stderr:
                return StableTargetError(
                    expected=f"{expected} at {self.host}",
                    got=done.words,
                    do=do.replace("HOST", self.host),
                    finished=done,
                )
        return TransientTargetError(
            expected=f"a connection to {self.host} until the command ended",
            got=done.words or f"none (ssh ended with {done.exit_code})",
            do="check that the board is on and reachable, then try again",
            finished=done,
        )
