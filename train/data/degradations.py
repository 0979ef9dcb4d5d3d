"""From ground truth to network input: what the camera, the codec or the resizer did to the image.

A degradation acts on a whole set of images, because a video encoder does: its frames share one stream. Those that act
on each image alone are listed with `_each`. A new one is one entry of ``DEGRADATIONS``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from octopix.errors import ConfigError
from octopix.images import Array, crop_to_multiple, luma_bytes
from octopix.resize import bicubic
from train.data.jpeg import jpeg_twin
from train.data.sources import ImageRef, ImageSet

Pair = tuple[Array, Array]
"""(network input's picture, ground truth), uint8 (h, w, C) and (h·scale, w·scale, C)."""

Degrade = Callable[[Sequence[ImageRef], int], Iterator[Callable[[], Pair]]]
"""Images and scale to one call per image, in their order, that makes its pair."""


@dataclass(frozen=True)
class Degradation:
    """One way in which images get worse."""

    name: str
    title: str
    """A few words for captions: what was done to the ground truth."""
    degrade: Degrade
    protocol: str
    """The protocol (`octopix.protocols`) that published figures of such networks use."""


@dataclass(frozen=True)
class PairRef:
    """A pair by its image's name, made on demand."""

    name: str
    read: Callable[[], Pair]


@dataclass(frozen=True)
class PairSet:
    """The pairs of an image set, under its name and title."""

    name: str
    title: str
    refs: tuple[PairRef, ...]

    def __len__(self) -> int:
        return len(self.refs)


def bicubic_pair(hr: Array, scale: int) -> Pair:
    """Low- and high-resolution twins, LR by MATLAB's bicubic as in published SR tables.

    Args:
        hr: uint8 (H, W, C), RGB or grey.
        scale: whole down-scaling factor.

    Returns:
        ``(lr, hr)``, uint8; ``hr`` cropped at the bottom and right to a multiple of ``scale``.
    """
    cropped = crop_to_multiple(hr, scale)
    return bicubic(cropped, scale=1 / scale), cropped


def _each(pair_of: Callable[[Array, int], Pair]) -> Degrade:
    """A degradation that treats every image alone."""

    def degrade(refs: Sequence[ImageRef], scale: int) -> Iterator[Callable[[], Pair]]:
        def reader(ref: ImageRef) -> Callable[[], Pair]:
            def read() -> Pair:
                with ref.named():
                    return pair_of(ref.read(), scale)

            return read

        return (reader(ref) for ref in refs)

    return degrade


def _jpeg_pair(image: Array, scale: int) -> Pair:
    return jpeg_twin(image, quality=20), image


def _hevc(refs: Sequence[ImageRef], scale: int) -> Iterator[Callable[[], Pair]]:
    """One x265 stream over the frames of all images, encoded when the first pair is wanted."""

    @cache
    def pairs() -> list[Pair]:
        from train.data.hevc import qecnn_pairs  # PyAV, which nothing else needs

        return qecnn_pairs([_read(ref) for ref in refs])

    def reader(index: int) -> Callable[[], Pair]:
        return lambda: pairs()[index]

    return (reader(index) for index in range(len(refs)))


def _read(ref: ImageRef) -> Array:
    with ref.named():
        return as_channels(ref.read(), "rgb")


DEGRADATIONS: dict[str, Degradation] = {
    listed.name: listed
    for listed in (
        Degradation("bicubic", "LR by MATLAB's bicubic", _each(bicubic_pair), "y"),
        Degradation("jpeg20", "JPEG of quality 20", _each(_jpeg_pair), "y"),
        Degradation("hevc-crf35", "480×320 frames in one all-intra x265 stream, CRF 35", _hevc, "rgb"),
    )
}


def find_degradation(name: str) -> Degradation:
    """The registered degradation of that name.

    Raises:
        ConfigError: unknown; the message lists what is known.
    """
    if name not in DEGRADATIONS:
        raise ConfigError(expected=f"a degradation ({', '.join(DEGRADATIONS)})", got=repr(name), do="correct its name")
    return DEGRADATIONS[name]


def degraded(images: ImageSet, degradation: str, *, scale: int, channels: str | None = None) -> PairSet:
    """The pairs of a set, one for each image and in their order, made when they are read.

    Degraded in RGB first and turned into the network's channels then: luma networks meet RGB photographs on the
    device too, so their input is the luma of the degraded photograph.

    Args:
        images: ground truth.
        degradation: a name in ``DEGRADATIONS``.
        scale: output over input, 1 for enhancement.
        channels: ``"y"`` (BT.601, 16..235, rounded; C = 1), ``"rgb"`` (grey repeated; C = 3), or None: as they come.

    Raises:
        ConfigError: unknown degradation. Reading raises ImageError or DataError, which name the image.
    """
    readers = find_degradation(degradation).degrade(images.refs, scale)
    named = zip(images.refs, readers, strict=True)
    refs = tuple(PairRef(ref.name, _converted(read, channels)) for ref, read in named)
    return PairSet(images.name, images.title, refs)


def network_pair(hr: Array, *, scale: int, channels: str, degradation: str = "bicubic") -> Pair:
    """`degraded` of one image that is already in memory."""
    one = ImageSet("image", "an image", (ImageRef("image", lambda: hr),))
    return degraded(one, degradation, scale=scale, channels=channels).refs[0].read()


def as_channels(image: Array, channels: str) -> Array:
    """uint8 (H, W, 1) luma for ``"y"``; uint8 (H, W, 3) for ``"rgb"``, grey repeated."""
    if channels == "y":
        return luma_bytes(image)[..., None]
    return image if image.shape[-1] == 3 else image.repeat(3, axis=-1)


def pair_in_channels(pair: Pair, channels: str | None) -> Pair:
    """Both pictures by `as_channels`; None leaves them as they are."""
    if channels is None:
        return pair
    given, truth = pair
    return as_channels(given, channels), as_channels(truth, channels)


def _converted(read: Callable[[], Pair], channels: str | None) -> Callable[[], Pair]:
    def converted() -> Pair:
        return pair_in_channels(read(), channels)

    return converted
