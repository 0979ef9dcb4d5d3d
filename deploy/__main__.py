"""``python -m deploy``: measure a model on a device from here.

python -m deploy --target local --model artifacts/espcn_x4/int8-qat.tflite [--threads N] [--size HxW] [--json]
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.bench import TIMEOUT_S, bench_on
from deploy.targets import TARGETS
from octopix.exits import exit_code_of
from octopix.files import dump_json


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for an error of the user's)."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _deploy(options), stopped="interrupted; no result was written")


def _deploy(options: argparse.Namespace) -> None:
    with _folder(options.folder) as folder:
        measured = bench_on(
            TARGETS[options.target](folder),
            options.model,
            reports=options.reports,
            options=_bench_options(options),
            timeout=options.timeout,
        )
    if options.json:
        print(dump_json(measured.result.to_json(), ascii_only=True), end="")
    else:
        print(measured.text, end="")
    print(f"result: {measured.path}", file=sys.stderr if options.json else sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Measure a model on a device.")
    parser.add_argument("--target", choices=TARGETS, default="local", help="device (default: %(default)s)")
    parser.add_argument("--model", type=Path, required=True, help="the .tflite to measure")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="where results go (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="working folder on the device, kept (default: a temporary one)")
    parser.add_argument("--threads", help="threads of the interpreter there")
    parser.add_argument("--size", metavar="HxW", help="size of the input there")
    parser.add_argument("--runs", help="number of timed runs there")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds it may take (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout, and nothing else there")
    return parser


def _bench_options(options: argparse.Namespace) -> list[str]:
    chosen = {name: getattr(options, name) for name in ("threads", "size", "runs")}
    return [word for name, value in chosen.items() if value is not None for word in (f"--{name}", value)]


@contextlib.contextmanager
def _folder(asked: Path | None) -> Iterator[Path]:
    if asked is None:
        with tempfile.TemporaryDirectory(prefix="octopix-") as folder:
            yield Path(folder)
    else:
        yield asked


if __name__ == "__main__":
    sys.exit(main())
