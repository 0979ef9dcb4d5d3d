"""How the command lines of the stages (`python -m train`, `quantize`, `deploy`, `benchmarks`) end.

`octopix` itself, whose exit code 1 is a verdict, has more ways to end; see `octopix.__main__`.
"""

import os
import signal
import sys
from collections.abc import Callable

from octopix.commands.outcome import USER_ERROR
from octopix.errors import OctopixError


def reader_left() -> int:
    """The exit code after a BrokenPipeError (``… --list | head``: the reader has seen enough); silences stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def exit_code_of(run: Callable[[], int | None], *, stopped: str) -> int:
    """Run a command; an error of the user's, or Ctrl-C, becomes one line on stderr and an exit code.

    Args:
        run: the command; may return an exit code of its own.
        stopped: what to say after Ctrl-C: what became of the work.

    Returns:
        0 or the command's own code, 2 an error the user can mend, 130 stopped by Ctrl-C, 141 where the reader of
        stdout left early.
    """
    try:
        code = run()
        sys.stdout.flush()
    except OctopixError as error:
        sys.stderr.write(f"error: {error}\n")
        return USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return reader_left()
    return code or 0
