"""A phone's shell and files through the platform's own ``adb``."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.process import run_program
from deploy.shell import framed, unframed
from deploy.target import Finished, StableTargetError, TransientTargetError
from octopix.errors import ConfigError

ADB_VARIABLE = "ADB"
GRACE_S = 10.0
SMALL_S = 30.0
_SERIAL = re.compile(r"[\w.:\[\]%@-]+", re.ASCII)

_UNREACHABLE: tuple[tuple[str, bool, str, str], ...] = (
    ("unauthorized", True, "a phone that trusts this machine", "unlock the phone and accept the dialog on it"),
    ("still authorizing", False, "a phone that trusts this machine", "unlock the phone and accept the dialog on it"),
    ("no permissions", True, "a phone that this user may open", "add udev rules for it, or join the group plugdev"),
    ("more than one", True, "one phone, or a serial number", "give SERIAL=, one of those that `adb devices` lists"),
    ("offline", False, "a phone that answers", "unplug it and plug it in again, or restart it"),
    ("not found", False, "a phone that is connected", "check the cable and that USB debugging is on"),
    ("no devices", False, "a phone that is connected", "check the cable and that USB debugging is on"),
    ("closed", False, "a connection until the command ended", "check the cable, then try again"),
)
"""(what adb says, whether the same call would fail again, what was expected, what to do)."""


@dataclass(frozen=True)
class AdbLink:
    """The `Link` to one phone, by its serial number; `open_adb` makes it."""

    serial: str
    program: str = "adb"

    @property
    def name(self) -> str:
        """The serial number, fit for a file name."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.serial).strip("-.")

    def shell(self, script: str, *, timeout: float) -> Finished:
        """See `Link.shell`."""
        done = self._adb("shell", framed(script), timeout=timeout + GRACE_S, allowed=timeout)
        ended = unframed(done)
        if ended is None:
            raise unreachable(self.serial, done)
        return ended

    def send(self, local: Path, path: str, *, timeout: float) -> None:
        """See `Link.send`. The device's daemon removes what it could not take whole."""
        self._transfer("push", str(local.absolute()), path, timeout=timeout)

    def fetch(self, path: str, local: Path, *, timeout: float) -> None:
        """See `Link.fetch`."""
        self._transfer("pull", path, str(local.absolute()), timeout=timeout)

    def reconnect(self) -> None:
        """See `Link.reconnect`. A phone over the network stays lost until it is connected anew."""
        if _over_network(self.serial):
            for word in ("disconnect", "connect"):
                run_program([self.program, word, self.serial], timeout=SMALL_S)

    def state(self) -> Finished:
        """What ``adb get-state`` says: ``device`` where all is well."""
        return self._adb("get-state", timeout=SMALL_S)

    def _transfer(self, *words: str, timeout: float) -> None:
        done = self._adb(*words, timeout=timeout)
        if done.exit_code == 0:  # its words go to stdout or stderr by version, even where all is well
            return
        if self.state().stdout.strip() != "device" or _cut(done):
            raise unreachable(self.serial, done)
        raise StableTargetError(
            expected=f"`adb {words[0]}` to succeed on {self.serial}",
            got=done.words,
            do="free space there, or choose another folder",
            finished=done,
        )

    def _adb(self, *words: str, timeout: float, allowed: float | None = None) -> Finished:
        return run_program([self.program, "-s", self.serial, *words], timeout=timeout, allowed=allowed)


def find_adb(given: str | None = None) -> str:
    """The ``adb`` to use: ``given``, else ``$ADB``, else the one on PATH.

    Raises:
        ConfigError: there is none.
    """
    wanted = given or os.environ.get(ADB_VARIABLE) or "adb"
    found = shutil.which(wanted)
    if found is None:
        raise ConfigError(
            expected="adb, the Android Debug Bridge",
            got=f"no program {wanted!r}",
            do="run: apt-get install adb, or name one with --adb or $ADB",
        )
    return found


def open_adb(serial: str | None, *, program: str) -> AdbLink:
    """Find the phone and make sure that it answers.

    Args:
        serial: as ``adb devices`` lists it, or ``host:port``; None where only one phone is connected.
        program: see `find_adb`.

    Raises:
        StableTargetError: no such phone, several and no serial, or one that does not trust this machine.
        TransientTargetError: it is offline.
    """
    run_program([program, "start-server"], timeout=SMALL_S)
    link = AdbLink(_only_serial(program) if serial is None else _checked(serial), program)
    seen = link.state()
    if seen.stdout.strip() != "device" and _over_network(link.serial):
        link.reconnect()  # `adb connect` ends with 0 even where it failed: only the state tells
        seen = link.state()
    if seen.stdout.strip() != "device":
        listed = _states(program).get(link.serial)
        error = unreachable(link.serial, seen, listed)
        raise (
            error
            if listed == "offline"
            else StableTargetError(expected=error.expected, got=error.got, do=error.do, finished=seen)
        )
    return link


def unreachable(serial: str, done: Finished, listed: str | None = None) -> StableTargetError | TransientTargetError:
    """What adb's words mean."""
    said = " ".join([listed or "", done.stderr, done.stdout])
    for text, stable, expected, do in _UNREACHABLE:
        if text in said:
            kind = StableTargetError if stable else TransientTargetError
            return kind(expected=f"{expected} ({serial})", got=done.words or listed or text, do=do, finished=done)
    return TransientTargetError(
        expected=f"a connection to {serial} until the command ended",
        got=done.words or f"none (adb ended with {done.exit_code})",
        do="check the cable, then try again",
        finished=done,
    )


def _only_serial(program: str) -> str:
    states = _states(program)
    if len(states) == 1:
        return next(iter(states))
    raise StableTargetError(
        expected="one phone, or a serial number",
        got=", ".join(f"{serial} ({state})" for serial, state in states.items()) or "no phone",
        do="give SERIAL=, one of these" if states else "connect one, and switch USB debugging on",
    )


def _states(program: str) -> dict[str, str]:
    """Serial number -> state of every phone that adb knows."""
    lines = run_program([program, "devices"], timeout=SMALL_S).stdout.splitlines()
    pairs = (line.split("\t", 1) for line in lines if "\t" in line)
    return {serial: state.strip() for serial, state in pairs}


def _checked(serial: str) -> str:
    if not _SERIAL.fullmatch(serial):
        raise ConfigError(expected="a serial number as `adb devices` lists it", got=repr(serial), do="correct SERIAL=")
    return serial


def _over_network(serial: str) -> bool:
    return re.search(r":\d+$", serial) is not None


def _cut(done: Finished) -> bool:
    said = done.stdout + done.stderr
    return any(text in said for text in ("closed", "EOF", "connect failed", "protocol fault", "Connection reset"))
