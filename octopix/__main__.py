"""The command line: `octopix run | inspect | bench | compare`.

Results go to stdout: text, or with ``--json`` JSON and nothing else. Progress and errors go to stderr.
Exit codes: 0 done, 1 `compare` found B worse, 2 an error the user can mend, 70 a fault of octopix, 130 and 143
interrupted.
"""

import argparse
import contextlib
import io
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType, ModuleType

from octopix import __version__
from octopix.commands import bench, compare, inspect, run
from octopix.commands.outcome import FAULT, USER_ERROR, Outcome
from octopix.compiled import started
from octopix.errors import OctopixError
from octopix.exits import reader_left
from octopix.files import dump_json
from octopix.native import silence_exit

COMMANDS: Mapping[str, ModuleType] = {"run": run, "inspect": inspect, "bench": bench, "compare": compare}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _survive_any_name()
    args = _parser().parse_args(argv)
    try:
        return _run(args)
    except Exception:  # noqa: BLE001  # left alone, Python would end with 1, which means that B is worse
        traceback.print_exc()
        return FAULT
    finally:
        if started():
            silence_exit()


def _run(args: argparse.Namespace) -> int:
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
    except BrokenPipeError:
        return reader_left()
    except (OSError, UnicodeEncodeError) as error:  # a disk or a name that no command foresaw
        return _complain(f"expected files that can be read and written, got: {error}; check paths and free space")
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
    for warning in outcome.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for error in outcome.errors:
        print(f"error: {error}", file=sys.stderr)
    if as_json:
        print(dump_json(outcome.payload, ascii_only=True), end="", flush=True)
    elif outcome.text:
        print(outcome.text, flush=True)


def _survive_any_name() -> None:
    """Names that the terminal's encoding cannot show are escaped, not fatal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
