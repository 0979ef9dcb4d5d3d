"""Whole pipelines on all cores: a folder of photographs through ``octopix run``, and pictures with work in between.

- **Folder**: decoding, restoring and encoding overlap. The least wall time there can be is the larger of all CPU time
  over the number of cores and the longest single photograph's chain.
- **Cores**: pictures restored one after the other, each compared with its ground truth by NumPy, as a pipeline does
  between calls. Ways take turns. What the machine has to give is seen by as many processes of one thread side by side
  as there are cores: of cores that share caches, memory or a physical core, more cannot be had.
"""

import concurrent.futures
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from octopix.conditions import Conditions, now, read_conditions
from octopix.errors import DataError
from octopix.images import Array, Picture, read_picture, write_picture
from octopix.latency import available_cores, measure_alternating
from octopix.metrics import psnr
from octopix.restore import Restorer
from train.data.sources import DataHome, images_for

VERSION = 1
PHOTOS, MEGAPIXELS = 20, 2.0
SIDE = 512
"""Pixels a side of the pictures that go through one after the other."""
WAYS = ("one thread", "threads of one interpreter", "octopix")


@dataclass(frozen=True)
class FolderTiming:
    """A folder through ``octopix run``, seconds; one entry per round."""

    model: str
    scheme: str
    photos: int
    megapixels: float
    """Of one photograph."""
    threads: int
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    chain_s: tuple[float, ...]
    """The longest single photograph's: decoded, restored by one thread, encoded."""

    @property
    def ratio(self) -> float:
        """Median over the rounds of wall time over the least there can be."""
        rounds = zip(self.wall_s, self.cpu_s, self.chain_s, strict=True)
        return statistics.median(wall / max(cpu / self.threads, chain) for wall, cpu, chain in rounds)


@dataclass(frozen=True)
class CoresTiming:
    """Pictures with NumPy between the calls, milliseconds each, by way."""

    model: str
    scheme: str
    side: int
    threads: int
    samples_ms: dict[str, tuple[float, ...]]
    processes_ratio: float
    """Throughput of as many processes of one thread as ``threads``, over that of one alone."""

    def speed_up(self, way: str) -> float:
        """Throughput over that of one thread, by medians."""
        return statistics.median(self.samples_ms[WAYS[0]]) / statistics.median(self.samples_ms[way])


@dataclass(frozen=True)
class PipelineResult:
    """Both, and where they were measured."""

    folder: FolderTiming
    cores: CoresTiming
    octopix_pipeline: int = VERSION
    conditions: Conditions = field(default_factory=read_conditions)
    created: str = field(default_factory=now)


def time_folder(
    model: Path,
    home: DataHome,
    *,
    rounds: int,
    photos: int = PHOTOS,
    megapixels: float = MEGAPIXELS,
    watch: Callable[[], None],
) -> FolderTiming:
    """Restore a folder of photographs, ``rounds`` times.

    Args:
        model: a ``.tflite`` with a card.
        home: its photographs serve, shrunk or enlarged.
        rounds: how often.
        photos: how many.
        megapixels: of each.
        watch: told after each round.

    Raises:
        DataError: no photograph.
        OctopixError: ``octopix run`` fails; its words.
    """
    threads, card = available_cores(), Restorer(model).card
    walls, cpus, chains = [], [], []
    with tempfile.TemporaryDirectory(prefix="octopix-pipeline-") as place:
        folder = Path(place) / "photos"
        for number, pixels in enumerate(_photos(home, megapixels * 1e6, photos)):
            write_picture(folder / f"{number:02}.jpg", Picture(pixels))
        for _ in range(rounds):
            wall, cpu = run_folder(model, folder, Path(place) / "out", threads)
            walls.append(wall)
            cpus.append(cpu)
            chains.append(max(_chain(model, path, Path(place)) for path in sorted(folder.iterdir())))
            watch()
    return FolderTiming(card.model, card.scheme, photos, megapixels, threads, tuple(walls), tuple(cpus), tuple(chains))


def time_cores(model: Path, home: DataHome, *, seconds: float, side: int = SIDE) -> CoresTiming:
    """Restore a square picture over and over, with a PSNR against a picture between the calls.

    Args:
        model: a ``.tflite`` with a card.
        home: one of its photographs serves.
        seconds: at least so long for each way.
        side: of the picture, pixels.

    Raises:
        DataError: no photograph.
    """
    threads, card = available_cores(), Restorer(model).card
    picture = Picture(_photos(home, 4 * side * side, 1)[0][:side, :side])
    restorers = {
        WAYS[0]: Restorer(model, threads=1, tile="none"),
        WAYS[1]: Restorer(model, threads=threads, tile="none"),
        WAYS[2]: Restorer(model, threads=threads),
    }
    steps = {way: _step(restorer, picture) for way, restorer in restorers.items()}
    timed = measure_alternating(steps, warmup=2, runs=10, min_seconds=seconds)
    return CoresTiming(
        model=card.model,
        scheme=card.scheme,
        side=side,
        threads=threads,
        samples_ms={way: latency.samples_ms for way, latency in timed.items()},
        processes_ratio=_side_by_side(model, picture, threads, runs=max(3, len(timed[WAYS[0]].samples_ms) // 2)),
    )


def _step(restorer: Restorer, picture: Picture) -> Callable[[], object]:
    """Restore and compare, as a pipeline would."""
    first = restorer.restore(picture).pixels
    wanted = first.copy()
    wanted[::2] ^= 1  # something to differ from
    return lambda: psnr(wanted, restorer.restore(picture).pixels)


def _side_by_side(model: Path, picture: Picture, count: int, *, runs: int) -> float:
    """How many times the throughput of one process ``count`` processes have, one thread each."""
    alone = _processes(model, picture, 1, runs)
    together = _processes(model, picture, count, runs)
    return count * alone / together


def _processes(model: Path, picture: Picture, count: int, runs: int) -> float:
    """Seconds for ``runs`` pictures in each of ``count`` processes that start together."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, concurrent.futures.ProcessPoolExecutor(count, mp_context=context) as pool:
        barrier = manager.Barrier(count)
        jobs = [pool.submit(_one_process, model, picture.pixels, runs, barrier) for _ in range(count)]
        return max(job.result() for job in jobs)


def _one_process(model: Path, pixels: Array, runs: int, barrier: threading.Barrier) -> float:
    step = _step(Restorer(model, threads=1, tile="none"), Picture(pixels))
    step()
    barrier.wait()
    start = time.perf_counter()
    for _ in range(runs):
        step()
    return time.perf_counter() - start


def run_folder(model: Path, folder: Path, out: Path, threads: int) -> tuple[float, float]:
    """Wall and CPU seconds of ``octopix run`` on a folder.

    Raises:
        DataError: it fails; its words.
    """
    words = [sys.executable, "-m", "octopix", "run", str(folder), "--model", str(model), "--out", str(out)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*words, "--threads", str(threads)], check=False, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise DataError(expected="octopix run to end well", got=done.stderr.strip(), do="see its words")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _chain(model: Path, photo: Path, place: Path) -> float:
    """Seconds of one photograph by one thread."""
    restorer = Restorer(model, threads=1)
    start = time.perf_counter()
    write_picture(place / "chain.png", restorer.restore(read_picture(photo)))
    return time.perf_counter() - start


def _photos(home: DataHome, pixels: float, count: int) -> Sequence[Array]:
    """So many photographs of about so many pixels, RGB; the same ones again where there are fewer."""
    refs = images_for(home, "validate").refs
    return [_resized(refs[number % len(refs)].read(), pixels) for number in range(count)]


def _resized(image: Array, pixels: float) -> Array:
    factor = float(np.sqrt(pixels / (image.shape[0] * image.shape[1])))
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    rgb = image if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC))
