"""What one process of `make bench` is asked, what it answers, and how it finds out.

A job is JSON on its way in, and its answer on its way out; `benchmarks.bench.worker` is the process.
"""

import contextlib
import mmap
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench.cost import cost_of
from benchmarks.bench.cut import cuts
from benchmarks.bench.peaks import measure_peaks
from benchmarks.bench.records import Cost, EndToEnd, Memory, OperatorTime, Peaks
from octopix.card import graph_sha256
from octopix.complexity import complexity
from octopix.conditions import peak_memory_mib
from octopix.errors import ModelFileError
from octopix.graph import Graph
from octopix.images import read_picture, write_picture
from octopix.latency import Latency, measure_alternating
from octopix.proof import noise
from octopix.restore import Restorer
from octopix.runtime import Session, load_runtime, open_session
from octopix.schema import read_model_bytes
from octopix.session import RunFacts

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Subject:
    """A network, and how it is run."""

    path: str
    height: int
    width: int
    threads: int
    delegate: str


@dataclass(frozen=True)
class Probe:
    """Run one network for the first time in a process of its own."""

    subject: Subject


@dataclass(frozen=True)
class Probed:
    """What a first run shows."""

    graph_sha256: str
    shape: tuple[int, ...]
    cost: Cost | None
    facts: RunFacts
    init_ms: float
    """From the file to tensors allocated at the cell's size."""
    first_ms: float
    memory: Memory


@dataclass(frozen=True)
class Race:
    """Time networks in turns."""

    subjects: Mapping[str, Subject]
    """Scheme -> network."""
    runs: int
    """Least timed calls of each."""
    seconds: float
    """Least time of each."""


@dataclass(frozen=True)
class Raced:
    """Warm latencies by scheme."""

    latencies: Mapping[str, Latency]


@dataclass(frozen=True)
class Errand:
    """Restore a picture from file to file, networks in turns."""

    subjects: Mapping[str, Subject]
    picture: str
    folder: str
    """Where the restored ones go."""
    runs: int
    seconds: float


@dataclass(frozen=True)
class Delivered:
    """By scheme."""

    end_to_end: Mapping[str, EndToEnd]


@dataclass(frozen=True)
class Dissection:
    """Time a network's operators one by one, in turns with the whole."""

    subject: Subject
    runs: int
    seconds: float


@dataclass(frozen=True)
class Dissected:
    """See `benchmarks.bench.records.Profile`."""

    operators: tuple[OperatorTime, ...]
    left_out: tuple[str, ...]
    whole: Latency


@dataclass(frozen=True)
class Likeness:
    """Run two networks on the same input."""

    one: Subject
    other: Subject


@dataclass(frozen=True)
class Apart:
    """See `benchmarks.bench.records.Pair`."""

    largest: float


@dataclass(frozen=True)
class Summit:
    """Find the machine's peaks."""

    threads: int
    seconds: float


def probe(job: Probe) -> Probed:
    """Open, run once, and look at the memory."""
    content = read_model_bytes(Path(job.subject.path))
    load_runtime()
    before = _resident_mib()
    start = time.perf_counter()
    session = _opened(content, job.subject)
    init_ms = (time.perf_counter() - start) * 1000
    first = measure_alternating({"call": session.execute}, warmup=1, runs=1, min_seconds=0)["call"]
    peak = peak_memory_mib()
    added = None if peak is None or before is None else peak - before
    return Probed(
        graph_sha256=graph_sha256(content),
        shape=session.input_shape,
        cost=_cost(session.graph, job.subject, len(content)),
        facts=session.facts,
        init_ms=init_ms,
        first_ms=first.first_ms or 0.0,
        memory=Memory(peak_rss_mib=peak, added_mib=added),
    )


def race(job: Race) -> Raced:
    """A B C A B C …"""
    sessions = {
        scheme: _opened(read_model_bytes(Path(subject.path)), subject) for scheme, subject in job.subjects.items()
    }
    calls = {scheme: session.execute for scheme, session in sessions.items()}
    return Raced(measure_alternating(calls, runs=job.runs, min_seconds=job.seconds))


def errand(job: Errand) -> Delivered:
    """Decode, restore, encode; again and again."""
    ways = {scheme: _Way(scheme, subject, job) for scheme, subject in job.subjects.items()}
    found = measure_alternating(ways, warmup=1, runs=job.runs, min_seconds=job.seconds)
    return Delivered({scheme: way.measured(found[scheme]) for scheme, way in ways.items()})


def dissect(job: Dissection) -> Dissected:
    """The whole, then each operator, in turns."""
    subject = job.subject
    content = read_model_bytes(Path(subject.path))
    whole = _opened(content, subject)
    costs = complexity(whole.graph, height=subject.height, width=subject.width).per_operator
    calls: dict[str, Callable[[], None]] = {"whole": whole.execute}
    sessions: dict[int, Session] = {}
    left_out = []
    for cut in cuts(content, height=subject.height, width=subject.width):
        try:
            sessions[cut.operator.index] = session = _filled(
                open_session(cut.model, threads=subject.threads, delegate=subject.delegate)
            )
        except ModelFileError as error:
            left_out.append(f"{cut.operator.name} (operator {cut.operator.index}): {error.got}")
            continue
        calls[str(cut.operator.index)] = session.execute
    times = measure_alternating(calls, runs=job.runs, min_seconds=job.seconds / len(calls))
    operators = tuple(
        _operator_time(whole.graph, index, session, costs[index].macs, times[str(index)])
        for index, session in sessions.items()
    )
    return Dissected(operators, tuple(left_out), times["whole"])


def compare(job: Likeness) -> Apart:
    """The largest difference of the first outputs."""
    outputs = []
    for subject in (job.one, job.other):
        session = _opened(read_model_bytes(Path(subject.path)), subject)
        outputs.append(session.invoke(noise(session.input_shape, session.input_dtype)).astype(np.float64))
    return Apart(float(np.abs(outputs[0] - outputs[1]).max()))


def summit(job: Summit) -> Peaks:
    """See `benchmarks.bench.peaks`."""
    return measure_peaks(threads=job.threads, seconds=job.seconds)


JOBS: Mapping[str, tuple[type[Any], Callable[[Any], Any], type[Any]]] = {
    "probe": (Probe, probe, Probed),
    "race": (Race, race, Raced),
    "errand": (Errand, errand, Delivered),
    "dissection": (Dissection, dissect, Dissected),
    "likeness": (Likeness, compare, Apart),
    "summit": (Summit, summit, Peaks),
}
"""Name -> what is asked, who answers, what is answered."""


class _Way:
    """One network's way from file to file; keeps what each part took."""

    def __init__(self, scheme: str, subject: Subject, job: Errand) -> None:
        self._restorer = Restorer(Path(subject.path), threads=subject.threads, delegate=subject.delegate)
        self._picture = Path(job.picture)
        self._target = Path(job.folder) / f"{scheme}.png"
        self._parts: list[tuple[float, float, float]] = []

    def __call__(self) -> None:
        start = time.perf_counter()
        picture = read_picture(self._picture)
        decoded = time.perf_counter()
        restored = self._restorer.restore(picture)
        done = time.perf_counter()
        write_picture(self._target, restored)
        self._parts.append((decoded - start, done - decoded, time.perf_counter() - done))

    def measured(self, latency: Latency) -> EndToEnd:
        height, width = read_picture(self._picture).pixels.shape[:2]
        parts = self._parts[-len(latency.samples_ms) :]
        medians = [statistics.median(each[part] for each in parts) * 1000 for part in range(3)]
        return EndToEnd(height, width, latency, *medians)


def _opened(content: bytes, subject: Subject) -> Session:
    """Open, allocated at the size and filled."""
    session = open_session(content, threads=subject.threads, delegate=subject.delegate)
    batch, *_, channels = session.input_shape
    session.place(noise((batch, subject.height, subject.width, channels), session.input_dtype))
    return session


def _filled(session: Session) -> Session:
    dtypes = [session.graph.tensors[index].dtype for index in session.graph.inputs]
    session.place(*(noise(shape, np.dtype(name)) for shape, name in zip(session.input_shapes, dtypes, strict=True)))
    return session


def _operator_time(graph: Graph, index: int, alone: Session, macs: int, latency: Latency) -> OperatorTime:
    output = alone.graph.tensors[alone.graph.outputs[0]]
    return OperatorTime(
        index=index,
        name=graph.operators[index].name,
        shape=output.shape,
        macs=macs,
        median_ms=latency.median_ms,
        p95_ms=latency.p95_ms,
    )


def _cost(graph: Graph, subject: Subject, file_bytes: int) -> Cost | None:
    with contextlib.suppress(ModelFileError):
        return cost_of(graph, height=subject.height, width=subject.width, file_bytes=file_bytes)
    return None


def _resident_mib() -> float | None:
    """What the process holds now; where the system does not say, the most it ever held."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return peak_memory_mib()
    return pages * mmap.PAGESIZE / 2**20
