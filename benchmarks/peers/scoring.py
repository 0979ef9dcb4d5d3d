"""PSNR and fidelity of restored pictures, over the images whose PSNR is finite for everyone."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality import mean_fidelity
from octopix.errors import DataError
from octopix.images import Array
from octopix.metrics import psnr


@dataclass(frozen=True, eq=False)
class Picture:
    """One test image, as the protocol compares it."""

    name: str
    image_set: str
    truth: Array
    """uint8, what the protocol compares."""


@dataclass(frozen=True)
class Marks:
    """Figures of one contender, image by image, in the order of the pictures; ``math.inf`` where equal."""

    psnr: tuple[float, ...]
    fidelity: tuple[float, ...]


@dataclass(frozen=True)
class Means:
    """Figures of one contender."""

    psnr_db: float
    drop_db: float
    """Against the first contender."""
    fidelity_db: float | None
    """None where all pictures are identical."""
    per_set: Mapping[str, float]
    per_image: Mapping[str, float | None]


def marks_of(pictures: Sequence[Picture], planes: Sequence[Array], reference: Sequence[Array]) -> Marks:
    """Figures of restored ``planes``, in the order of the pictures, ``reference`` being float32's."""
    return Marks(
        tuple(psnr(picture.truth, plane) for picture, plane in zip(pictures, planes, strict=True)),
        tuple(psnr(first, plane) for first, plane in zip(reference, planes, strict=True)),
    )


def means(pictures: Sequence[Picture], marks: Mapping[str, Marks]) -> Mapping[str, Means]:
    """Contender -> means: of the images of a set, then of the sets. The first contender is what drops refer to.

    Raises:
        DataError: someone restores every image of a set without error.
    """
    finite: Array = np.all(np.isfinite([each.psnr for each in marks.values()]), axis=0)
    sets = dict.fromkeys(picture.image_set for picture in pictures)
    members = {
        name: [place for place, picture in enumerate(pictures) if picture.image_set == name and finite[place]]
        for name in sets
    }
    if not all(members.values()):
        empty = ", ".join(name for name, places in members.items() if not places)
        raise DataError(
            expected="test images with detail", got=f"none in {empty}: restored without error", do="give photographs"
        )
    found = {name: _means(pictures, each, members, finite) for name, each in marks.items()}
    reference = next(iter(found.values())).psnr_db
    return {name: dataclasses.replace(each, drop_db=reference - each.psnr_db) for name, each in found.items()}


def _means(pictures: Sequence[Picture], marks: Marks, members: Mapping[str, list[int]], finite: Array) -> Means:
    per_set = {name: statistics.fmean(marks.psnr[place] for place in places) for name, places in members.items()}
    found = [mean_fidelity([marks.fidelity[place] for place in places]) for places in members.values()]
    fidelity = mean_fidelity(found)
    return Means(
        psnr_db=statistics.fmean(per_set.values()),
        drop_db=0.0,
        fidelity_db=None if fidelity is None or math.isinf(fidelity) else fidelity,
        per_set=per_set,
        per_image={
            picture.name: value if counts else None
            for picture, value, counts in zip(pictures, marks.psnr, finite, strict=True)
        },
    )
