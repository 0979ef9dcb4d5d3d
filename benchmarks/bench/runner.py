"""A suite from its first cell to its result: what is finished stays, what breaks breaks alone.

Each cell is opened and run once in a process of its own, which gives its first times and its memory, and shows that it
runs at all. Then the schemes of one group (one model, size, number of threads and delegate) are timed in turns in
one process, because only so do their ratios hold on a machine that does other work too.
"""

import contextlib
import dataclasses
import importlib.metadata
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.bench.cell import Cell
from benchmarks.bench.cells import Planned
from benchmarks.bench.jobs import Apart, Dissection, Errand, Likeness, Probe, Probed, Race, Subject, Summit
from benchmarks.bench.process import JobFailedError, Measure
from benchmarks.bench.records import BenchResult, CellResult, Failure, Pair, Peaks, Profile, write_bench
from benchmarks.bench.store import Made, Store
from benchmarks.bench.suites import Suite, parse_size
from octopix.card import file_sha256
from octopix.conditions import read_conditions
from octopix.delegates import LIBRARY
from octopix.files import check_writable, replacing
from octopix.images import Picture, write_picture
from octopix.latency import MIN_SAMPLES, Latency, instabilities
from octopix.resize import bicubic
from octopix.runtime import load_runtime
from octopix.verdict import judge_samples
from train.data.sources import builtin_ref

RESULT = "bench.json"
CELLS = "cells"
PHOTOGRAPH = "astronaut.png"
"""Of scikit-image; end to end it is shrunk to the suite's size."""
PEAK_SECONDS = 0.4
"""At most so long for each convolution."""
PATIENCE = 3.0
"""Times a suite's seconds that a slow network's turns may take before their number is cut to the least."""

Watch = Callable[[str], None]
"""Told what begins; called once for each step of `steps`."""


@dataclass(frozen=True)
class Run:
    """A suite about to be measured."""

    name: str
    suite: Suite
    plan: tuple[Planned, ...]
    out: Path

    @property
    def groups(self) -> tuple[tuple[Planned, ...], ...]:
        """Planned cells that are timed in turns."""
        return tuple(tuple(group) for _, group in groupby(self.plan, key=lambda each: each.group))

    @property
    def threads(self) -> tuple[int, ...]:
        """All numbers of threads."""
        return tuple(sorted({each.cell.threads for each in self.plan}))

    @property
    def steps(self) -> int:
        """Peaks, groups, and the profiles as one."""
        return len(self.threads) + len(self.groups) + ("profile" in self.suite.phases)


def run_suite(run: Run, measure: Measure, *, watch: Watch, fresh: bool = False) -> BenchResult:
    """Measure what is not measured yet, and write ``out/bench.json``.

    Args:
        run: what is measured.
        measure: does one job, usually in a process of its own.
        watch: told of the progress.
        fresh: measure everything again.

    Raises:
        OctopixError: the folder cannot be written.
    """
    runner = _Runner(run, measure, watch)
    if fresh:
        runner.store.forget()
    conditions = read_conditions()
    peaks = runner.peaks()
    cells = runner.cells()
    profiles = runner.profiles(cells) if "profile" in run.suite.phases else ()
    pairs = runner.pairs(cells)
    result = BenchResult(run.name, cells, peaks, profiles, pairs, tuple(runner.notes), conditions)
    write_bench(run.out / RESULT, result)
    return result


class _Runner:
    def __init__(self, run: Run, measure: Measure, watch: Watch) -> None:
        self.notes: list[str] = []
        self.store = Store(run.out / CELLS)
        self._run, self._measure, self._watch = run, measure, watch
        self._suite = run.suite
        self._machine = _machine()
        self._hashes = {each.path: file_sha256(each.path.read_bytes()) for each in run.plan}
        self._with_picture = _first_groups(run.groups)
        self._picture = run.out / CELLS / f"{run.suite.picture}.png"
        if "end-to-end" in run.suite.phases:
            _write_photograph(self._picture, run.suite.picture)
        else:
            check_writable(run.out / CELLS)

    def peaks(self) -> tuple[Peaks, ...]:
        found = []
        for threads in self._run.threads:
            self._watch(f"peaks of the machine, {threads} thread(s)")
            with self._noting(f"the machine's peaks with {threads} thread(s)"):
                make = partial(self._measure, Summit(threads, min(PEAK_SECONDS, self._suite.seconds)))
                found.append(self._once(Peaks, f"peaks-{threads}", self._machine, make))
        return tuple(found)

    def cells(self) -> tuple[CellResult, ...]:
        found: list[CellResult] = []
        for group in self._run.groups:
            self._watch(group[0].cell.conditions)
            found += self._group(group)
        return tuple(found)

    def profiles(self, cells: Sequence[CellResult]) -> tuple[Profile, ...]:
        chosen = _slowest(cells, self._suite.slowest)
        self._watch(f"profiles of {', '.join(dict.fromkeys(cell.model for cell in chosen)) or 'nothing'}")
        paths = {each.cell: each for each in self._run.plan}
        found = []
        for cell in chosen:
            with self._noting(f"the profile of {cell.name}"):
                make = partial(self._profile, paths[cell])
                found.append(self._once(Profile, f"profile-{cell.slug}", self._made(paths[cell]), make))
        return tuple(found)

    def pairs(self, cells: Sequence[CellResult]) -> tuple[Pair, ...]:
        """Every cell that is set against another model's."""
        by_cell = {each.cell: each for each in cells if each.failure is None and each.latency is not None}
        planned = {each.cell: each for each in self._run.plan}
        found = []
        for cell, one in by_cell.items():
            beside = planned[cell].beside
            other = dataclasses.replace(cell, model=beside or cell.model)
            if other != cell and other in by_cell:
                with self._noting(f"how far {cell.name} is from {beside}"):
                    found.append(self._pair(planned[cell], planned[other], one, by_cell[other]))
        return tuple(found)

    def _pair(self, planned: Planned, other: Planned, one: CellResult, reference: CellResult) -> Pair:
        assert one.latency is not None  # `pairs` chose them so
        assert reference.latency is not None
        found: Apart = self._measure(Likeness(_subject(planned), _subject(other)))
        return Pair(
            cell=planned.cell,
            beside=other.cell.model,
            speed=reference.latency.median_ms / one.latency.median_ms,
            judgement=judge_samples(reference.latency.samples_ms, one.latency.samples_ms),
            largest_difference=found.largest,
        )

    def _profile(self, planned: Planned) -> Profile:
        answer = self._measure(Dissection(_subject(planned), MIN_SAMPLES, self._suite.seconds))
        return Profile(planned.cell, answer.operators, answer.left_out, answer.whole)

    def _group(self, group: Sequence[Planned]) -> list[CellResult]:
        """Finished cells are kept; where others of their group came to life, all are timed in turns again."""
        kept = {each.cell: self._kept(each) for each in group}
        fresh = {each.cell: self._first_run(each) for each in group if kept[each.cell] is None}
        known = {cell: found for cell, found in kept.items() if found is not None} | fresh
        alive = [each for each in group if known[each.cell].failure is None]
        if any(found.failure is None for found in fresh.values()):
            known |= self._timed(alive, known)
            for each in alive:
                if known[each.cell].failure is None:
                    self.store.keep(known[each.cell], each.cell.slug, self._made(each))
        return [known[each.cell] for each in group]

    def _kept(self, planned: Planned) -> CellResult | None:
        return self.store.kept(CellResult, planned.cell.slug, self._made(planned))

    def _first_run(self, planned: Planned) -> CellResult:
        blank = CellResult(planned.cell, self._hashes[planned.path])
        try:
            found: Probed = self._measure(Probe(_subject(planned)))
        except JobFailedError as error:
            return _failed(blank, "first run", error)
        return dataclasses.replace(
            blank,
            graph_sha256=found.graph_sha256,
            shape=found.shape,
            cost=found.cost,
            facts=found.facts,
            latency=_alone(found),
            memory=found.memory if "memory" in self._suite.phases else None,
        )

    def _timed(self, alive: Sequence[Planned], known: Mapping[Cell, CellResult]) -> dict[Cell, CellResult]:
        found = {each.cell: known[each.cell] for each in alive}
        if "latency" in self._suite.phases:
            self._race(alive, found)
        if "end-to-end" in self._suite.phases and alive[0].group in self._with_picture:
            self._errand(alive, found)
        return found

    def _race(self, alive: Sequence[Planned], found: dict[Cell, CellResult]) -> None:
        slowest = max(_first_ms(found[each.cell]) for each in alive)
        runs = _runs(self._suite, slowest)

        def job(subjects: Mapping[str, Subject]) -> Race:
            return Race(subjects, runs, self._suite.seconds)

        for cell, latency in self._together(alive, found, job, lambda answer: answer.latencies, "latency"):
            first = found[cell].latency
            assert first is not None  # the first run put it there
            warm = dataclasses.replace(latency, init_ms=first.init_ms, first_ms=first.first_ms)
            found[cell] = dataclasses.replace(found[cell], latency=warm)

    def _errand(self, alive: Sequence[Planned], found: dict[Cell, CellResult]) -> None:
        def job(subjects: Mapping[str, Subject]) -> Errand:
            return Errand(subjects, str(self._picture.resolve()), self._folder, MIN_SAMPLES, self._suite.seconds)

        living = [each for each in alive if found[each.cell].failure is None]
        for cell, delivered in self._together(living, found, job, lambda answer: answer.end_to_end, "end-to-end"):
            found[cell] = dataclasses.replace(found[cell], end_to_end=delivered)

    def _together(
        self,
        alive: Sequence[Planned],
        found: dict[Cell, CellResult],
        job: Callable[[Mapping[str, Subject]], Any],
        part: Callable[[Any], Mapping[str, Any]],
        phase: str,
    ) -> Iterable[tuple[Cell, Any]]:
        """All in one process; where that breaks, each in one of its own, so that the culprit fails alone."""
        subjects = {each.cell.slug: _subject(each) for each in alive}
        with contextlib.suppress(JobFailedError):
            answers = part(self._measure(job(subjects)))
            yield from ((each.cell, answers[each.cell.slug]) for each in alive)
            return
        self.notes.append(f"{alive[0].cell.conditions}, {phase}: timed one by one, as their common process broke")
        for each in alive:
            try:
                yield each.cell, part(self._measure(job({each.cell.slug: _subject(each)})))[each.cell.slug]
            except JobFailedError as error:
                found[each.cell] = _failed(found[each.cell], phase, error)

    @property
    def _folder(self) -> str:
        return str((self._run.out / CELLS).resolve())

    def _once(self, kind: type[Any], name: str, made: Made, make: Callable[[], Any]) -> Any:
        kept = self.store.kept(kind, name, made)
        if kept is None:
            kept = make()
            self.store.keep(kept, name, made)
        return kept

    @contextlib.contextmanager
    def _noting(self, what: str) -> Any:
        try:
            yield
        except JobFailedError as error:
            self.notes.append(f"{what} could not be measured: exit code {error.exit_code}, {error.words}")

    def _made(self, planned: Planned) -> Made:
        suite = self._suite
        settings = {"runs": suite.runs, "seconds": suite.seconds, "phases": suite.phases, "picture": suite.picture}
        return {**self._machine, **settings, "file": self._hashes[planned.path]}


def _machine() -> Made:
    runtime, _ = load_runtime()
    found = read_conditions()
    return {
        "runtime": f"{runtime} {importlib.metadata.version(runtime)}",
        **{name: getattr(found, name) for name in ("cpu", "board", "machine", "cores", "os", "octopix")},
    }


def _first_groups(groups: Sequence[Sequence[Planned]]) -> frozenset[Any]:
    """One group of each model, number of threads and delegate.

    The picture is the same whatever size the network alone is timed at: once is enough.
    """
    first: dict[Any, Any] = {}
    for group in groups:
        cell = group[0].cell
        first.setdefault((cell.model, cell.threads, cell.delegate), group[0].group)
    return frozenset(first.values())


def _subject(planned: Planned) -> Subject:
    """Paths are made whole: the process that reads them works in another folder."""
    cell, delegate = planned.cell, planned.cell.delegate
    if delegate.startswith(LIBRARY):
        delegate = LIBRARY + str(Path(delegate.removeprefix(LIBRARY)).resolve())
    return Subject(str(planned.path.resolve()), cell.height, cell.width, cell.threads, delegate)


def _failed(found: CellResult, phase: str, error: JobFailedError) -> CellResult:
    return dataclasses.replace(found, failure=Failure(phase, error.exit_code, error.words))


def _alone(found: Probed) -> Latency:
    """The first call, which stands for all until the network is timed warm; it warns of being alone."""
    samples = (found.first_ms,)
    return Latency(samples, 0, init_ms=found.init_ms, first_ms=found.first_ms, warnings=instabilities(samples))


def _first_ms(found: CellResult) -> float:
    return (found.latency.first_ms if found.latency else None) or 0.0


def _runs(suite: Suite, slowest_ms: float) -> int:
    """As many turns as the suite asks, fewer of slow networks, never fewer than can be trusted."""
    affordable = math.ceil(PATIENCE * suite.seconds * 1000 / max(slowest_ms, 1e-3))
    return max(MIN_SAMPLES, min(suite.runs, affordable))


def _slowest(cells: Sequence[CellResult], count: int) -> tuple[Cell, ...]:
    """Of the slowest models by their slowest cell: the cells of its first size, number of threads and delegate."""
    medians: dict[str, float] = {}
    groups: dict[str, tuple[Any, ...]] = {}
    for each in cells:
        if each.latency is not None and each.failure is None:
            model = each.cell.model
            groups.setdefault(model, each.cell.group)
            medians[model] = max(medians.get(model, 0.0), each.latency.median_ms)
    chosen = sorted(medians, key=lambda model: -medians[model])[:count]
    return tuple(
        each.cell
        for model in chosen
        for each in cells
        if each.cell.group == groups[model] and each.failure is None and each.cell.delegate.startswith("cpu")
    )


def _write_photograph(path: Path, size: str) -> None:
    wanted = parse_size(size)
    pixels = bicubic(builtin_ref(PHOTOGRAPH).read(), size=(wanted.height, wanted.width))
    with replacing(path) as part:
        write_picture(part, Picture(pixels=pixels))
