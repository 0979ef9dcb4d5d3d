"""HEVC as a degradation: photographs through x265 as one stream of intra frames, the QECNN protocol.

The document: ``x265 --crf 35 --keyint 1 --preset medium`` over ``BSD500….yuv`` of 480×320. What it leaves open is fixed
here: portraits are turned 90° counter-clockwise, the top left 480×320 is taken, OpenCV makes I420, and both ground
truth and network input are RGB again by OpenCV, so that a network is not asked to guess the chroma 4:2:0 dropped.
"""

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

from octopix.errors import ConfigError, DataError, ImageError
from octopix.images import Array, crop_to_multiple
from train.data.sources import ImageRef
from train.data.yuv import BSD_SIZE, FrameSize, to_i420, to_rgb

FRAME_RATE = 30
"""x265's `cuTree` weighs a frame by how long it is seen, so a constant rate factor means little without it."""
OPTIONS = {
    "preset": "medium",
    "crf": "35",
    # By itself x265 takes frame threads by the machine's cores; its pixels are to depend on nothing of the kind.
    "x265-params": "keyint=1:frame-threads=1:log-level=none",
}


def qecnn_pairs(images: Sequence[Array]) -> list[tuple[Array, Array]]:
    """Each image ``(compressed, truth)`` by the protocol, all in one stream in the order given.

    Rate control remembers earlier frames: another order, or another choice of images, gives other pixels. Images that
    hold no 480×320 stay whole but for odd sides; those of one size share a stream of their own.

    Args:
        images: uint8 (H, W, 3) RGB or (H, W, 1) grey.

    Returns:
        Pairs of uint8 (320, 480, 3) RGB, or smaller.

    Raises:
        DataError: no image.
    """
    if not images:
        raise DataError(expected="images for the HEVC protocol", got="none", do="correct DATA=")
    originals = [to_i420(_frame(image)) for image in images]
    shapes = dict.fromkeys(frame.shape for frame in originals)
    streams = {shape: iter(compress_i420([each for each in originals if each.shape == shape])) for shape in shapes}
    return [(to_rgb(next(streams[frame.shape])), to_rgb(frame)) for frame in originals]


def compress(frames: Sequence[Array]) -> list[Array]:
    """RGB frames, uint8 (H, W, 3) of one even size, through one x265 stream: the same shape, in the same order.

    Raises:
        ImageError: an array that is no RGB picture.
        DataError: no frame, odd sides, or frames of several sizes.
    """
    return [to_rgb(frame) for frame in compress_i420([to_i420(frame) for frame in frames])]


def compress_i420(frames: Sequence[Array]) -> list[Array]:
    """I420 frames, uint8 (H·3/2, W) of one size, through one x265 stream; see `compress`."""
    decoder = av.CodecContext.create("hevc", "r")
    decoded = [frame for packet in encode_i420(frames) for frame in decoder.decode(av.Packet(packet))]
    decoded += decoder.decode(None)
    return [frame.to_ndarray(format="yuv420p") for frame in decoded]


def encode_i420(frames: Sequence[Array]) -> list[bytes]:
    """The stream itself, one packet a frame, each with x265's note of its settings (some 2,300 bytes)."""
    encoder = _encoder(_common_size(frames))
    packets = [packet for frame in frames for packet in encoder.encode(_video_frame(frame))]
    return [bytes(packet) for packet in packets + encoder.encode(None)]


def _video_frame(frame: Array) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="yuv420p")


def crop_for_qecnn(image: Array) -> Array:
    """Upright portraits turned 90° counter-clockwise, then the top left 480×320; grey becomes RGB.

    Raises:
        ImageError: nothing of that size in it.
    """
    rgb = image if image.shape[-1] == 3 else image.repeat(3, axis=-1)
    lying = np.rot90(rgb) if rgb.shape[0] > rgb.shape[1] else rgb
    if lying.shape[0] < BSD_SIZE.height or lying.shape[1] < BSD_SIZE.width:
        raise ImageError(
            expected=f"an image of at least {BSD_SIZE}, or turned, for the HEVC protocol",
            got=f"{image.shape[1]}x{image.shape[0]}",
            do="leave it out of this set",
        )
    return np.ascontiguousarray(lying[: BSD_SIZE.height, : BSD_SIZE.width])


def frame_ref(ref: ImageRef) -> ImageRef:
    """An image as I420 frame of the protocol, uint8 (480, 480), by the same name."""

    def read() -> Array:
        with ref.named():
            return to_i420(crop_for_qecnn(ref.read()))

    return ImageRef(ref.name, read)


def _frame(image: Array) -> Array:
    if max(image.shape[:2]) >= BSD_SIZE.width and min(image.shape[:2]) >= BSD_SIZE.height:
        return crop_for_qecnn(image)
    rgb = image if image.shape[-1] == 3 else image.repeat(3, axis=-1)
    return crop_to_multiple(rgb, 2)


def _common_size(frames: Sequence[Array]) -> FrameSize:
    shapes = {frame.shape for frame in frames}
    if len(shapes) != 1:
        raise DataError(
            expected="frames of one size for one stream",
            got=f"{len(shapes)} sizes" if shapes else "no frame",
            do="crop them to one size first",
        )
    rows, width = shapes.pop()
    return FrameSize(width, rows * 2 // 3)


def _encoder(size: FrameSize) -> "av.VideoCodecContext":
    if "libx265" not in av.codecs_available:
        raise ConfigError(
            expected="PyAV with the x265 encoder", got="a build without libx265", do="install PyAV's own wheel"
        )
    encoder = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt = size.width, size.height, "yuv420p"
    encoder.framerate = Fraction(FRAME_RATE)
    encoder.time_base = Fraction(1, FRAME_RATE)
    encoder.options = dict(OPTIONS)
    return encoder
