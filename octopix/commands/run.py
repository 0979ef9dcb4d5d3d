"""`octopix run`: restore pictures and videos with a model."""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from octopix.card import ModelCard
from octopix.commands.options import add_json, add_session, at_least_one, fallback_notice, pictures_in
from octopix.commands.outcome import OK, USER_ERROR, Outcome
from octopix.commands.restoring import Entry, Job, restore_all, restore_alone, restore_side_by_side
from octopix.errors import ConfigError
from octopix.files import is_folder
from octopix.images import WRITABLE_SUFFIXES
from octopix.planner import MEMORY_MIB, Tile
from octopix.restore import Restorer
from octopix.video import CODECS, is_video

_FOREIGN_SUFFIXES = (".tif", ".tiff", ".gif", ".jp2", ".avif", ".heic", ".mov", ".webm")
"""Formats that are not written, and names that nobody means for a folder."""
_VIDEO_SUFFIX = ".mkv"

HELP = "restore pictures with a model"
DESCRIPTION = """\
Restore pictures and videos with a .tflite that carries an octopix card.

Without --out, photo.jpg becomes photo.<model>.<scheme>.png in the current folder: PNG, because it is lossless
and holds 16 bits and alpha; clip.mp4 becomes an .mkv with lossless FFV1, without sound. An existing output is
replaced, whole or not at all; an input never is. A picture that cannot be read does not stop the others; the exit
code is 2 then.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `octopix run`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, videos, folders of pictures")
    parser.add_argument("--model", required=True, type=Path, metavar="M.tflite", help="the network")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="a folder (made if missing), or for one input a file "
        f"({' '.join(WRITABLE_SUFFIXES)}; for a video {' '.join(CODECS)})",
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        default="auto",
        metavar="auto|none|N",
        help="cut into tiles of N pixels a side; auto (default): where a picture is large, of the size found fastest",
    )
    parser.add_argument(
        "--memory",
        type=at_least_one,
        metavar="MiB",
        help=f"limit for the network at work, pictures not counted (default: {MEMORY_MIB}, more where a tile needs it; "
        "of many pictures, so much for each that is in work)",
    )
    add_session(parser)
    add_json(parser)


def execute(args: argparse.Namespace) -> Outcome:
    """Restore every picture, carry on past unreadable ones, and report both."""

    def open_with(threads: int) -> Restorer:
        return Restorer(
            args.model,
            threads=threads,
            runtime=args.runtime,
            delegate=args.delegate,
            tile=args.tile,
            memory_mib=args.memory,
            allow_fallback=args.allow_fallback,
        )

    restorer = open_with(args.threads)
    sources = [picture for given in args.images for picture in pictures_in(given)]
    jobs = _jobs(sources, args.out, restorer.card)
    at_once = _at_once(args, restorer, jobs)
    if len(jobs) == 1:
        entries = [restore_alone(restorer, jobs[0])]
    elif at_once > 1:
        entries = list(restore_side_by_side(lambda: open_with(1), jobs, workers=at_once))
    else:
        entries = list(restore_all(restorer, jobs))
    done = [entry for entry in entries if "error" not in entry]
    failed = [entry for entry in entries if "error" in entry]
    payload = {
        "model": restorer.card.model,
        "scheme": restorer.card.scheme,
        "facts": dataclasses.asdict(restorer.session.facts),
        "pictures_at_once": at_once,
        "images": done,
        "failed": failed,
    }
    return Outcome(
        payload,
        text="\n".join(_line(entry) for entry in done),
        exit_code=USER_ERROR if failed else OK,
        errors=tuple(f"{entry['input']}: {entry['error']}" for entry in failed),
        warnings=fallback_notice(restorer.session.facts),
    )


def _at_once(args: argparse.Namespace, restorer: Restorer, jobs: Sequence[Job]) -> int:
    """Pictures at a time: one for each thread where there are many; a memory limit is kept by one after the other."""
    many = len(jobs) >= 2 * args.threads and not any(is_video(job.source) for job in jobs)
    return args.threads if many and args.memory is None and restorer.session.parallel else 1


def _jobs(sources: Sequence[Path], out: Path | None, card: ModelCard) -> list[Job]:
    """What is made of what; refuses outputs that would meet each other or an input."""
    writable = (*WRITABLE_SUFFIXES, *CODECS)
    single = out is not None and out.suffix.lower() in writable and not is_folder(out)
    if out is not None and out.suffix.lower() in _FOREIGN_SUFFIXES and not is_folder(out):
        known = ", ".join(writable)
        raise ConfigError(expected=f"a folder or a name that ends in {known}", got=f"--out {out}", do="rename it")
    if out is not None and single and len(sources) > 1:
        raise ConfigError(expected="a folder for several pictures", got=f"--out {out}", do="give --out a folder")
    folder = Path() if out is None else out
    jobs = [Job(source, out if out is not None and single else folder / _name(source, card)) for source in sources]
    taken = {os.path.realpath(source) for source in sources}  # Path.resolve raises on links that go in circles
    for job in jobs:
        if is_video(job.source) != (job.target.suffix.lower() in CODECS):
            raise ConfigError(
                expected=f"a video ({', '.join(CODECS)}) of a video, and a picture of a picture",
                got=f"{job.target} for {job.source}",
                do="give another --out",
            )
        if os.path.realpath(job.target) in taken:
            raise ConfigError(
                expected="an output of its own for every picture",
                got=f"{job.target} for {job.source}, which is an input or another picture's output",
                do="give another --out, or run the pictures one by one",
            )
        taken.add(os.path.realpath(job.target))
    return jobs


def _name(source: Path, card: ModelCard) -> str:
    return f"{source.stem}.{card.model}.{card.scheme}{_VIDEO_SUFFIX if is_video(source) else '.png'}"


def _tile(text: str) -> Tile:
    """A tile's side, ``auto`` or ``none``, for argparse."""
    if text == "auto":
        return "auto"
    return "none" if text == "none" else at_least_one(text)


def _line(entry: Entry) -> str:
    (height, width), (high, wide) = entry["input_size"], entry["output_size"]
    tiling = entry["tiling"]
    parts = [f"{entry['output']}", f"{width}x{height} -> {wide}x{high}", f"{entry['restore_ms']:.1f} ms"]
    if "frames" in entry:
        announced = entry["frames_announced"] or 0
        parts.append(f"{entry['frames']} frames" + (f" of {announced}" if announced > entry["frames"] + 1 else ""))
    if tiling["tiles"] > 1:
        parts.append(f"{tiling['tiles']} tiles of {tiling['tile'][1]}x{tiling['tile'][0]}")
    if not tiling["exact"]:
        parts.append("not exact: edges repeated, or tiles of a network that measures its input")
    return "  ".join(parts)
