"""What a run of `make bench` writes: one versioned JSON, raw samples and conditions included, and read back checked."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.artifacts import FLOAT
from benchmarks.bench.cell import Cell
from octopix.conditions import Conditions, now, read_conditions
from octopix.errors import ResultError
from octopix.files import write_json
from octopix.latency import Latency
from octopix.records import from_json, parse
from octopix.results import BenchRow, Result, latency_json
from octopix.session import RunFacts

VERSION = 1
MAGIC = "octopix_bench"


@dataclass(frozen=True)
class Cost:
    """What a network is, at the cell's size."""

    macs: int
    parameters: int
    kib: float
    """File size in KiB (1024 bytes)."""
    gflops: Mapping[str, float]
    """By convention: ``2*MAC``, and ``lesrcnn-table`` as `benchmarks.bench.cost.table_gflops` counts."""
    bytes_moved: int
    """Every operator's inputs, constants and outputs, each read or written once; see `benchmarks.bench.cost`."""
    intensity: float
    """FLOPs (2 per multiply-accumulate) per byte moved."""
    working_mib: float
    """Estimate of activations alive at once and of XNNPACK's pointers; see `octopix.footprint`."""


@dataclass(frozen=True)
class Memory:
    """Of a process that runs this cell and nothing else, in MiB."""

    peak_rss_mib: float | None
    """The most that the process held, Python and its libraries included."""
    added_mib: float | None
    """Of that, what came after the libraries were loaded: the file, the packed weights, the activations."""


@dataclass(frozen=True)
class EndToEnd:
    """From a PNG to the restored PNG on disk; every sample is one picture."""

    height: int
    """Of the picture that is read, in pixels."""
    width: int
    latency: Latency
    decode_ms: float
    """Median; so are the next two."""
    restore_ms: float
    encode_ms: float

    @property
    def ms_per_megapixel(self) -> float:
        """Median milliseconds per million pixels of the picture that is read."""
        return self.latency.median_ms / (self.height * self.width / 1e6)


@dataclass(frozen=True)
class Failure:
    """Why a cell has no figures."""

    phase: str
    exit_code: int
    """Of its process; negative: ended by that signal."""
    words: str
    """The last that it said."""


@dataclass(frozen=True)
class CellResult:
    """One cell, measured or failed."""

    cell: Cell
    file_sha256: str
    graph_sha256: str | None = None
    shape: tuple[int, ...] | None = None
    """Of the network's input, (1, H, W, C)."""
    cost: Cost | None = None
    """None where octopix cannot follow the graph."""
    facts: RunFacts | None = None
    latency: Latency | None = None
    """Of the network alone, input in place."""
    memory: Memory | None = None
    end_to_end: EndToEnd | None = None
    failure: Failure | None = None

    @property
    def gmacs(self) -> float | None:
        """Achieved giga multiply-accumulates per second, by the median latency."""
        if self.cost is None or self.latency is None:
            return None
        return self.cost.macs / self.latency.median_ms / 1e6


@dataclass(frozen=True)
class Rate:
    """One way to reach a peak: what was run, and the raw times."""

    what: str
    amount: float
    """Multiply-accumulates, or bytes, of one call."""
    samples_ms: tuple[float, ...]

    @property
    def best(self) -> float:
        """Billions per second in the fastest call."""
        return self.amount / min(self.samples_ms) / 1e6


@dataclass(frozen=True)
class Peaks:
    """What the machine can do, measured in the same run, with so many threads."""

    threads: int
    int8: tuple[Rate, ...]
    float32: tuple[Rate, ...]
    memory: tuple[Rate, ...]

    @property
    def int8_gmacs(self) -> float:
        """Of the fastest convolution, by its fastest call."""
        return max(rate.best for rate in self.int8)

    @property
    def float32_gmacs(self) -> float:
        """Likewise."""
        return max(rate.best for rate in self.float32)

    @property
    def gbytes_per_s(self) -> float:
        """Read and written, of a large copy."""
        return max(rate.best for rate in self.memory)


@dataclass(frozen=True)
class OperatorTime:
    """One operator of a graph, cut out and timed alone."""

    index: int
    name: str
    shape: tuple[int, ...]
    """Of its output."""
    macs: int
    median_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Profile:
    """Where the time of one cell goes."""

    cell: Cell
    operators: tuple[OperatorTime, ...]
    left_out: tuple[str, ...]
    """Operators that do nothing at run time, or that the runtime does not take alone."""
    whole: Latency
    """The whole network, in turns with its operators."""

    @property
    def sum_ms(self) -> float:
        """Of all operators' medians. How far it is from `whole` is how far the profile is to be trusted."""
        return sum(operator.median_ms for operator in self.operators)


@dataclass(frozen=True)
class Pair:
    """A model beside another of the same purpose, timed in turns with it."""

    cell: Cell
    beside: str
    """The other model."""
    speed: float
    """Its median over this one's; above 1 is faster."""
    judgement: Literal["better", "same", "worse"]
    """By `octopix.verdict`, which respects the noise."""
    largest_difference: float
    """Of the outputs for one input, white noise, in the units they are stored in: 0 to 1 for floats, levels for
    integers."""


@dataclass(frozen=True)
class BenchResult:
    """All cells of a suite and the conditions they were measured under."""

    suite: str
    cells: tuple[CellResult, ...]
    peaks: tuple[Peaks, ...]
    profiles: tuple[Profile, ...] = ()
    pairs: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know besides: peaks and profiles that could not be measured, and why."""
    conditions: Conditions = field(default_factory=read_conditions)
    created: str = field(default_factory=now)

    @property
    def failed(self) -> tuple[CellResult, ...]:
        """Cells without figures."""
        return tuple(each for each in self.cells if each.failure is not None)

    def float_of(self, cell: Cell) -> CellResult | None:
        """The float32 cell of the same group, which was timed in turns with it."""
        same = (each for each in self.cells if each.cell.group == cell.group)
        return next((each for each in same if each.cell.scheme == FLOAT and each.latency is not None), None)

    def speed(self, each: CellResult) -> float | None:
        """Median of float32 over this cell's; above 1 is faster."""
        reference = self.float_of(each.cell)
        if reference is None or reference.latency is None or each.latency is None:
            return None
        return reference.latency.median_ms / each.latency.median_ms

    def to_json(self) -> dict[str, Any]:
        """Strict JSON, with the derived figures for readers without octopix."""
        raw = dataclasses.asdict(self)
        for side, each in zip(raw["cells"], self.cells, strict=True):
            side |= {"gmacs_per_s": each.gmacs, "speed": self.speed(each)}
            if each.latency is not None:
                side["latency"] = latency_json(each.latency)
            if each.end_to_end is not None:
                side["end_to_end"] |= {
                    "latency": latency_json(each.end_to_end.latency),
                    "ms_per_megapixel": each.end_to_end.ms_per_megapixel,
                }
        for side, peaks in zip(raw["peaks"], self.peaks, strict=True):
            side |= {name: getattr(peaks, name) for name in ("int8_gmacs", "float32_gmacs", "gbytes_per_s")}
        for side, profile in zip(raw["profiles"], self.profiles, strict=True):
            side |= {"whole": latency_json(profile.whole), "sum_ms": profile.sum_ms}
        return {MAGIC: VERSION, **raw}


def write_bench(path: Path, result: BenchResult) -> None:
    """Write ``result``, at once or not at all."""
    write_json(path, result.to_json())


def read_bench(path: Path) -> BenchResult:
    """Read and check a result of `make bench`.

    Raises:
        ResultError: unreadable, truncated, of another kind or version, or a field that is missing or mistyped.
    """
    try:
        raw = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ResultError(
            expected=f"the JSON of a `make bench` in {path}",
            got=str(error),
            do="check the path; a truncated file has to be measured again",
        ) from error
    version = raw.get(MAGIC) if isinstance(raw, Mapping) else None
    if version != VERSION:
        raise ResultError(
            expected=f"a `make bench` result of version {VERSION} in {path.name}",
            got="JSON of another kind" if version is None else f"version {version!r}",
            do="measure again with this version of octopix",
        )
    result = from_json(BenchResult, raw, where=path.name)
    _check_samples(result, path.name)
    return result


def as_results(result: BenchResult) -> Mapping[str, Result]:
    """Delegate -> what was timed on it, in the form that `octopix compare` judges."""
    delegates = dict.fromkeys(each.cell.delegate for each in result.cells)
    made = {name: tuple(_row(each) for each in result.cells if _is_timed(each, name)) for name in delegates}
    return {
        name: Result("bench", rows, conditions=result.conditions, created=result.created)
        for name, rows in made.items()
        if rows
    }


def _is_timed(each: CellResult, delegate: str) -> bool:
    return each.cell.delegate == delegate and each.latency is not None and each.facts is not None


def _row(each: CellResult) -> BenchRow:
    assert each.latency is not None  # `_is_timed` said so
    assert each.facts is not None
    return BenchRow(
        model=each.cell.model,
        scheme=each.cell.scheme,
        shape=each.shape or (1, each.cell.height, each.cell.width, 0),
        macs=each.cost.macs if each.cost else None,
        parameters=each.cost.parameters if each.cost else None,
        kib=each.cost.kib if each.cost else 0.0,
        latency=each.latency,
        facts=each.facts,
        graph_sha256=each.graph_sha256 or "",
        file_sha256=each.file_sha256,
        peak_memory_mib=each.memory.peak_rss_mib if each.memory else None,
    )


def _check_samples(result: BenchResult, where: str) -> None:
    latencies = [each.latency for each in result.cells] + [each.whole for each in result.profiles]
    samples = [latency.samples_ms for latency in latencies if latency is not None]
    samples += [rate.samples_ms for peaks in result.peaks for rate in (*peaks.int8, *peaks.float32, *peaks.memory)]
    for each in samples:
        if not each or min(each) <= 0:
            raise ResultError(expected=f"positive samples in {where}", got=str(list(each)), do="measure it again")
