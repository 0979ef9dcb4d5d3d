"""Arguments that several commands share."""

import argparse
import re
from pathlib import Path

from octopix.errors import DataError
from octopix.runtime import DELEGATES, RUNTIME_VARIABLE, RUNTIMES
from octopix.summary import STAND_IN_SIDE

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def at_least_one(text: str) -> int:
    """An integer of 1 or more, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="write JSON, and nothing else, to standard output")


def add_size(parser: argparse.ArgumentParser) -> None:
    """``--size``: (height, width) or None."""
    parser.add_argument(
        "--size",
        type=_size,
        metavar="HxW",
        help=f"input height and width (default: the model's own, {STAND_IN_SIDE} where it takes any)",
    )


def add_session(parser: argparse.ArgumentParser) -> None:
    """``--threads``, ``--runtime`` and ``--delegate``."""
    parser.add_argument("--threads", type=at_least_one, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument(
        "--runtime",
        choices=tuple(RUNTIMES),
        help=f"TFLite runtime (default: {RUNTIME_VARIABLE}, else the first that is installed)",
    )
    parser.add_argument(
        "--delegate",
        choices=tuple(DELEGATES),
        default="cpu",
        help="cpu lets XNNPACK take the operators it can (default); cpu-builtin keeps it out",
    )


def pictures_in(path: Path) -> tuple[Path, ...]:
    """A picture file as it is; the picture files of a folder in order of their names, not of its subfolders.

    Raises:
        DataError: a folder without pictures.
    """
    if not path.is_dir():
        return (path,)
    found = tuple(sorted(file for file in path.iterdir() if file.suffix.lower() in _PICTURE_SUFFIXES))
    if not found:
        raise DataError(
            expected=f"pictures ({', '.join(_PICTURE_SUFFIXES)}) in {path}", got="none", do="check the folder"
        )
    return found


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected HxW such as 128x128, got {text!r}")
    return int(found[1]), int(found[2])
