"""The images that activation ranges are read from: crops of network inputs, chosen by rule from a committed list.

A network that takes long is run on a window of each. Of millions of values in a tensor some thousands are kept
(`quantize.statistics.SAMPLE`): there is no need to compute all the others.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from octopix.errors import DataError
from octopix.images import to_unit
from octopix.margins import round_up
from train.data.sources import ImageSet
from train.models.spec import ModelSpec
from train.pipeline import load_pairs

Array = npt.NDArray[Any]
Item = TypeVar("Item")

CROPS = 64
SIDE = 128
WINDOW = 0.75
"""Of a crop's side. With MSE ranges and no correction, six small networks lose 0.003 dB more to 0.010 dB less than with
whole crops, and LESRCNN ×2 0.02 to 0.05 dB less, in two thirds of the time."""
DEAR = 4e9
"""Multiply-accumulates on a crop from which on that is worth it: a tenth of a second and more. With all corrections, of
which small networks have need of every hundredth, ABPN ×3 loses 0.008 dB by windows, 0.003 by whole crops."""
FEWEST = 8
"""Crops that are cut however large they are, where ``CROPS`` of ``SIDE`` have fewer pixels than that."""
TURNS = 8
"""Four rotations, each as it is and mirrored."""


@dataclass(frozen=True)
class CalibrationSet:
    """Crops and where they come from."""

    crops: tuple[Array, ...]
    """uint8 (1, side, side, C) in the network's channels."""
    source: str
    window: int
    """Side of the part of each crop that is enough for large networks."""

    def __len__(self) -> int:
        return len(self.crops)

    def images(self) -> Iterator[Array]:
        """float32 (1, side, side, C) in [0, 1], one crop after the other."""
        return (to_unit(crop) for crop in self.crops)

    def samples(self, macs: float) -> tuple[Array, ...]:
        """What to run a network on that takes so many multiply-accumulates on a crop: ``crops``, or `windows`."""
        return self.crops if macs < DEAR else self.windows()

    def windows(self) -> tuple[Array, ...]:
        """uint8 (1, window, window, C): of each crop a part, at a place that its number draws."""
        return tuple(_window(crop, self.window, np.random.default_rng(place)) for place, crop in enumerate(self.crops))

    def sha256(self) -> str:
        """Over the raw tensors that the network saw, in order."""
        digest = hashlib.sha256()
        for image in self.images():
            digest.update(image.tobytes())
        return digest.hexdigest()


def calibration_set(
    images: ImageSet, spec: ModelSpec, *, count: int = CROPS, receptive_field: int = SIDE
) -> CalibrationSet:
    """Cut ``count`` crops of network inputs (for super-resolution: of LR images) from ``images``.

    Images and places are spread evenly. When images are too few or too small for ``count`` crops, the crops come
    again turned and mirrored, at most ``TURNS`` times. Inputs smaller than a crop are mirrored at their edges.

    A receptive field that is larger than ``SIDE`` gets larger crops, as far as the pictures reach, and fewer of them.

    Raises:
        DataError: no image, or nothing but flat colour in them.
    """
    refs = _spread(images.refs, count)
    if not refs:
        raise DataError(expected=f"calibration images in {images.title}", got="none", do="correct DATA=")
    seen = [given for given, _ in load_pairs(spec, dataclasses.replace(images, refs=tuple(refs)))]
    return cut_from(
        seen, images.title, images.name, multiple_of=spec.multiple_of, count=count, receptive_field=receptive_field
    )


def cut_from(
    seen: Sequence[Array],
    title: str,
    source: str,
    *,
    multiple_of: int,
    count: int = CROPS,
    receptive_field: int = SIDE,
) -> CalibrationSet:
    """`calibration_set` of network inputs in memory, uint8 (H, W, C), at least one."""
    side = _side(seen, receptive_field, multiple_of)
    count = max(min(count, FEWEST), count * SIDE**2 // side**2)
    each = math.ceil(count / len(seen))
    fresh = [crop for picture in _spread(seen, count) for crop in _cut(picture, side, each)]
    detailed = [crop for crop in fresh if crop.min() < crop.max()]
    if not detailed:
        raise DataError(
            expected=f"photographs with detail in {title}",
            got=f"{len(fresh)} crops of one flat colour each",
            do="calibrate on images like those the model will meet",
        )
    turned = (_turn(crop, turn) for turn in range(TURNS) for crop in detailed)
    crops = tuple(np.ascontiguousarray(crop)[None] for crop in islice(turned, count))
    return CalibrationSet(crops, source, window=_window_side(side, receptive_field, multiple_of))


def _side(seen: Sequence[Array], receptive_field: int, multiple: int) -> int:
    """Of the crops: the receptive field, but no less than ``SIDE`` and no more than the pictures usually have.

    What a wide network sees beyond the edge of a picture is padding on the device too, so ranges from whole pictures
    are right where no picture holds the receptive field.
    """
    usual = int(np.median([min(picture.shape[:2]) for picture in seen])) // multiple * multiple
    return max(SIDE, min(round_up(receptive_field, multiple), usual))


def _window_side(side: int, receptive_field: int, multiple: int) -> int:
    """All of a crop where less would hide from the network what it looks at."""
    return min(side, max(round_up(math.ceil(WINDOW * side), multiple), round_up(receptive_field, multiple)))


def _window(crop: Array, side: int, random: np.random.Generator) -> Array:
    top, left = random.integers(0, [length - side + 1 for length in crop.shape[1:3]])
    return crop[:, top : top + side, left : left + side]


def _cut(image: Array, side: int, count: int) -> list[Array]:
    """At most ``count`` crops from a grid without overlap."""
    padding = [(0, max(0, side - size)) for size in image.shape[:2]]
    filled = np.pad(image, (*padding, (0, 0)), mode="symmetric")
    rows, columns = (size // side for size in filled.shape[:2])
    places = _spread([(row * side, column * side) for row in range(rows) for column in range(columns)], count)
    return [filled[top : top + side, left : left + side].copy() for top, left in places]


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items, evenly from the whole sequence."""
    if len(items) <= count:
        return list(items)
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, count)]


def _turn(crop: Array, turn: int) -> Array:
    rotated = np.rot90(crop, turn % 4)
    return rotated[:, ::-1] if turn >= 4 else rotated
