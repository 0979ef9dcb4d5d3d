"""Before-and-after crops: pictures that the figures are about, cut where int8 differs most from float32."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.artifacts import FLOAT, Artifact
from benchmarks.quality import baseline
from benchmarks.suite import rows_by_set
from octopix.files import write_json
from octopix.images import Array, Picture, luma_bytes, write_picture
from octopix.records import from_json
from octopix.restore import Restorer
from octopix.results import QuantizeRow
from train.data.degradations import PairRef, PairSet

SIDE = 96
COUNT = 4
GAIN = 32
"""What luma differences are multiplied by before they are coloured: 8 grey levels and more are brightest."""
TRUTH, HEAT = "ground truth", "heat map"


@dataclass(frozen=True)
class Choice:
    """An image to show."""

    image_set: str
    ref: PairRef
    drop_db: float | None
    """None where there is no ground truth."""


@dataclass(frozen=True)
class Crop:
    """One row of tiles, all of the same place."""

    image_set: str
    image: str
    scheme: str
    """The int8 scheme that is shown."""
    drop_db: float | None
    """Of the whole image; None where there is no ground truth."""
    top: int
    left: int
    side: int
    """Of the square, in ground-truth pixels; smaller images give smaller tiles."""
    gain: int
    tiles: Mapping[str, str]
    """What is shown -> file name, in order."""


@dataclass(frozen=True)
class CropList:
    """What stands in ``crops.json``."""

    crops: tuple[Crop, ...]


def choose(rows: Sequence[QuantizeRow], sets: Sequence[PairSet], scheme: str) -> tuple[Choice, ...]:
    """From every set, images between the largest and the smallest drop of ``scheme``, evenly spaced by rank.

    Two of each set, or more where there are few sets, so that neither the best nor the worst stands alone.
    """
    groups = rows_by_set(rows).values()
    ranked = [_ranked(images, group, scheme) for images, group in zip(sets, groups, strict=True)]
    each = max(2, COUNT // len(ranked))
    return tuple(choice for choices in ranked for choice in _spaced(choices, each))


def _ranked(images: PairSet, rows: Sequence[QuantizeRow], scheme: str) -> list[Choice]:
    by_scheme = {row.scheme: row.psnr_per_image for row in rows}
    found = []
    if rows[0].psnr_db is None:
        return [Choice(images.title, ref, None) for ref in images.refs]
    for ref in images.refs:
        reference, value = by_scheme[FLOAT][ref.name], by_scheme[scheme][ref.name]
        if reference is not None and value is not None:
            found.append(Choice(images.title, ref, reference - value))
    return sorted(found, key=lambda choice: -(choice.drop_db or 0.0))


def _spaced(choices: Sequence[Choice], count: int) -> list[Choice]:
    ranks = np.linspace(0, len(choices) - 1, min(count, len(choices))).round().astype(int)
    return [choices[rank] for rank in ranks]


def write_crops(
    folder: Path, choices: Sequence[Choice], artifacts: Mapping[str, Artifact], scheme: str
) -> tuple[Crop, ...]:
    """Cut and write the tiles and their list into ``folder``.

    Args:
        folder: where PNG files and ``crops.json`` go.
        choices: which images; none leaves an empty list, so that no older crops are taken for these.
        artifacts: scheme -> artifact; ``FLOAT`` and ``scheme`` are run.
        scheme: the int8 scheme to show.
    """
    crops = []
    if choices:
        restorers = {name: Restorer(artifacts[name].path) for name in (FLOAT, scheme)}
        for place, choice in enumerate(choices, start=1):
            pictures = _pictures(choice, restorers)
            crops.append(_write_crop(folder, place, choice, scheme, pictures))
    write_json(folder / "crops.json", dataclasses.asdict(CropList(tuple(crops))))
    _remove_older(folder, crops)  # last: a list must never name tiles that are gone
    return tuple(crops)


def _remove_older(folder: Path, crops: Sequence[Crop]) -> None:
    """Tiles of an earlier run with other schemes would lie beside these, and be taken for them."""
    current = {name for crop in crops for name in crop.tiles.values()}
    for path in folder.glob("crop-*.png"):
        if path.name not in current:
            path.unlink()


def crops_of(raw: object) -> tuple[Crop, ...]:
    """Crops from parsed ``crops.json``.

    Raises:
        ResultError: a field is missing or of another type.
    """
    return from_json(CropList, raw, where="crops.json").crops


def _pictures(choice: Choice, restorers: Mapping[str, Restorer]) -> dict[str, Array]:
    """Whole pictures, uint8 RGB or grey, in the order they are shown."""
    scale = next(iter(restorers.values())).card.scale
    degraded, truth = choice.ref.read()
    restored = {name: restorer.restore(Picture(degraded)).pixels for name, restorer in restorers.items()}
    name, plain = baseline(degraded, scale)
    return {name: plain, **restored, **({} if choice.drop_db is None else {TRUTH: truth})}


def _write_crop(folder: Path, place: int, choice: Choice, scheme: str, pictures: Mapping[str, Array]) -> Crop:
    difference = luma_bytes(pictures[scheme]).astype(np.int16) - luma_bytes(pictures[FLOAT])
    side = min(SIDE, *difference.shape)
    top, left = busiest(np.abs(difference), side)
    window = np.s_[top : top + side, left : left + side]
    shown = {name: picture[window] for name, picture in pictures.items()}
    shown[HEAT] = heat_map(difference[window], GAIN)
    tiles = {name: f"crop-{place}-{name.replace(' ', '-')}.png" for name in shown}
    for name, picture in shown.items():
        write_picture(folder / tiles[name], Picture(np.ascontiguousarray(picture)))
    return Crop(
        image_set=choice.image_set,
        image=choice.ref.name,
        scheme=scheme,
        drop_db=choice.drop_db,
        top=top,
        left=left,
        side=side,
        gain=GAIN,
        tiles=tiles,
    )


def heat_map(difference: Array, gain: int) -> Array:
    """Differences (H, W) in grey levels as colours, uint8 (H, W, 3) RGB: dark for none, bright for 255 / ``gain``."""
    levels = np.clip(np.abs(difference.astype(np.int32)) * gain, 0, 255).astype(np.uint8)
    coloured: Array = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    return coloured


def busiest(values: Array, side: int) -> tuple[int, int]:
    """(top, left) of the ``side`` × ``side`` window of (H, W) integers with the largest sum; the first of equals."""
    sums = np.pad(values.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    windows = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(windows.argmax(), windows.shape)
    return int(top), int(left)
