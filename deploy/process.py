"""Programs of this machine: started without a shell, and ended with all their children when they take too long."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from deploy.target import Finished, StableTargetError, TargetTimeoutError


def run_program(
    command: Sequence[str],
    *,
    timeout: float,
    allowed: float | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    stdout: Path | None = None,
) -> Finished:
    """Run a program to its end, whatever its exit code.

    Args:
        command: the program and its words, as they are: no shell reads them.
        timeout: seconds after which the program and its children are killed.
        allowed: the seconds to speak of in the error, where they are not ``timeout`` itself.
        cwd: the folder to run in.
        environment: all of its variables; None for ours.
        stdin: a file to read; None for nothing.
        stdout: a file to write instead of `Finished.stdout`.

    Raises:
        StableTargetError: it cannot be started.
        TargetTimeoutError: it took too long.
    """
    with contextlib.ExitStack() as stack:
        given: IO[bytes] | int = subprocess.DEVNULL if stdin is None else stack.enter_context(stdin.open("rb"))
        taken: IO[bytes] | int = subprocess.PIPE if stdout is None else stack.enter_context(stdout.open("wb"))
        process = _start(command, cwd, environment, given, taken)
        stack.callback(_end, process)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _end(process)
            out, err = process.communicate()
            raise took_too_long(_finished(command, process.returncode, out, err), allowed or timeout) from error
    return _finished(command, process.returncode, out, err)


def took_too_long(finished: Finished, timeout: float) -> TargetTimeoutError:
    """The error of a command that was ended after ``timeout`` seconds."""
    return TargetTimeoutError(
        expected=f"`{finished.command[0]}` to end within {timeout:g} s",
        got="a command that was still running",
        do="try again with nothing else running, or allow more time",
        finished=finished,
    )


def _start(
    command: Sequence[str],
    cwd: Path | None,
    environment: Mapping[str, str] | None,
    stdin: IO[bytes] | int,
    stdout: IO[bytes] | int,
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a word that holds a NUL
        raise StableTargetError(
            expected="a command that starts" + (f" in {cwd}" if cwd else ""),
            got=f"`{command[0]}`: {getattr(error, 'strerror', None) or error}",
            do="check the folder, and that the program is installed",
        ) from error


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of the program's session. A program that ended may have left children: they go, too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _finished(command: Sequence[str], exit_code: int, out: bytes | None, err: bytes | None) -> Finished:
    return Finished(
        tuple(command),
        exit_code,
        (out or b"").decode(errors="replace"),
        (err or b"").decode(errors="replace"),
    )
