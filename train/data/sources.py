"""Where images come from: a collection of known sets, any folder, or the photographs of scikit-image.

Every choice is a committed list (``lists/``) or a fixed rule, so the same call on another machine names the same
images. Test images are in `train.data.test_sets`, a module that training and quantization never import.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import skimage.io

from octopix.errors import DataError, ImageError
from octopix.images import Array, read_picture
from octopix.resize import bicubic

Purpose = Literal["train", "validate", "calibrate"]
Kind = Literal["collection", "folder", "builtin"]
Lists = Literal["collection", "bsds500", "div2k"]
"""Committed divisions of a collection: all of its sets, BSDS500 alone (HEVC protocol), DIV2K alone."""

BUILTIN_TITLE = "scikit-image photographs"
COLLECTION_TITLE = "data collection"
LIST_TITLES: Mapping[str, str] = {"collection": COLLECTION_TITLE, "bsds500": "BSDS500", "div2k": "DIV2K"}
SUBSTITUTES: Mapping[str, str] = {"collection": "bsds500", "bsds500": "div2k"}
"""Which lists serve where a folder that others name is not there; after the last come the built-in photographs."""
LISTS = Path(__file__).parent / "lists"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
SHRINK = {"FreePhotos": 4}
"""Camera-size JPEGs are shrunk by this factor first: their pixels are demosaicked and compressed, not ground truth."""

FOLDER_PURPOSES: tuple[str, ...] = ("train", "calibrate", "test", "validate")
"""In a folder of the user's, image number i (sorted by name) serves purpose i mod 4: a quarter each."""


@dataclass(frozen=True)
class ImageRef:
    """One image by name, read on demand."""

    name: str
    read: Callable[[], Array]
    """Returns uint8 (H, W, 3) RGB or (H, W, 1) grey."""

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Work on this image inside the block, so that an ImageError says which image it was."""
        try:
            yield
        except ImageError as error:
            if self.name in str(error):
                raise
            raise ImageError(expected=error.expected, got=f"{self.name}: {error.got}", do=error.do) from error


@dataclass(frozen=True)
class ImageSet:
    """Named images; ``title`` is what a table's heading says."""

    name: str
    title: str
    refs: tuple[ImageRef, ...]

    def __len__(self) -> int:
        return len(self.refs)


@dataclass(frozen=True)
class DataHome:
    """The place images come from. ``root`` is None for the built-in photographs."""

    kind: Kind
    root: Path | None

    @property
    def title(self) -> str:
        """A few words for headings and cards; no path, which would name the user's machine."""
        if self.root is None:
            return BUILTIN_TITLE
        return COLLECTION_TITLE if self.kind == "collection" else f"folder {self.root.name}"


def locate(data: Path | None) -> DataHome:
    """Decide where images come from: ``data``, else ``$OCTOPIX_DATA``, else the built-in photographs.

    A folder that holds one of the sets named in the committed lists is a collection; any other is a plain folder.

    Raises:
        DataError: the folder does not exist, or holds no image.
    """
    root = data or (Path(os.environ["OCTOPIX_DATA"]) if os.environ.get("OCTOPIX_DATA") else None)
    if root is None:
        return DataHome("builtin", None)
    if not root.is_dir():
        raise DataError(
            expected="a folder of images", got=f"{root}, which is no folder", do="correct DATA= or OCTOPIX_DATA"
        )
    if any((root / name.partition("/")[0]).is_dir() for name in _collection_names()):
        return DataHome("collection", root)
    if not image_files(root):
        raise DataError(
            expected=f"images ({', '.join(sorted(SUFFIXES))}) in {root}",
            got="none",
            do="correct DATA= or OCTOPIX_DATA, or leave both out to use the built-in photographs",
        )
    return DataHome("folder", root)


def images_for(home: DataHome, purpose: Purpose, *, lists: Lists = "collection") -> ImageSet:
    """The images of ``home`` that serve ``purpose``; no image serves two purposes.

    Args:
        home: see `locate`.
        purpose: what the images are for.
        lists: how a collection is divided; a plain folder and the built-in photographs have one division only.

    A collection without a folder that the lists need gets their substitute for this purpose (``SUBSTITUTES``), or
    the built-in photographs; the title says so.

    Raises:
        DataError: an image of a committed list is missing, or the folder is too small to be divided.
        ValueError: another purpose; test images are not given out here, whatever a caller's types say.
    """
    if purpose not in get_args(Purpose):
        raise ValueError(f"no images for {purpose!r} here, only for {', '.join(get_args(Purpose))}")
    if home.root is None:
        return _builtin_set(purpose)
    if home.kind == "collection":
        return _collection_set(home.root, purpose, lists)
    return ImageSet(f"{home.root.name}-{purpose}", f"{home.title}, {purpose} quarter", folder_part(home.root, purpose))


def _builtin_set(purpose: Purpose, note: str = "") -> ImageSet:
    refs = tuple(builtin_ref(name) for name in committed_list("builtin", purpose))
    return ImageSet(f"builtin-{purpose}", f"{BUILTIN_TITLE}, {purpose} list{note}", refs)


def _collection_set(root: Path, purpose: Purpose, wanted: str) -> ImageSet:
    lists: str | None = wanted
    while lists is not None and _lacking(root, lists, purpose):
        lists = SUBSTITUTES.get(lists)
    note = "" if lists == wanted else f" (the collection lacks {', '.join(_lacking(root, wanted, purpose))})"
    if lists is None:
        return _builtin_set(purpose, note)
    refs = tuple(collection_ref(root, name) for name in committed_list(lists, purpose))
    return ImageSet(f"{lists}-{purpose}", f"{LIST_TITLES[lists]}, {purpose} list{note}", refs)


def _lacking(root: Path, lists: str, purpose: str) -> list[str]:
    folders = {name.rpartition("/")[0] for name in committed_list(lists, purpose)}
    return sorted(folder for folder in folders if not (root / folder).is_dir())


def digest(names: Iterable[str]) -> str:
    """Eight hexadecimal digits over the names of images in order; enough to tell two sets apart."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]


def committed_list(lists: str, purpose: str) -> tuple[str, ...]:
    """Names in ``lists/<lists>.<purpose>.txt``, ``lists`` a value of ``Lists`` or builtin; ``#`` starts a comment."""
    return _lines(LISTS / f"{lists}.{purpose}.txt")


def _collection_names() -> tuple[str, ...]:
    files = (file for lists in get_args(Lists) for file in sorted(LISTS.glob(f"{lists}.*.txt")))
    return tuple(name for file in files for name in _lines(file))


def image_files(folder: Path) -> tuple[Path, ...]:
    """Image files below ``folder``, by suffix, sorted by their path in it.

    Hidden files and folders are passed over: half-written files and the ``._`` twins of macOS are no pictures.
    """
    found = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not _hidden(path.relative_to(folder))
    )
    return tuple(sorted(found, key=lambda path: path.relative_to(folder).as_posix()))


def folder_part(root: Path, purpose: str) -> tuple[ImageRef, ...]:
    """Every fourth image of a plain folder, by the rule of ``FOLDER_PURPOSES``."""
    files = image_files(root)
    if len(files) < len(FOLDER_PURPOSES):
        raise DataError(
            expected=f"at least {len(FOLDER_PURPOSES)} images in {root}, one for each of {', '.join(FOLDER_PURPOSES)}",
            got=str(len(files)),
            do="add images, or leave DATA= out to use the built-in photographs",
        )
    return tuple(file_ref(path, root) for path in files[FOLDER_PURPOSES.index(purpose) :: len(FOLDER_PURPOSES)])


def file_ref(path: Path, root: Path, *, shrink: int = 1) -> ImageRef:
    """An image file, named by its path below ``root``."""
    return ImageRef(path.relative_to(root).as_posix(), lambda: _shrunk(_eight_bit(path), shrink))


def collection_ref(root: Path, name: str) -> ImageRef:
    """An image of a known collection, by its committed name."""
    path = root / name
    if not path.is_file():
        raise DataError(
            expected=f"{name} in {root}, as the committed list says",
            got="no such file",
            do="complete the set, or point DATA= at a plain folder of images",
        )
    return file_ref(path, root, shrink=SHRINK.get(name.partition("/")[0], 1))


def builtin_ref(name: str) -> ImageRef:
    """A photograph that ships inside scikit-image's wheel (no download)."""
    return ImageRef(name, lambda: _builtin(name))


def _lines(path: Path) -> tuple[str, ...]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in (raw.split("#")[0].strip() for raw in lines) if line)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _eight_bit(path: Path) -> Array:
    pixels = read_picture(path).pixels
    return pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)


def _shrunk(image: Array, factor: int) -> Array:
    return image if factor == 1 else bicubic(image, scale=1 / factor)


def _builtin(name: str) -> Array:
    path = Path(skimage.__file__).parent / "data" / name
    if not path.is_file():
        raise DataError(
            expected=f"{name} inside the installed scikit-image",
            got="no such file",
            do="install the scikit-image version that constraints.txt pins",
        )
    return _eight_bit(path)
