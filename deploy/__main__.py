"""``python -m deploy``: take models to devices, and measure them there.

python -m deploy bench --target local --model espcn_x4 [--artifacts DIR] [--out DIR]
python -m deploy bench --target raspberry_pi --host pi@board --model espcn_x4
python -m deploy bench --target android [--serial S] [--benchmark-model FILE] --model espcn_x4
python -m deploy bench --target NAME|all --devices devices.yaml --model espcn_x4
python -m deploy bundle --model espcn_x4 --scheme int8-qat --out espcn_x4.zip
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.artifacts import BEST, DEFAULT, choose_files
from deploy.bench import Job
from deploy.bundle import write_bundle
from deploy.devices import ALL, KINDS, Device, make_device, read_devices
from deploy.pictures import choose_samples
from deploy.run import Ran, measure_all
from octopix.commands.options import at_least_one, image_size
from octopix.errors import ConfigError, OctopixError
from octopix.exits import exit_code_of

DEVICES = Path("devices.yaml")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for an error of the user's, or a device that failed)."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: options.run(options), stopped="interrupted; finished results are whole")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Take models to devices, and measure them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bench = commands.add_parser("bench", help="push a model's files, check them against the host, time them")
    bench.set_defaults(run=_bench)
    _add_model(bench)
    _add_device(bench)
    _add_job(bench)
    bundle = commands.add_parser("bundle", help="one folder or zip to ship: model, checksums, examples")
    bundle.set_defaults(run=_bundle)
    _add_model(bundle)
    bundle.add_argument("--scheme", default=BEST, help="default: the best int8")
    bundle.add_argument("--out", type=Path, required=True, help="a folder, or a name that ends in .zip")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="a folder below --artifacts")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="default: %(default)s")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target", default="local", help=f"{', '.join(KINDS)}, a name in --devices, or `{ALL}` of them"
    )
    parser.add_argument("--devices", type=Path, default=DEVICES, help="devices of this desk (default: %(default)s)")
    parser.add_argument("--name", default="", help="the device's name in reports (default: host or serial number)")
    parser.add_argument("--host", help="Raspberry Pi: [user@]host")
    parser.add_argument("--port", type=int, help="Raspberry Pi: of its ssh")
    parser.add_argument("--identity", type=Path, help="Raspberry Pi: key to log in with")
    parser.add_argument("--python", help="Raspberry Pi: interpreter there (default: python3)")
    parser.add_argument("--packages", help="Raspberry Pi: auto, board, host, or a folder of wheels")
    parser.add_argument("--serial", help="Android: as `adb devices` lists it")
    parser.add_argument("--adb", help="Android: the adb program (default: $ADB, else the one on PATH)")
    parser.add_argument("--benchmark-model", type=Path, help="Android: the program for the phone (default: downloaded)")
    parser.add_argument("--folder", help="working folder on the device")


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--schemes", help=f"names, separated by commas (default: {','.join(DEFAULT)})")
    parser.add_argument(
        "--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/devices"), help="results (default: %(default)s)")
    job = Job()
    parser.add_argument("--size", type=image_size, default=job.size, metavar="HxW", help="network input that is timed")
    parser.add_argument("--processes", type=at_least_one, default=job.processes, help="default: %(default)s")
    parser.add_argument("--runs", type=at_least_one, default=job.runs, help="per process (default: %(default)s)")
    parser.add_argument("--warmup", type=at_least_one, default=job.warmup, help="per process (default: %(default)s)")
    parser.add_argument("--cooldown", type=float, default=job.cooldown_s, help="seconds between (default: %(default)g)")
    parser.add_argument("--timeout", type=float, default=job.timeout_s, help="seconds a process may take: %(default)g")


def _bench(options: argparse.Namespace) -> None:
    devices = _devices(options)
    schemes = tuple(options.schemes.split(",")) if options.schemes else DEFAULT
    files = choose_files(options.artifacts, options.model, schemes=schemes, size=options.size)
    samples = choose_samples(files[0].card, options.data, size=options.size)
    job = Job(
        size=options.size,
        processes=options.processes,
        warmup=options.warmup,
        runs=options.runs,
        cooldown_s=options.cooldown,
        tries=2 * options.processes,
        timeout_s=options.timeout,
    )
    ran = measure_all(devices, files, samples, job, out=options.out, tell=_tell)
    for each in ran:
        print(each.path if each.path else f"{each.device}: failed", file=sys.stdout if each.path else sys.stderr)
    _complain(ran)


def _complain(ran: tuple[Ran, ...]) -> None:
    """Raise the only failure as it is, or all in one."""
    failed = [each for each in ran if each.error is not None]
    if len(failed) == 1 and failed[0].error is not None:
        raise failed[0].error
    if failed:
        raise OctopixError(
            expected="all devices to succeed",
            got="".join(f"\n  {each.device}: {each.error}" for each in failed) + "\n",
            do="mend these; the results of the others are written",
        )


def _devices(options: argparse.Namespace) -> Mapping[str, Device]:
    if options.target in KINDS:
        names = ("host", "port", "identity", "python", "packages", "serial", "adb", "benchmark_model", "folder")
        return {options.name: make_device(options.target, **{name: getattr(options, name) for name in names})}
    if not options.devices.is_file():
        raise ConfigError(
            expected=f"a target ({', '.join(KINDS)}), or {options.devices} that names it",
            got=repr(options.target),
            do="correct it, or copy devices.example.yaml to devices.yaml",
        )
    known = read_devices(options.devices)
    if options.target == ALL:
        return known
    if options.target not in known:
        raise ConfigError(
            expected=f"a target ({', '.join(KINDS)}), or a device of {options.devices} ({', '.join(known)})",
            got=repr(options.target),
            do="correct it",
        )
    return {options.target: known[options.target]}


def _bundle(options: argparse.Namespace) -> None:
    (file,) = choose_files(options.artifacts, options.model, schemes=(options.scheme,), size=Job().size)
    print(write_bundle(file.path, options.out))


def _tell(what: str) -> None:
    print(what, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
