"""From files to files: one picture, a video, or many of both, with the work overlapping."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octopix.commands.progress import Progress
from octopix.crew import in_order
from octopix.errors import ImageError, ModelFileError
from octopix.images import Picture, read_picture, write_picture
from octopix.restore import Restorer
from octopix.streams import ahead, behind
from octopix.video import VideoSource, is_video, writing

Entry = dict[str, Any]
"""What became of one input, as ``--json`` has it; with ``error``, nothing did."""
_Write = Callable[[], Entry]
"""Writes a result and tells what became of it."""


@dataclass(frozen=True)
class Job:
    """A picture or a video, and where the result goes."""

    source: Path
    target: Path


def restore_alone(restorer: Restorer, job: Job) -> Entry:
    """Restore the only input, showing how far it is.

    Raises:
        OctopixError: it cannot be read, restored or written.
    """
    if is_video(job.source):
        return _restore_video(restorer, job, watched=True)
    write = _restore(restorer, job, read_picture(job.source), watched=True)
    restorer.release()  # encoding takes memory, too
    return write()


def restore_all(restorer: Restorer, jobs: Sequence[Job]) -> Iterator[Entry]:
    """Restore one after the other; meanwhile the next is read and the last is written.

    Pictures that cannot be read, restored or written become entries with an ``error``.

    Raises:
        OctopixError: what stands in the way of all: options, or the place of the outputs.
    """
    progress = Progress(len(jobs))

    def writes() -> Iterator[_Write]:
        for place, (job, found) in enumerate(ahead(map(_read, jobs)), start=1):
            progress.begin(place, job.source.name)
            yield functools.partial(_attempt, job, _attempt_restore(restorer, job, found))

    return behind(writes())


def restore_side_by_side(
    open_restorer: Callable[[], Restorer], jobs: Sequence[Job], *, workers: int
) -> Iterator[Entry]:
    """Restore so many pictures at a time, each read, restored and written by one thread; entries in their order.

    No thread waits for another, as tiles of one picture make them: of many pictures this is the shortest way.

    Args:
        open_restorer: opens the network with one thread; called once for each worker.
        jobs: pictures, no videos.
        workers: pictures at a time.

    Raises:
        OctopixError: as `restore_all`.
    """
    progress = Progress(len(jobs))

    def whole(restorer: Restorer, number: int, job: Job) -> Entry:
        _, found = _read(job)
        return _attempt(job, _attempt_restore(restorer, job, found))

    done = in_order(jobs, workers=workers, make=open_restorer, work=whole)
    for place, (job, entry) in enumerate(zip(jobs, done, strict=True), start=1):
        progress.begin(place, job.source.name)
        yield entry


def _read(job: Job) -> tuple[Job, Picture | ImageError | None]:
    """A picture, or why there is none; None for a video, whose frames are read where they are needed."""
    if is_video(job.source):
        return job, None
    try:
        return job, read_picture(job.source)
    except ImageError as error:
        return job, error


def _attempt_restore(restorer: Restorer, job: Job, found: Picture | ImageError | None) -> _Write:
    if found is None:
        entry = _attempt(job, functools.partial(_restore_video, restorer, job))
        return lambda: entry
    try:
        if isinstance(found, ImageError):
            raise found
        return _restore(restorer, job, found)
    except (ImageError, ModelFileError) as error:
        failed = _failed(job, error)
        return lambda: failed


def _attempt(job: Job, write: _Write) -> Entry:
    try:
        return write()
    except (ImageError, ModelFileError) as error:
        return _failed(job, error)


def _failed(job: Job, error: Exception) -> Entry:
    return {"input": str(job.source), "error": str(error)}


def _restore(restorer: Restorer, job: Job, picture: Picture, *, watched: bool = False) -> _Write:
    height, width = picture.pixels.shape[:2]
    tiling = restorer.tiling(height, width)
    progress = Progress(tiling.tiles if watched else 1)
    start = time.perf_counter()
    restored = restorer.restore(picture, on_tile=lambda done, _: progress.count(done, f"tiles of {job.source.name}"))
    entry = {
        "input": str(job.source),
        "output": str(job.target),
        "input_size": [height, width],
        "output_size": list(restored.pixels.shape[:2]),
        "restore_ms": _milliseconds(time.perf_counter() - start),
        "tiling": dataclasses.asdict(tiling),
    }

    def write() -> Entry:
        write_picture(job.target, restored)
        return entry

    return write


def _restore_video(restorer: Restorer, job: Job, *, watched: bool = False) -> Entry:
    """All frames, one after the other; the next ones are decoded and the last ones encoded meanwhile."""
    seconds, size = 0.0, (0, 0)
    with VideoSource(job.source) as video, writing(job.target, rate=video.facts.rate) as target:
        progress = Progress(video.facts.frames if watched else 1)

        def writes() -> Iterator[Callable[[], None]]:
            nonlocal seconds, size
            with contextlib.closing(ahead(video, depth=2)) as frames:
                for done, frame in enumerate(frames, start=1):
                    size = (frame.pixels.shape[0], frame.pixels.shape[1])
                    start = time.perf_counter()
                    restored = restorer.restore(frame)
                    seconds += time.perf_counter() - start
                    progress.count(done, f"frames of {job.source.name}")
                    yield functools.partial(target.put, restored)

        with contextlib.closing(behind(writes(), depth=2)) as written:
            for _ in written:
                pass
        frames, announced = target.frames, video.facts.frames
    scale = restorer.card.scale
    return {
        "input": str(job.source),
        "output": str(job.target),
        "input_size": list(size),
        "output_size": [side * scale for side in size],
        "restore_ms": _milliseconds(seconds),
        "tiling": dataclasses.asdict(restorer.tiling(*size)),
        "frames": frames,
        "frames_announced": announced,
        "frames_per_second": video.facts.rate,
    }


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
