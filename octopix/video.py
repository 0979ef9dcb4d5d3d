"""Videos as streams of pictures, by the FFmpeg inside OpenCV. 8 bits, RGB, no sound."""

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from octopix import files
from octopix.errors import ImageError, OctopixError
from octopix.images import Picture
from octopix.native import lines_taken

READABLE_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")
CODECS: Mapping[str, str] = {".mkv": "FFV1", ".avi": "MJPG", ".mp4": "mp4v"}
"""Suffix of an output -> FourCC of what is written into it. FFV1 is lossless."""

_USUAL_RATE = 25.0
"""Frames per second where a file does not say."""
_EVERYTHING = re.compile(rb"")


@dataclass(frozen=True)
class VideoFacts:
    """What a video says of itself."""

    frames: int | None
    """None where the container does not tell; some tell an estimate."""
    rate: float
    """Frames per second."""


class VideoSource:
    """A video that is read frame by frame; a context manager.

    Raises:
        ImageError: missing, damaged, or nothing this OpenCV can decode.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise _unreadable(path, "no file")
        # FFmpeg's complaints about a damaged file say less than the error. An absolute path is never taken for a URL.
        with lines_taken(_EVERYTHING):
            self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise _unreadable(path, "a damaged one, or one that this OpenCV cannot decode")
        count, rate = (self._capture.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
        known_rate = math.isfinite(rate) and 0 < rate <= 1000
        self.facts = VideoFacts(int(count) if 0 < count < 1e9 else None, rate if known_rate else _USUAL_RATE)

    def __iter__(self) -> Iterator[Picture]:
        """The frames in order, upright.

        Raises:
            ImageError: there is none.
        """
        count = 0
        while True:
            going, frame = self._capture.read()
            if not going:
                break
            count += 1
            yield Picture(pixels=cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        if count == 0:
            raise _unreadable(self._path, "one without a frame that can be decoded")

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()


class VideoTarget:
    """Frames on their way into a file; made by `writing`."""

    def __init__(self, part: Path, rate: float) -> None:
        self._part = part
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self.frames = 0

    def put(self, picture: Picture) -> None:
        """Append one frame, (H, W, 3) uint8.

        Raises:
            ImageError: odd sides, which OpenCV would cut; another size than the frames before; no encoder.
        """
        height, width = picture.pixels.shape[:2]
        if self._writer is None:
            self._writer, self._size = self._open(height, width), (height, width)
        if self._size != (height, width):
            raise _unwritable(f"frames of {self._size[1]}x{self._size[0]}", f"one of {width}x{height}")
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(picture.pixels), cv2.COLOR_RGB2BGR))
        self.frames += 1

    def release(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()

    def check(self) -> None:
        """Read back that the file is whole: OpenCV does not say when a disk is full.

        Raises:
            OctopixError: frames are missing.
        """
        found = 0
        with contextlib.suppress(ImageError), VideoSource(self._part) as written:
            found = written.facts.frames or 0
        if found < self.frames - 1:  # some containers hold the duration in milliseconds, and the frames follow from it
            raise OctopixError(
                expected=f"{self.frames} frames in the video",
                got=f"{found} that can be read back",
                do="free space on the disk, or choose another place",
            )

    def _open(self, height: int, width: int) -> cv2.VideoWriter:
        if height % 2 or width % 2:
            raise _unwritable("frames of even sides, as video codecs have them", f"{width}x{height}")
        code = cv2.VideoWriter.fourcc(*CODECS[self._part.suffix.lower()])
        with lines_taken(_EVERYTHING):
            writer = cv2.VideoWriter(str(self._part.absolute()), cv2.CAP_FFMPEG, code, self._rate, (width, height))
        if not writer.isOpened():
            raise _unwritable(f"an OpenCV that encodes {CODECS[self._part.suffix.lower()]}", "one that does not")
        return writer


@contextlib.contextmanager
def writing(path: Path, *, rate: float) -> Iterator[VideoTarget]:
    """A video that is there at once and whole when the block ends, or not at all.

    Args:
        path: its suffix, one of `CODECS`, chooses container and codec.
        rate: frames per second.

    Raises:
        ImageError: another suffix.
        OctopixError: the place cannot be written.
    """
    if path.suffix.lower() not in CODECS:
        raise _unwritable(f"a name that ends in {', '.join(CODECS)}", repr(path.name))
    with files.replacing(path) as part:
        target = VideoTarget(part, rate)
        try:
            yield target
        finally:
            target.release()
        target.check()


def is_video(path: Path) -> bool:
    """Whether a name is that of a video."""
    return path.suffix.lower() in READABLE_SUFFIXES


def _unreadable(path: Path, got: str) -> ImageError:
    return ImageError(
        expected=f"a video at {path}", got=got, do="check the path, copy it again, or convert it to .mp4 or .mkv"
    )


def _unwritable(expected: str, got: str) -> ImageError:
    return ImageError(expected=expected, got=got, do="write the frames as pictures, or choose another name")
