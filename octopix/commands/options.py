"""Arguments that several commands share."""

import argparse
import re
from pathlib import Path

from octopix.delegates import DELEGATES, LIBRARY, find_delegate
from octopix.errors import ConfigError, DataError
from octopix.files import is_folder
from octopix.runtime import RUNTIME_VARIABLE, RUNTIMES
from octopix.session import RunFacts
from octopix.shapes import STAND_IN_SIDE

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def at_least_one(text: str) -> int:
    """An integer of 1 or more, for argparse."""
    if not re.fullmatch(r"0*[1-9]\d{0,17}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return int(text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="write JSON, and nothing else, to standard output")


def add_size(parser: argparse.ArgumentParser) -> None:
    """``--size``: (height, width) or None."""
    parser.add_argument(
        "--size",
        type=image_size,
        metavar="HxW",
        help=f"input height and width (default: the model's own, {STAND_IN_SIDE} where it takes any)",
    )


def add_session(parser: argparse.ArgumentParser) -> None:
    """``--threads``, ``--runtime``, ``--delegate`` and ``--allow-fallback``."""
    parser.add_argument("--threads", type=at_least_one, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument(
        "--runtime",
        choices=tuple(RUNTIMES),
        help=f"TFLite runtime (default: {RUNTIME_VARIABLE}, else the first that is installed)",
    )
    parser.add_argument(
        "--delegate",
        type=_delegate,
        default="cpu",
        metavar="NAME",
        help="; ".join(f"{name}: {delegate.does}" for name, delegate in DELEGATES.items())
        + f"; {LIBRARY}PATH: a TFLite delegate library of yours",
    )
    parser.add_argument(
        "--allow-fallback",
        action="store_true",
        help="let the CPU do it where the delegate is not to be had, and say so; otherwise that is an error",
    )


def fallback_notice(facts: RunFacts) -> tuple[str, ...]:
    """What to say on stderr where the CPU stands in for another delegate; nothing where it does not."""
    if facts.fallback is None:
        return ()
    return (f"{facts.delegate_asked} was not to be had ({facts.fallback}); {facts.delegate_got} did it",)


def delegate_text(facts: RunFacts) -> str:
    """What ran the network, for people."""
    got = facts.delegate_got or "unknown"
    return got if facts.adapter is None else f"{got} ({facts.adapter})"


def pictures_in(path: Path) -> tuple[Path, ...]:
    """A picture file as it is; the picture files of a folder in order of their names, not of its subfolders.

    Raises:
        DataError: a folder without pictures, or one that cannot be listed.
    """
    if not is_folder(path):
        return (path,)
    try:
        files = sorted(path.iterdir())
    except OSError as error:
        raise DataError(
            expected=f"a folder that can be listed at {path}",
            got=error.strerror or str(error),
            do="check its permissions",
        ) from error
    # Hidden files are no pictures of the user's: unfinished outputs (.part-…), what macOS adds to others (._…).
    found = tuple(file for file in files if file.suffix.lower() in _PICTURE_SUFFIXES and file.name[0] != ".")
    if not found:
        raise DataError(
            expected=f"pictures ({', '.join(_PICTURE_SUFFIXES)}) in {path}", got="none", do="check the folder"
        )
    return found


def _delegate(text: str) -> str:
    """A delegate's name or path, for argparse."""
    try:
        find_delegate(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def image_size(text: str) -> tuple[int, int]:
    """``HxW`` as (height, width), for argparse."""
    found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected HxW such as 128x128, got {text!r}")
    return int(found[1]), int(found[2])
