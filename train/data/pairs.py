"""Pairs that others made: two folders of twins, side-by-side pictures, or two raw videos.

They take the place of a degradation of `train.data.degradations`: the same `PairSet`, ready for the patch sampler.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from octopix.errors import DataError, ImageError
from octopix.images import Array
from train.data.degradations import Pair, PairRef, PairSet, pair_in_channels
from train.data.sources import FOLDER_PURPOSES, SUFFIXES, ImageRef, Purpose, file_ref, image_files
from train.data.yuv import FrameSize, read_twins, to_rgb

TWIN_FOLDERS = (("hr", "lr"), ("good", "poor"))
"""Names of the two folders of twins, ground truth first; upper or lower case."""


def pairs_for(
    sources: Sequence[Path],
    purpose: Purpose,
    *,
    scale: int = 1,
    channels: str | None = None,
    size: FrameSize | None = None,
) -> PairSet:
    """The pairs of ``sources`` that serve ``purpose``: every fourth, as in a plain folder of images.

    Args:
        sources: as for `all_pairs`, and so are ``scale``, ``channels`` and ``size``.
        purpose: what they are for.

    Raises:
        DataError: nothing there, or fewer pairs than there are purposes; twins without a partner.
        ValueError: another purpose; test pairs are not given out here.
    """
    if purpose not in get_args(Purpose):
        raise ValueError(f"no pairs for {purpose!r} here, only for {', '.join(get_args(Purpose))}")
    every = all_pairs(sources, scale=scale, channels=channels, size=size)
    if len(every) < len(FOLDER_PURPOSES):
        raise DataError(
            expected=f"at least {len(FOLDER_PURPOSES)} pairs in {sources[0]}, one for each of "
            f"{', '.join(FOLDER_PURPOSES)}",
            got=str(len(every)),
            do="add pairs",
        )
    part = every.refs[FOLDER_PURPOSES.index(purpose) :: len(FOLDER_PURPOSES)]
    return PairSet(f"{every.name}-{purpose}", f"{every.title}, {purpose} quarter", part)


def all_pairs(
    sources: Sequence[Path], *, scale: int = 1, channels: str | None = None, size: FrameSize | None = None
) -> PairSet:
    """All pairs of ``sources``.

    Args:
        sources: one folder (see `paired_folder`), or two raw videos, good and poor.
        scale: size of the good picture over the poor one.
        channels: ``"y"``, ``"rgb"`` or None, as in `train.data.degradations.degraded`.
        size: frame size of raw videos, read from the good one's name where it is left out.

    Raises:
        DataError: nothing there; twins without a partner; videos for a scale, or that do not fit each other.
    """
    if len(sources) == 1:
        title, refs = sources[0].resolve().name, paired_folder(sources[0], scale=scale)
    elif len(sources) == 2:
        title, refs = sources[0].stem, _videos_of_scale(scale, *sources, size=size)
    else:
        raise DataError(
            expected="one folder of pairs, or two raw videos", got=f"{len(sources)} paths", do="give the good one first"
        )
    chosen = tuple(PairRef(ref.name, partial(_read, ref, channels)) for ref in refs)
    return PairSet(title, f"pairs of {title}", chosen)


def paired_folder(root: Path, *, scale: int = 1) -> tuple[PairRef, ...]:
    """All pairs of a folder, sorted by name, ``(poor, good)`` uint8 (h, w, C) and (h·scale, w·scale, C).

    Either the folder holds two folders, ``hr`` and ``lr`` or ``good`` and ``poor``, with twins of the same name (the
    suffix may differ); or pictures that show the good twin on their left half and the poor one on their right half,
    256×128 in the SRCNN document, which are for ``scale`` 1.

    Raises:
        DataError: no such folder, no picture in it, twins without a partner, or side-by-side pictures to be enlarged.
            Reading a pair raises ImageError, which names it: damaged, unequal sizes, an odd width.
    """
    if not root.is_dir():
        raise DataError(expected="a folder of pairs", got=f"{root}, which is no folder", do="correct the path")
    twins = _twin_folders(root)
    if twins:
        return paired_folders(*twins, scale=scale)
    if scale != 1:
        raise DataError(
            expected=f"two folders in {root}, hr and lr, for pairs of scale {scale}",
            got="others",
            do="rename them; side-by-side pictures are for scale 1",
        )
    refs = tuple(_side_by_side(file_ref(path, root)) for path in image_files(root))
    if not refs:
        known = " or ".join(f"{good}/ and {poor}/" for good, poor in TWIN_FOLDERS)
        raise DataError(
            expected=f"{known}, or side-by-side pictures ({', '.join(sorted(SUFFIXES))}) in {root}",
            got="none",
            do="correct the path",
        )
    return refs


def paired_folders(good: Path, poor: Path, *, scale: int = 1) -> tuple[PairRef, ...]:
    """Twins of the same name in two folders (the suffix may differ), as `paired_folder` gives them.

    Raises:
        DataError: no picture, or one without a partner.
    """
    goods, poors = _by_stem(good), _by_stem(poor)
    alone = sorted(goods.keys() ^ poors.keys())
    if alone or not goods:
        raise DataError(
            expected=f"the same names in {good} and {poor}",
            got=f"{len(alone)} without a partner, such as {alone[0]}" if alone else "no picture",
            do="complete the pairs, or remove what has no partner",
        )
    return tuple(
        _twin(name, file_ref(goods[name], good.parent), file_ref(poors[name], poor.parent), scale=scale)
        for name in sorted(goods)
    )


def paired_videos(good: Path, poor: Path, *, size: FrameSize | None = None) -> tuple[PairRef, ...]:
    """Frame by frame ``(poor, good)`` RGB of two raw videos of the same size and length.

    Raises:
        DataError: see `train.data.yuv.read_twins`.
    """
    after, before = read_twins(good, poor, size)

    def reader(number: int) -> Callable[[], Pair]:
        return lambda: (to_rgb(after[number]), to_rgb(before[number]))

    return tuple(PairRef(f"{good.name} frame {number}", reader(number)) for number in range(len(before)))


def _videos_of_scale(scale: int, good: Path, poor: Path, *, size: FrameSize | None) -> tuple[PairRef, ...]:
    if scale != 1:
        raise DataError(
            expected=f"two folders, hr and lr, for pairs of scale {scale}",
            got=f"raw videos {good.name} and {poor.name}",
            do="write their frames as pictures; raw videos are for scale 1",
        )
    return paired_videos(good, poor, size=size)


def split_picture(picture: Array) -> Pair:
    """``(poor, good)`` of a side-by-side picture: good on the left, poor on the right.

    Raises:
        ImageError: an odd width.
    """
    half, odd = divmod(picture.shape[1], 2)
    if odd or not half:
        raise ImageError(
            expected="two pictures of one width side by side, so an even width",
            got=f"{picture.shape[1]} pixels",
            do="crop the picture",
        )
    return picture[:, half:], picture[:, :half]


def _twin_folders(root: Path) -> tuple[Path, Path] | None:
    folders: Mapping[str, Path] = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    for good, poor in TWIN_FOLDERS:
        if good in folders and poor in folders:
            return folders[good], folders[poor]
    return None


def _by_stem(folder: Path) -> Mapping[str, Path]:
    files: dict[str, Path] = {}
    for path in image_files(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in files:
            raise DataError(
                expected=f"one picture called {stem} in {folder}",
                got=f"{files[stem].name} and {path.name}",
                do="remove one",
            )
        files[stem] = path
    return files


def _twin(name: str, good: ImageRef, poor: ImageRef, *, scale: int) -> PairRef:
    def read() -> Pair:
        with good.named():
            truth = good.read()
        with poor.named():
            given = poor.read()
        with good.named():
            _check_sizes(given, truth, scale)
        # One twin in colour makes a pair in colour.
        return pair_in_channels((given, truth), None if given.shape[-1] == truth.shape[-1] else "rgb")

    return PairRef(name, read)


def _check_sizes(given: Array, truth: Array, scale: int) -> None:
    height, width = (side * scale for side in given.shape[:2])
    if truth.shape[:2] != (height, width):
        raise ImageError(
            expected=f"a good twin of {width}x{height}, {scale} times the size of the poor one",
            got=f"{truth.shape[1]}x{truth.shape[0]}",
            do="make the sizes fit, or correct the scale",
        )


def _side_by_side(ref: ImageRef) -> PairRef:
    def read() -> Pair:
        with ref.named():
            return split_picture(ref.read())

    return PairRef(ref.name, read)


def _read(ref: PairRef, channels: str | None) -> Pair:
    return pair_in_channels(ref.read(), channels)
