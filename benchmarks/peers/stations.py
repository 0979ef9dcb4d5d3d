"""What is done with each contender in a process of its own: convert, check, restore pictures, be timed."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.contenders import CONTENDERS, Opening
from octopix.card import ModelCard, read_card
from octopix.images import Array, to_unit
from octopix.latency import Latency, measure_alternating
from octopix.planner import Wish
from octopix.ports import encode, plane_bytes
from octopix.runtime import open_session
from octopix.session import RunFacts
from octopix.tiler import Tiler
from octopix.windows import Source

_MODULES = {"onnxruntime": ("onnxruntime.quantization",), "openvino": ("openvino", "nncf")}


@dataclass(frozen=True)
class Entrant:
    """A contender with the file that runs."""

    name: str
    """A key of `CONTENDERS`."""
    path: Path


@dataclass(frozen=True)
class Timed:
    """How long one takes, and what it ran on."""

    latency: Latency
    facts: RunFacts


def warm(group: str) -> None:
    """Import what a conversion needs, so that its seconds are its own."""
    for module in _MODULES.get(group, ()):
        importlib.import_module(module)


def convert(name: str, model: Path, crops: Path, folder: Path) -> Path:
    """The contender's own file, in ``folder``.

    Args:
        name: a key of `CONTENDERS`.
        model: the float ``.onnx``.
        crops: the ``.npz`` with the calibration crops.
        folder: an empty one for the contender alone.
    """
    contender = CONTENDERS[name]
    assert contender.convert is not None  # given files are not converted
    with np.load(crops) as stored:
        return contender.convert(model, stored["crops"], folder)


def write_onnx(reference: Path, path: Path, crops: Path) -> float:
    """Write the float network as ONNX; the largest difference of its output from the ``.tflite``'s, on one crop."""
    import onnx

    from benchmarks.peers.onnx_graph import to_onnx

    content = reference.read_bytes()
    onnx.save(to_onnx(content), str(path))
    with np.load(crops) as stored:
        seen = to_unit(stored["crops"][:1])
    expected = open_session(content).invoke(seen)
    opening = Opening(threads=1, reference=content)
    return float(np.abs(CONTENDERS["ONNX Runtime float32"].open(path, opening).invoke(seen) - expected).max())


def restore(entrant: Entrant, reference: Path, inputs: Sequence[Path], folder: Path, threads: int) -> list[Path]:
    """Every picture through the network, clipped and rounded to 8 bits; the files of the results, in order.

    Args:
        entrant: who restores.
        reference: the float ``.tflite``, whose card says how pictures go through.
        inputs: ``.npy`` files, uint8 (H, W, C) in the network's channels.
        folder: to write to.
        threads: of the runtime.
    """
    content = reference.read_bytes()
    card = read_card(content)
    opening = Opening(threads, content)
    tiler = Tiler(lambda _: CONTENDERS[entrant.name].open(entrant.path, opening), card, Wish(tile="none"))
    written = []
    for place, path in enumerate(inputs):
        target = folder / f"{place}.npy"
        np.save(target, _restored(tiler, card, np.load(path)))
        written.append(target)
    return written


def _restored(tiler: Tiler, card: ModelCard, plane: Array) -> Array:
    """uint8 (H · scale, W · scale, C)."""
    height, width, depth = plane.shape
    result = np.empty((height * card.scale, width * card.scale, depth), np.uint8)

    def store(values: Array, rows: slice, columns: slice) -> None:
        result[rows, columns] = plane_bytes(values)

    tiler.run(Source(plane, enlarged=card.scale if card.enlarged else 1), store)
    return result


@dataclass(frozen=True)
class Clock:
    """How often and how long a network is timed."""

    threads: int
    """Of each runtime."""
    runs: int
    """Samples of each, at least."""
    min_seconds: float
    """Of sampling per entrant, at least."""


def clock(entrants: Sequence[Entrant], reference: Path, picture: Path, how: Clock) -> Mapping[str, Timed]:
    """Name -> timing of the bare network on one input, all in turns.

    Inputs are placed before, conversions of inputs and outputs are not timed.

    Args:
        entrants: all who run.
        reference: the float ``.tflite``.
        picture: ``.npy``, uint8 (H, W, C), the input that is timed.
        how: threads, samples, seconds.
    """
    seen = np.load(picture)
    opening = Opening(how.threads, reference.read_bytes(), (1, *seen.shape))
    sessions = {each.name: CONTENDERS[each.name].open(each.path, opening) for each in entrants}
    for session in sessions.values():
        session.place(encode(seen, session)[np.newaxis])
    latencies = measure_alternating(
        {name: session.execute for name, session in sessions.items()},
        runs=how.runs,
        min_seconds=how.min_seconds,
        init_ms={name: session.init_ms for name, session in sessions.items()},
    )
    return {name: Timed(latencies[name], session.facts) for name, session in sessions.items()}
