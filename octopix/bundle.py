"""A bundle: a folder or zip that holds one ``.tflite`` with what a developer needs to use it, and its checksums.

``SHA256SUMS`` lists every other file, as ``sha256sum`` writes it. `deploy` makes bundles; here they are read, checked.
"""

import contextlib
import hashlib
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from octopix.errors import ModelFileError

SUMS = "SHA256SUMS"
ZIP = b"PK\x03\x04"
"""How a zip begins."""
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\\0]+)")
_MOST = 1 << 31
"""Bytes of one file: a zip of a few kilobytes may claim to hold more than any disk."""


@dataclass(frozen=True)
class Bundle:
    """A whole bundle."""

    model: Path
    """Its ``.tflite``; in a temporary folder where the bundle is a zip."""
    sums: Mapping[str, str]
    """File name -> SHA-256 (hex), of every file but ``SHA256SUMS``."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """A bundle, checked; the model may be used inside the block.

    Raises:
        ModelFileError: no bundle, a file that is missing or was changed, or another number of models than one.
    """
    with contextlib.ExitStack() as stack:
        contents = _contents(path)
        sums = _checked(path, contents)
        models = [name for name in contents if name.endswith(".tflite")]
        if len(models) != 1:
            raise _broken(path, "one .tflite", f"{len(models)}")
        folder = path
        if not path.is_dir():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (folder / models[0]).write_bytes(contents[models[0]])
        yield Bundle(folder / models[0], sums)


def _contents(path: Path) -> Mapping[str, bytes]:
    """File name -> bytes."""
    try:
        if path.is_dir():
            return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()}
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if any("/" in entry.filename or entry.file_size > _MOST for entry in entries):
                raise _broken(path, "plain files of ordinary size", "others")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (OSError, zipfile.BadZipFile, RuntimeError, zlib.error) as error:
        raise _broken(path, "a readable folder or zip", str(error)) from error


def _checked(path: Path, contents: Mapping[str, bytes]) -> Mapping[str, str]:
    if SUMS not in contents:
        raise _broken(path, f"a bundle, with {SUMS}", "none")
    lines = contents[SUMS].decode(errors="replace").splitlines()
    matches = [_LINE.fullmatch(line) for line in lines]
    listed = {match[2]: match[1] for match in matches if match}
    found = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items() if name != SUMS}
    wrong = sorted(name for name in {*listed, *found} if listed.get(name) != found.get(name))
    if wrong or None in matches:
        raise _broken(path, f"the files that {SUMS} lists, unchanged", ", ".join(wrong) or "a line that is none")
    return found


def _broken(path: Path, expected: str, got: str) -> ModelFileError:
    return ModelFileError(
        expected=f"{expected} in {path}", got=got, do="copy the bundle again, or make it with `python -m deploy bundle`"
    )
