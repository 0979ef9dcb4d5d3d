"""What native code writes to file descriptor 2, past Python's ``sys.stderr``."""

import atexit
import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

_ASIDE = threading.Lock()


@contextlib.contextmanager
def lines_taken(wanted: re.Pattern[bytes]) -> Iterator[list[bytes]]:
    """Take the lines that match ``wanted`` out of what is written to descriptor 2 inside the block.

    Native code has no other way to say some things, and no switch for others, so the descriptor is turned aside
    meanwhile. The list that is yielded is filled when the block ends; every other line is passed on then.
    """
    taken: list[bytes] = []
    with _ASIDE, contextlib.ExitStack() as stack:
        try:
            aside = stack.enter_context(tempfile.TemporaryFile())
            original = os.dup(2)
        except OSError:  # no stderr, or no place for a temporary file: nothing can be taken
            yield taken
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(aside.fileno(), 2)
        try:
            yield taken
        finally:
            os.dup2(original, 2)
            os.close(original)
            aside.seek(0)
            for line in aside:
                if wanted.search(line):
                    taken.append(line.strip())
                else:
                    os.write(2, line)


def silence_exit() -> None:
    """Let nothing be written to descriptor 2 once Python's own work is done: native code says goodbye there."""
    atexit.register(_close)


def _close() -> None:
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
