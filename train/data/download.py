"""Fetching public image sets from their homes into a data collection that ``OCTOPIX_DATA`` can point at.

An archive is fetched into the hidden folder ``.downloads`` of the collection (one put there by hand is taken as it is),
checked, unpacked beside its place, checked again, and only then moved there; the archive is removed at the end.
"""

import contextlib
import hashlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

import pooch
import requests

from octopix.errors import DataError
from octopix.files import write_text
from octopix.images import read_picture
from train.data.homes import Archive, Home
from train.data.sources import LISTS, SUFFIXES, image_files

DOWNLOADS = ".downloads"
Tell = Callable[[str], None]
Bar = Callable[[Archive], Any]
"""Makes a progress bar as pooch wants it: ``total``, ``update(n)``, ``reset()``, ``close()``."""


def download(home: Home, to: Path, *, tell: Tell, bar: Bar) -> None:
    """Complete ``home``'s folders below ``to``; those that are whole already are left alone.

    Args:
        home: the set.
        to: the collection, made where it is not there.
        tell: gets a line for what was done.
        bar: see `Bar`.

    Raises:
        DataError: the network or the home does not answer, a checksum, a count or a pixel differs, the archive is
            damaged or would write elsewhere, a folder is there in part, or the disk is full. Nothing half-made stays.
    """
    _refuse_parts(home, to)
    for archive in home.archives:
        if all(_holds(to, folder, home) for folder in _folders(home, archive)):
            tell(f"{home.name}: {', '.join(_folders(home, archive))} in {to} already; nothing downloaded")
            continue
        with _writing(to):
            path = _fetched(archive, to / DOWNLOADS, bar=bar)
            _place(path, archive, home, to)
            _keep_checksum(path, archive, tell)
            path.unlink()
        tell(f"{home.name}: {', '.join(_folders(home, archive))} in {to}")


def _folders(home: Home, archive: Archive) -> tuple[str, ...]:
    """The folders of the collection that the archive fills."""
    tops = tuple(archive.folders.values())
    return tuple(folder for folder in home.images if folder in tops or folder.rpartition("/")[0] in tops)


def _holds(to: Path, folder: str, home: Home) -> bool:
    return (to / folder).is_dir() and len(image_files(to / folder)) == home.images[folder]


def _refuse_parts(home: Home, to: Path) -> None:
    for folder, count in home.images.items():
        if (to / folder).exists() and not _holds(to, folder, home):
            raise DataError(
                expected=f"{count} images in {to / folder}, or no such folder",
                got=f"{len(image_files(to / folder))} images",
                do="move the folder away and run this again",
            )


def _fetched(archive: Archive, folder: Path, *, bar: Bar) -> Path:
    """The archive's file, checked where a checksum is known or was kept."""
    name = PurePosixPath(urlsplit(archive.url).path).name
    note = _note(folder / name)
    known = archive.checksum or (note.read_text(encoding="utf-8").split()[0] if note.is_file() else None)
    pooch.get_logger().setLevel("WARNING")  # its own lines would break the progress bar
    try:
        path = Path(
            pooch.retrieve(
                archive.url, known, fname=name, path=folder, downloader=pooch.HTTPDownloader(progressbar=bar(archive))
            )
        )
    except requests.RequestException as error:
        raise _unreachable(archive, folder / name, error) from error
    except ValueError as error:  # what pooch says of another checksum
        raise DataError(
            expected=f"{known} for {archive.url}",
            got=f"another checksum, {str(error).partition('but got ')[2].partition('.')[0]}",
            do="run this again; if it stays, the file has changed at its home",
        ) from error
    return path


def _keep_checksum(path: Path, archive: Archive, tell: Tell) -> None:
    """Write down the checksum of a good archive for the next time, where none was known."""
    if archive.checksum is None and not _note(path).is_file():
        digest = f"sha256:{pooch.file_hash(str(path), alg='sha256')}"
        write_text(_note(path), f"{digest}  {path.name}\n")
        tell(f"{path.name}: no checksum was known; {digest} is kept beside it")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.checksum")


def _unreachable(archive: Archive, place: Path, error: requests.RequestException) -> DataError:
    reasons = {requests.Timeout: "no answer in time", requests.ConnectionError: "no connection"}
    reason = next((words for kind, words in reasons.items() if isinstance(error, kind)), str(error))
    return DataError(
        expected=f"an answer from {archive.url}",
        got=reason,
        do=f"check the network, or fetch it elsewhere, put it at {place} and run this again",
    )


def _place(path: Path, archive: Archive, home: Home, to: Path) -> None:
    """Unpack beside the place, check, and move each folder that is not there yet."""
    with tempfile.TemporaryDirectory(dir=to, prefix=".part-") as part:
        unpacked = Path(part)
        _unpack(path, archive, unpacked)
        for folder in _folders(home, archive):
            if not _holds(unpacked, folder, home):
                raise DataError(
                    expected=f"{home.images[folder]} images for {folder} in {path.name}",
                    got=str(len(image_files(unpacked / folder))) if (unpacked / folder).is_dir() else "none",
                    do=f"remove {path} and run this again",
                )
        check_pixels(unpacked)
        for folder in _folders(home, archive):
            if not (to / folder).exists():
                (to / folder).parent.mkdir(parents=True, exist_ok=True)
                (unpacked / folder).rename(to / folder)


def _unpack(path: Path, archive: Archive, into: Path) -> None:
    try:
        with _files_in(path) as files:
            for name, opened in files:
                place = _place_of(name, archive)
                if place is not None and (content := opened()):
                    (into / place).parent.mkdir(parents=True, exist_ok=True)
                    with content, (into / place).open("wb") as out:
                        shutil.copyfileobj(content, out)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            expected=f"a whole archive at {path}", got=str(error), do="remove it and run this again"
        ) from error


Content = Callable[[], IO[bytes] | None]


@contextlib.contextmanager
def _files_in(path: Path) -> Iterator[Iterator[tuple[str, Content]]]:
    """Names and contents of the regular files in a zip or tar; links and devices are passed over."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            yield ((entry.filename, partial(packed.open, entry)) for entry in packed.infolist() if not entry.is_dir())
        return
    with tarfile.open(path) as tape:
        yield ((entry.name, partial(tape.extractfile, entry)) for entry in tape if entry.isreg())


def _place_of(name: str, archive: Archive) -> PurePosixPath | None:
    """Where in the collection a file of the archive goes; None for what is not wanted."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise DataError(
            expected=f"paths inside the archive of {archive.url}", got=name, do="trust no such file: remove it"
        )
    for source, folder in archive.folders.items():
        if path.is_relative_to(source) and path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            return PurePosixPath(folder) / path.relative_to(source)
    return None


def check_pixels(root: Path) -> None:
    """Hold the images below ``root`` that ``lists/pixels.sha256`` names against the pixels our figures come from.

    Raises:
        DataError: one differs; ImageError: one cannot be read.
    """
    for name, digest in known_pixels().items():
        if (root / name).is_file() and pixel_digest(root / name) != digest:
            raise DataError(
                expected=f"the pixels of {name} that published figures are measured on",
                got="others",
                do="get the set from elsewhere: figures on this one would not compare",
            )


def known_pixels() -> dict[str, str]:
    """Image name in a collection -> digest of its pixels."""
    lines = (LISTS / "pixels.sha256").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if not line.startswith("#"))}


def pixel_digest(path: Path) -> str:
    """SHA-256 of an image's RGB bytes, row by row; grey counts as RGB of three equal values."""
    pixels = read_picture(path).pixels
    return hashlib.sha256((pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)).tobytes()).hexdigest()


@contextlib.contextmanager
def _writing(to: Path) -> Iterator[None]:
    try:
        to.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            expected=f"room and permission to write in {to}",
            got=error.strerror or str(error),
            do="free space, or choose another folder with --to",
        ) from error
