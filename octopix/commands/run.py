"""`octopix run`: restore pictures with a model."""

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octopix.card import ModelCard
from octopix.commands.options import add_json, add_session, pictures_in
from octopix.commands.outcome import OK, USER_ERROR, Outcome
from octopix.errors import ConfigError, ImageError, ModelFileError
from octopix.files import is_folder
from octopix.images import WRITABLE_SUFFIXES, read_picture, write_picture
from octopix.restore import Restorer

_FOREIGN_SUFFIXES = (".tif", ".tiff", ".gif", ".jp2", ".avif", ".heic")
"""Picture formats that are not written, and names that nobody means for a folder."""

HELP = "restore pictures with a model"
DESCRIPTION = """\
Restore pictures with a .tflite that carries an octopix card.

Without --out, photo.jpg becomes photo.<model>.<scheme>.png in the current folder: PNG, because it is lossless
and holds 16 bits and alpha. An existing output is replaced, whole or not at all; an input never is.
A picture that cannot be read does not stop the others; the exit code is 2 then.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `octopix run`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of pictures")
    parser.add_argument("--model", required=True, type=Path, metavar="M.tflite", help="the network")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help=f"a folder (made if missing), or for one picture a file ({' '.join(WRITABLE_SUFFIXES)})",
    )
    add_session(parser)
    add_json(parser)


def execute(args: argparse.Namespace) -> Outcome:
    """Restore every picture, carry on past unreadable ones, and report both."""
    restorer = Restorer(args.model, threads=args.threads, runtime=args.runtime, delegate=args.delegate)
    sources = [picture for given in args.images for picture in pictures_in(given)]
    plan = _plan(sources, args.out, restorer.card)
    done, failed = [], []
    for place, (source, target) in enumerate(plan, start=1):
        _show_progress(place, len(plan), source)
        try:
            done.append(_restore(restorer, source, target))
        except (ImageError, ModelFileError) as error:
            if len(plan) == 1:
                raise
            failed.append({"input": str(source), "error": str(error)})
    payload = {
        "model": restorer.card.model,
        "scheme": restorer.card.scheme,
        "facts": dataclasses.asdict(restorer.session.facts),
        "images": done,
        "failed": failed,
    }
    return Outcome(
        payload,
        text="\n".join(_line(entry) for entry in done),
        exit_code=USER_ERROR if failed else OK,
        errors=tuple(f"{entry['input']}: {entry['error']}" for entry in failed),
    )


def _plan(sources: Sequence[Path], out: Path | None, card: ModelCard) -> list[tuple[Path, Path]]:
    """(input, output) pairs; refuses outputs that would meet each other or an input."""
    single = out is not None and out.suffix.lower() in WRITABLE_SUFFIXES and not is_folder(out)
    if out is not None and out.suffix.lower() in _FOREIGN_SUFFIXES and not is_folder(out):
        known = ", ".join(WRITABLE_SUFFIXES)
        raise ConfigError(expected=f"a folder or a name that ends in {known}", got=f"--out {out}", do="rename it")
    if out is not None and single and len(sources) > 1:
        raise ConfigError(expected="a folder for several pictures", got=f"--out {out}", do="give --out a folder")
    folder = Path() if out is None else out
    plan = [
        (source, out if out is not None and single else folder / f"{source.stem}.{card.model}.{card.scheme}.png")
        for source in sources
    ]
    taken = {os.path.realpath(source) for source in sources}  # Path.resolve raises on links that go in circles
    for source, target in plan:
        if os.path.realpath(target) in taken:
            raise ConfigError(
                expected="an output of its own for every picture",
                got=f"{target} for {source}, which is an input or another picture's output",
                do="give another --out, or run the pictures one by one",
            )
        taken.add(os.path.realpath(target))
    return plan


def _restore(restorer: Restorer, source: Path, target: Path) -> dict[str, Any]:
    picture = read_picture(source)
    start = time.perf_counter()
    restored = restorer.restore(picture)
    milliseconds = (time.perf_counter() - start) * 1000
    write_picture(target, restored)
    return {
        "input": str(source),
        "output": str(target),
        "input_size": list(picture.pixels.shape[:2]),
        "output_size": list(restored.pixels.shape[:2]),
        "restore_ms": round(milliseconds, 3),
    }


def _show_progress(place: int, total: int, source: Path) -> None:
    """A counter that overwrites itself; only where a person watches."""
    if total > 1 and sys.stderr.isatty():
        end = "\n" if place == total else ""
        sys.stderr.write(f"\r\x1b[K{place}/{total} {source.name}{end}")
        sys.stderr.flush()


def _line(entry: dict[str, Any]) -> str:
    (height, width), (high, wide) = entry["input_size"], entry["output_size"]
    return f"{entry['output']}  {width}x{height} -> {wide}x{high}  {entry['restore_ms']:.1f} ms"
