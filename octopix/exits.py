"""How the command lines of the stages (`python -m train`, `quantize`, `deploy`, `benchmarks`) end.

`octopix` itself, whose exit code 1 is a verdict, has more ways to end; see `octopix.__main__`.
"""

import signal
import sys
from collections.abc import Callable

from octopix.commands.outcome import USER_ERROR
from octopix.errors import OctopixError


def exit_code_of(run: Callable[[], None], *, stopped: str) -> int:
    """Run a command; an error of the user's, or Ctrl-C, becomes one line on stderr and an exit code.

    Args:
        run: the command.
        stopped: what to say after Ctrl-C: what became of the work.

    Returns:
        0 done, 2 an error the user can mend, 130 stopped by Ctrl-C.
    """
    try:
        run()
    except OctopixError as error:
        sys.stderr.write(f"error: {error}\n")
        return USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return 128 + signal.SIGINT
    return 0
