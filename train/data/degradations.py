"""From ground truth (HR) to network input: what the camera, the codec or the resizer did to the image."""

from octopix.images import Array, crop_to_multiple, luma_bytes
from octopix.resize import bicubic
from train.data.sources import ImageRef


def bicubic_pair(hr: Array, scale: int) -> tuple[Array, Array]:
    """Low- and high-resolution twins, LR by MATLAB's bicubic as in published SR tables.

    Args:
        hr: uint8 (H, W, C), RGB or grey.
        scale: whole down-scaling factor.

    Returns:
        ``(lr, hr)``, uint8; ``hr`` cropped at the bottom and right to a multiple of ``scale``.
    """
    cropped = crop_to_multiple(hr, scale)
    return bicubic(cropped, scale=1 / scale), cropped


def network_pair(hr: Array, *, scale: int, channels: str) -> tuple[Array, Array]:
    """The pair a network trains on: LR made in RGB first, then both turned into the network's channels.

    Luma networks meet RGB photographs on the device too, so their LR luma is that of the RGB thumbnail.

    Returns:
        ``(lr, hr)`` uint8 (h, w, C), C = 1 for ``"y"`` (BT.601, 16..235, rounded), 3 for ``"rgb"``.
    """
    lr, cropped = bicubic_pair(hr, scale)
    return as_channels(lr, channels), as_channels(cropped, channels)


def read_pair(ref: ImageRef, *, scale: int, channels: str) -> tuple[Array, Array]:
    """`network_pair` of an image yet to be read; an image that cannot serve is named in the ImageError."""
    with ref.named():
        return network_pair(ref.read(), scale=scale, channels=channels)


def as_channels(image: Array, channels: str) -> Array:
    """uint8 (H, W, 1) luma for ``"y"``; uint8 (H, W, 3) for ``"rgb"``, grey repeated."""
    if channels == "y":
        return luma_bytes(image)[..., None]
    return image if image.shape[-1] == 3 else image.repeat(3, axis=-1)
