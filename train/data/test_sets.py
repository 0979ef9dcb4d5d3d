"""The images figures are reported on. Only `benchmarks` imports this module; a test proves it."""

from itertools import groupby
from pathlib import Path

from train.data.sources import (
    DataHome,
    ImageRef,
    ImageSet,
    builtin_ref,
    collection_ref,
    committed_list,
    folder_part,
)

OWN_SETS = {"jpeg20": ("Set14",), "hevc-crf35": ("BSDS500-val",)}
"""Sets of a collection that enhancement models are reported on, by degradation; super-resolution uses them all."""


def test_sets(home: DataHome, *, degradation: str) -> tuple[ImageSet, ...]:
    """Test sets of ``home``, in the order of the committed list.

    A collection has Set5, Set14 and BSDS500 val (B100) for super-resolution, and for enhancement what ``OWN_SETS``
    names, each only if its folder is there; a plain folder has the quarter that serves ``test``; the built-in
    photographs are astronaut, chelsea, coffee and rocket.
    """
    if home.root is None:
        refs = tuple(builtin_ref(name) for name in committed_list("builtin", "test"))
        return (ImageSet("builtin", "astronaut, chelsea, coffee, rocket (scikit-image)", refs),)
    if home.kind == "folder":
        return (ImageSet(home.root.name, f"{home.title}, test quarter", folder_part(home.root, "test")),)
    own = OWN_SETS.get(degradation)
    return tuple(images for images in _collection_sets(home.root) if own is None or images.name in own)


def _collection_sets(root: Path) -> list[ImageSet]:
    sets = []
    for folder, names in groupby(committed_list("collection", "test"), key=lambda name: name.rpartition("/")[0]):
        if (root / folder).is_dir():
            refs: tuple[ImageRef, ...] = tuple(collection_ref(root, name) for name in names)
            sets.append(ImageSet(folder.replace("/", "-"), folder.replace("/", " "), refs))
    return sets


test_sets.__test__ = False  # type: ignore[attr-defined]  # pytest would collect a function of this name
