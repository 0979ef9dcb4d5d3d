"""``python -m train.data``: image sets from their homes, and raw videos of the HEVC protocol.

python -m train.data sets
python -m train.data download div2k|bsds500|set5|set14 ... [--to DIR]
python -m train.data yuv IMAGES BSD500train.yuv [--compressed BSD500train_hevc.yuv] [--skip-damaged]
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from octopix.errors import DataError
from octopix.exits import exit_code_of


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `octopix.exits`)."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: options.run(options), stopped="stopped; what is finished is whole")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train.data", description="Image sets and raw videos.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sets = commands.add_parser("sets", help="list the public sets, their sizes, checksums and terms")
    sets.set_defaults(run=_sets)
    fetch = commands.add_parser("download", help="get public sets from their homes, with checksums")
    fetch.add_argument("names", nargs="+", metavar="SET", help="a name from `sets`")
    fetch.add_argument("--to", type=Path, help="folder of the collection (default: $OCTOPIX_DATA, else data)")
    fetch.set_defaults(run=_download)
    video = commands.add_parser("yuv", help="a folder of images as raw I420 video of 480x320, and its HEVC twin")
    video.add_argument("images", type=Path, help="folder of images, each at least 480x320 or 320x480")
    video.add_argument("out", type=Path, help="raw video to write, such as BSD500train.yuv")
    video.add_argument("--compressed", type=Path, help="also write what x265 makes of it (CRF 35, intra only)")
    video.add_argument("--skip-damaged", action="store_true", help="leave out images that cannot be used, naming them")
    video.set_defaults(run=_yuv)
    return parser


def _sets(_options: argparse.Namespace) -> None:
    from train.data.homes import HOMES

    for home in HOMES.values():
        print(f"{home.name:<8} {home.title}: {sum(home.images.values())} images; terms: {home.terms}; {home.page}")
        for archive in home.archives:
            size = f"{archive.bytes / 1e6:,.0f} MB" if archive.bytes else "size unknown"
            print(f"{'':<8} {archive.url} ({size})\n{'':<8} {archive.checksum or 'no checksum'}, {archive.known_from}")


def _download(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from train.data.download import download
    from train.data.homes import find_home
    from train.data.progress import DownloadBar

    homes = [find_home(name) for name in options.names]
    to = options.to or Path(os.environ.get("OCTOPIX_DATA") or "data")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, soft_wrap=True)) as screen:
        tell = partial(screen.console.print, markup=False, highlight=False)
        for home in homes:
            download(home, to, tell=tell, bar=lambda archive: DownloadBar(screen, archive))
    print(f"{to}: set OCTOPIX_DATA to this folder, or give it as DATA=")


def _yuv(options: argparse.Namespace) -> None:
    from train.data.damage import usable
    from train.data.hevc import compress_i420, frame_ref
    from train.data.sources import file_ref, image_files
    from train.data.yuv import write_i420

    if not options.images.is_dir():
        raise DataError(expected="a folder of images", got=f"{options.images}, which is no folder", do="correct it")
    refs = tuple(frame_ref(file_ref(path, options.images)) for path in image_files(options.images))
    if not refs:
        raise DataError(expected=f"images in {options.images}", got="none", do="correct the folder")
    if options.skip_damaged:
        refs = usable(refs, tell=lambda line: print(line, file=sys.stderr))
    frames = [ref.read() for ref in refs]
    compressed = compress_i420(frames) if options.compressed else None
    write_i420(options.out, frames)
    print(f"{options.out}: {len(frames)} frames")
    if compressed:
        write_i420(options.compressed, compressed)
        print(f"{options.compressed}: {len(frames)} frames")


if __name__ == "__main__":
    sys.exit(main())
