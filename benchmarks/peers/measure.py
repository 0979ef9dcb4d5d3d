"""One network beside its peers: from the artifacts and the prepared files to an entry of ``peers.json``."""

import functools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.artifacts import SIDE
from benchmarks.latency import QUICK_RUNS, QUICK_SECONDS, RUNS, SECONDS
from benchmarks.peers import stations
from benchmarks.peers.apart import Done, apart
from benchmarks.peers.contenders import CONTENDERS, NEAREST, OURS, RANGES, STOCK, Contender, versions
from benchmarks.peers.prepared import Prepared
from benchmarks.peers.results import Calibration, Entry, Row
from benchmarks.peers.scoring import Marks, Means, Picture, marks_of, means
from benchmarks.peers.stations import Entrant, Timed
from benchmarks.peers.subject import Subject
from benchmarks.suite import Stage
from octopix.card import graph_sha256
from octopix.conditions import Conditions, now, read_conditions
from octopix.errors import DataError
from octopix.images import Array
from octopix.latency import available_cores
from octopix.protocols import Protocol
from octopix.resize import bicubic
from train.data.degradations import PairSet, as_channels

MAX_DIFFERENCE = 1e-4
"""Of the ONNX graph's float output from the ``.tflite``'s: 1/40 of an 8-bit step. More is another network."""


@dataclass(frozen=True)
class Race:
    """What is to be compared, how, and where its files may lie meanwhile."""

    subject: Subject
    sets: Sequence[PairSet]
    protocol: Protocol
    folder: Path
    """An empty one; may be removed afterwards."""
    threads: int
    quick: bool
    stage: Stage


def compare(race: Race) -> Entry:
    """Convert, restore and time everyone; whoever fails has a row that says why.

    Raises:
        DataError: there is no test set, or no picture with detail in one.
        ImageError: a test image cannot be read.
        ModelFileError: our own float network cannot be run.
    """
    if not race.sets:
        raise DataError(expected="a test set", got="none", do="add Set5, Set14 or BSDS500/val to the folder")
    conditions = read_conditions()
    graph = _graph(race)
    converted = _convert(race, graph)
    entrants = [Entrant(name, done.value) for name, done in converted.items() if done.value is not None]
    pictures, inputs = _pictures(race)
    marks = _restore(race, entrants, pictures, inputs)
    found = means(pictures, {name: done.value for name, done in marks.items() if done.value is not None})
    timed = _clock(race, [each for each in entrants if each.name in found])
    rows = tuple(
        _row(race, CONTENDERS[name], Outcome(done, marks.get(name), found.get(name), (timed.value or {}).get(name)))
        for name, done in converted.items()
    )
    notes = [f"latency: {timed.failure}"] if timed.failure else []
    return _entry(race, rows, conditions, graph, notes)


def _graph(race: Race) -> Done[float]:
    """The float network as ONNX, or why peers cannot take it."""
    prepared = race.subject.prepared
    done = apart(stations.write_onnx, race.subject.reference.path, race.folder / "float32.onnx", prepared.crops_path)
    if done.value is not None and not done.value <= MAX_DIFFERENCE:  # NaN is no match either
        return Done(None, failure=f"its ONNX graph differs from the .tflite by {done.value:.2g}")
    return done


def _convert(race: Race, graph: Done[float]) -> dict[str, Done[Path]]:
    """Contender -> the file that runs, or why there is none."""
    advance = race.stage("convert", len(CONTENDERS))
    found: dict[str, Done[Path]] = {}
    for name, contender in CONTENDERS.items():
        if contender.convert is None:
            found[name] = Done(race.subject.given[name])
        elif graph.failure is not None:
            found[name] = Done(None, failure=graph.failure)
        else:
            found[name] = _converted(race, contender)
        advance()
    return found


def _converted(race: Race, contender: Contender) -> Done[Path]:
    own = race.folder / contender.name.replace(" ", "-")
    own.mkdir()
    crops, warm = race.subject.prepared.crops_path, functools.partial(stations.warm, contender.group)
    return apart(stations.convert, contender.name, race.folder / "float32.onnx", crops, own, warm=warm)


def _pictures(race: Race) -> tuple[list[Picture], list[Path]]:
    """Every test image, and the file of its network input."""
    folder, card = race.folder / "inputs", race.subject.reference.card
    folder.mkdir()
    pictures: list[Picture] = []
    inputs: list[Path] = []
    for images in race.sets:
        for ref in images.refs:
            degraded, truth = ref.read()
            path = folder / f"{len(inputs)}.npy"
            np.save(path, as_channels(degraded, card.channels))
            inputs.append(path)
            compared = race.protocol.compared(as_channels(truth, card.channels), card.scale)
            pictures.append(Picture(ref.name, images.title, compared))
    return pictures, inputs


def _restore(
    race: Race, entrants: Sequence[Entrant], pictures: Sequence[Picture], inputs: Sequence[Path]
) -> dict[str, Done[Marks]]:
    """Contender -> its figures, or why there are none. The first is float32, which the others are compared with."""
    advance = race.stage("restore", len(entrants))
    reference: list[Array] = []
    found: dict[str, Done[Marks]] = {}
    for entrant in entrants:
        done, planes = _restored(race, entrant, inputs)
        if done.failure is None:
            reference = reference or planes
            found[entrant.name] = Done(marks_of(pictures, planes, reference))
        else:
            found[entrant.name] = Done(None, failure=done.failure)
        if not reference:
            raise DataError(expected="our float network to run", got=str(done.failure), do="run make quantize again")
        advance()
    return found


def _restored(race: Race, entrant: Entrant, inputs: Sequence[Path]) -> tuple[Done[list[Path]], list[Array]]:
    """What became of it, and what the protocol compares of every picture."""
    out = race.folder / f"pictures-{entrant.name.replace(' ', '-')}"
    out.mkdir()
    scale = race.subject.reference.card.scale
    done = apart(stations.restore, entrant, race.subject.reference.path, inputs, out, available_cores())
    planes = [race.protocol.compared(np.load(path), scale) for path in done.value or ()]
    shutil.rmtree(out)
    return done, planes


def _clock(race: Race, entrants: Sequence[Entrant]) -> Done[Mapping[str, Timed]]:
    advance = race.stage("latency", 1)
    picture, channels = race.folder / "timed.npy", race.subject.reference.card.channels
    np.save(picture, bicubic(as_channels(race.sets[0].refs[0].read()[1], channels), size=(SIDE, SIDE)))
    runs, seconds = (QUICK_RUNS, QUICK_SECONDS) if race.quick else (RUNS, SECONDS)
    how = stations.Clock(race.threads, runs, seconds)
    done = apart(stations.clock, entrants, race.subject.reference.path, picture, how)
    advance()
    return done


@dataclass(frozen=True)
class Outcome:
    """What became of a contender, station by station; None where it did not get so far."""

    converted: Done[Path]
    restored: Done[Marks] | None
    means: Means | None
    timed: Timed | None


def _row(race: Race, contender: Contender, outcome: Outcome) -> Row:
    plain = Row(contender.name, contender.group, contender.precision, contender.settings)
    converted, found, int8 = outcome.converted, outcome.means, contender.precision == "int8"
    if found is None:
        return replace(plain, failure=converted.failure or (outcome.restored.failure if outcome.restored else None))
    return replace(
        plain,
        psnr_db=found.psnr_db,
        drop_db=found.drop_db,
        fidelity_db=found.fidelity_db,
        psnr_per_set=found.per_set,
        psnr_per_image=found.per_image,
        seconds=_seconds(contender, converted, race.subject.prepared) if int8 else None,
        peak_memory_mib=converted.peak_memory_mib if int8 else None,
        latency=None if outcome.timed is None else outcome.timed.latency,
    )


def _seconds(contender: Contender, converted: Done[Path], prepared: Prepared) -> float | None:
    """Of the conversion to int8; those of the given files were taken when they were prepared."""
    facts = prepared.facts
    given = {
        OURS: facts.octopix_seconds,
        NEAREST: facts.nearest_seconds,
        RANGES: facts.ranges_seconds,
        STOCK: facts.stock_seconds,
    }
    return given.get(contender.name, converted.seconds)


def _entry(
    race: Race, rows: tuple[Row, ...], conditions: Conditions, graph: Done[float], notes: Sequence[str]
) -> Entry:
    subject, crops = race.subject, race.subject.prepared.crops
    return Entry(
        model=subject.reference.card.model,
        created=now(),
        conditions=conditions,
        versions=versions(),
        threads=race.threads,
        protocol=race.protocol.name,
        sets={images.title: len(images) for images in race.sets},
        shape=subject.reference.shape,
        quick=race.quick,
        calibration=Calibration(len(crops), crops.shape[1:], subject.prepared.facts.calibration_sha256),
        ours=subject.ours.card.scheme,
        graph_sha256={name: graph_sha256(path) for name, path in subject.given.items()},
        onnx_difference=graph.value,
        rows=rows,
        notes=(*subject.notes, *notes),
    )
