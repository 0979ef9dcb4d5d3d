import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from octopix import video
from octopix.errors import ImageError, OctopixError
from octopix.images import Picture, read_picture
from octopix.video import CODECS, VideoSource, is_video, writing


@pytest.fixture(scope="module")
def frames(photos: Path) -> list[Picture]:
    """Six frames of 40×64 that move to the right."""
    pixels = read_picture(photos / "chelsea.png").pixels[100:140, 100:180]
    return [Picture(pixels=np.ascontiguousarray(pixels[:, at : at + 64])) for at in range(0, 12, 2)]


def write(path: Path, frames: list[Picture], rate: float = 12.5) -> Path:
    with writing(path, rate=rate) as target:
        for frame in frames:
            target.put(frame)
    return path


@pytest.mark.parametrize("suffix", CODECS)
def test_what_is_written_can_be_read(tmp_path: Path, frames: list[Picture], suffix: str) -> None:
    with VideoSource(write(tmp_path / f"v{suffix}", frames)) as source:
        found = list(source)
        assert source.facts == video.VideoFacts(frames=6, rate=12.5)

    assert len(found) == 6
    for given, got in zip(frames, found, strict=True):
        error = np.abs(given.pixels.astype(int) - got.pixels).mean()
        # FFV1 is lossless; the others quantize, but a frame out of order or BGR for RGB would be 20 and more.
        assert error == 0 if suffix == ".mkv" else error < 8


def test_nothing_is_left_of_a_video_that_fails(tmp_path: Path, frames: list[Picture]) -> None:
    def broken() -> Iterator[None]:
        with writing(tmp_path / "v.mkv", rate=25) as target:
            target.put(frames[0])
            yield
            target.put(Picture(pixels=frames[0].pixels[:20]))

    with pytest.raises(ImageError, match="frames of 64x40"):
        list(broken())

    assert list(tmp_path.iterdir()) == []


def test_odd_sides_are_refused_rather_than_cut(tmp_path: Path, frames: list[Picture]) -> None:
    with pytest.raises(ImageError, match="even sides"):
        write(tmp_path / "v.mkv", [Picture(pixels=frames[0].pixels[:39])])

    assert list(tmp_path.iterdir()) == []


def test_frames_that_the_disk_did_not_take_are_missed(
    tmp_path: Path, frames: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """OpenCV's writer on a full disk: it says nothing."""

        def __init__(self, name: str, *_: object) -> None:
            shutil.copy(short, name)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def write(self, frame: object) -> None:
            del frame

        def release(self) -> None:
            pass

    short = write(tmp_path / "short.mkv", frames[:2])
    monkeypatch.setattr(cv2, "VideoWriter", type("VideoWriter", (Full,), {"fourcc": cv2.VideoWriter.fourcc}))

    with pytest.raises(OctopixError, match=r"6 frames.*2 that can be read back"):
        write(tmp_path / "long.mkv", frames)

    assert list(tmp_path.iterdir()) == [short]


@pytest.mark.parametrize("content", [None, b"", b"no video", "half"])
def test_bad_videos(tmp_path: Path, frames: list[Picture], content: bytes | str | None) -> None:
    path = tmp_path / "v.mp4"
    if content == "half":
        whole = write(tmp_path / "whole.mp4", frames).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])  # the index of an .mp4 stands at its end
    elif isinstance(content, bytes):
        path.write_bytes(content)

    with pytest.raises(ImageError, match=r"v\.mp4"), VideoSource(path) as source:
        list(source)


def test_names() -> None:
    assert is_video(Path("a/b.MP4"))
    assert not is_video(Path("mp4"))
    with pytest.raises(ImageError, match="ends in"), writing(Path("v.mov"), rate=25):
        pass
