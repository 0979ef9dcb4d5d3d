"""The one place where words become text for a device's shell, and where a command's exit code comes back.

Every command runs inside a frame that ends by writing the exit code after ``MARK``. A frame without its mark was cut
off: so a lost connection is told from a command that failed, even where the transport has no exit codes of its own
(adb without ``shell_v2``) or says 255 for both (ssh).
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from deploy.target import Finished

MARK = "octopix-exit:"
_MARKED = re.compile(rf"\r?\n?{MARK}(\d+)\r?\n")


def quoted(word: str) -> str:
    """``word`` as one word of a POSIX shell; names that begin with a dash are the caller's to guard with ``./``."""
    return shlex.quote(word)


def command_line(command: Sequence[str], *, folder: str, limit_s: float) -> str:
    """Shell text that runs ``command`` in ``folder``, ended by the device itself after ``limit_s`` seconds.

    The device's own ``timeout`` (coreutils, toybox) does that where there is one: a program whose connection was cut
    would otherwise run on and disturb what is measured next.
    """
    return (
        "limit=; command -v timeout >/dev/null 2>&1 && "
        f"limit='timeout -k 2 {limit_s:g}'; cd {quoted(folder)} && $limit {shlex.join(command)}"
    )


def framed(script: str) -> str:
    """``script`` in a subshell, then its exit code on stderr."""
    return f"( {script}\n); printf '\\n{MARK}%d\\n' \"$?\" >&2"


def unframed(finished: Finished) -> Finished | None:
    """What ran inside the frame, with its own exit code; None where the frame was cut off."""
    if (found := _taken(finished.stderr)) is not None:
        return replace(finished, exit_code=found[0], stderr=found[1])
    if (found := _taken(finished.stdout)) is not None:  # adb without shell_v2 merges both into stdout
        return replace(finished, exit_code=found[0], stdout=found[1])
    return None


def _taken(text: str) -> tuple[int, str] | None:
    """The exit code after the last mark, and the text without it."""
    marks = list(_MARKED.finditer(text))
    if not marks:
        return None
    return int(marks[-1][1]), text[: marks[-1].start()] + text[marks[-1].end() :]
