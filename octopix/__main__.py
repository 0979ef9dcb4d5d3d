"""The command line: `octopix run | inspect | bench | compare`.

Results go to stdout: text, or with ``--json`` JSON and nothing else. Progress and errors go to stderr.
Exit codes: 0 done, 1 `compare` found B worse, 2 an error the user can mend, 130 and 143 interrupted.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType, ModuleType

from octopix import __version__
from octopix.commands import bench, compare, inspect, run
from octopix.commands.outcome import USER_ERROR, Outcome
from octopix.errors import OctopixError
from octopix.files import dump_json

COMMANDS: Mapping[str, ModuleType] = {"run": run, "inspect": inspect, "bench": bench, "compare": compare}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        with _cleaning_up_on_termination():
            outcome: Outcome = COMMANDS[args.command].execute(args)
        _show(outcome, as_json=args.json)
    except OctopixError as error:
        return _complain(str(error))
    except MemoryError:
        return _complain("expected enough memory for this picture, got none left; give a smaller picture")
    except KeyboardInterrupt:
        print("interrupted; finished outputs are whole", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # `octopix inspect … | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return outcome.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="octopix", description="Restore pictures with int8 TFLite, and prove its cost."
    )
    parser.add_argument("--version", action="version", version=f"octopix {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    return parser


def _show(outcome: Outcome, *, as_json: bool) -> None:
    for error in outcome.errors:
        print(f"error: {error}", file=sys.stderr)
    if as_json:
        print(dump_json(outcome.payload), end="", flush=True)
    elif outcome.text:
        print(outcome.text, flush=True)


def _complain(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return USER_ERROR


@contextlib.contextmanager
def _cleaning_up_on_termination() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that temporary files beside unfinished outputs are removed."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
