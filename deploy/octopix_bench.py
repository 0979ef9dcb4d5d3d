"""Measuring with octopix itself, on this machine or on a board that has it."""

import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.artifacts import ModelFile
from deploy.bench import CPU, GPU, Job, Outputs, Timed, Way, usual_ways
from deploy.facts import LINUX, ask, conditions_of, state_of
from deploy.pictures import Sample
from deploy.remote import sha256
from deploy.target import Finished, NotGotError, StableTargetError, Target
from octopix.conditions import Conditions
from octopix.device_rows import DeviceState, ProcessTiming
from octopix.images import Array, Picture, read_picture, write_picture
from octopix.latency import Latency
from octopix.records import from_json, parse
from octopix.results import BenchRow, read_result
from octopix.runtime import RunFacts


@dataclass(frozen=True)
class OctopixBench:
    """A `Bench` on a target where the words ``octopix`` start octopix."""

    target: Target
    octopix: tuple[str, ...]
    device: str
    tool: str = "octopix bench"
    unchecked: str = ""
    _there: set[str] = field(default_factory=set)
    """Names that were pushed."""
    _seen: list[Conditions] = field(default_factory=list)
    """What octopix there said of its machine, latest last."""

    def conditions(self) -> Conditions:
        """See `Bench.conditions`."""
        return self._seen[-1] if self._seen else conditions_of(ask(self.target, LINUX))

    def state(self) -> DeviceState:
        """See `Bench.state`."""
        return state_of(ask(self.target, LINUX))

    def ways(self) -> tuple[Way, ...]:
        """See `Bench.ways`."""
        return usual_ways(self.conditions().cores)

    def time(self, file: ModelFile, way: Way, job: Job) -> Timed:
        """See `Bench.time`."""
        there = f"{secrets.token_hex(4)}.json"  # of this process only: an older result cannot be taken for it
        words = ["--warmup", str(job.warmup), "--runs", str(job.runs), "--seconds", "0", "--out", there]
        size = "x".join(map(str, job.size))
        self._octopix("bench", self._model(file), "--size", size, *words, way=way, timeout=job.timeout_s)
        with tempfile.TemporaryDirectory() as folder:
            self.target.pull(there, Path(folder) / there)
            result = read_result(Path(folder) / there)
        self.target.run(["rm", "-f", there], timeout=job.timeout_s)
        self._seen.append(result.conditions)
        row = next((each for each in result.rows if isinstance(each, BenchRow)), None)
        if row is None or row.file_sha256 != file.file_sha256:
            raise StableTargetError(
                expected=f"a measurement of {file.path.name} on {self.device}",
                got="one of another file",
                do="deploy again with nothing else writing to the folder there",
            )
        return Timed(_timing(row.latency, row.peak_memory_mib), _got(row.facts, way))

    def outputs(self, file: ModelFile, way: Way, samples: Sequence[Sample], job: Job) -> Outputs:
        """See `Bench.outputs`."""
        inputs = [self._picture(sample) for sample in samples]
        folder = f"out-{secrets.token_hex(4)}"
        words = ["run", *inputs, "--model", self._model(file), "--out", f"./{folder}", "--json"]
        done = self._octopix(*words, way=way, timeout=job.timeout_s)
        said = _said(done)
        names = [PurePosixPath(entry["output"]).name for entry in said["images"]]
        pictures = tuple(self._brought(f"{folder}/{name}") for name in names)
        self.target.run(["rm", "-r", "-f", folder], timeout=job.timeout_s)
        return Outputs(pictures, _got(from_json(RunFacts, said["facts"], where="facts"), way))

    def _model(self, file: ModelFile) -> str:
        """The file there, under a name that no shell and no option parser can mistake."""
        name = f"{file.file_sha256[:16]}.tflite"
        self._push(file.path, name)
        return f"./{name}"

    def _picture(self, sample: Sample) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sample.png"
            write_picture(path, Picture(sample.plane))
            name = f"sample-{sha256(path)[:16]}.png"
            self._push(path, name)
        return f"./{name}"

    def _push(self, path: Path, name: str) -> None:
        if name not in self._there:
            self.target.push(path, name)
            self._there.add(name)

    def _brought(self, name: str) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "output.png"
            self.target.pull(name, path)
            return read_picture(path).pixels

    def _octopix(self, *words: str, way: Way, timeout: float) -> Finished:
        command = [*self.octopix, *words, "--threads", str(way.threads), "--delegate", way.delegate]
        done = self.target.run(command, timeout=timeout)
        if done.exit_code:
            kind = StableTargetError if way.delegate == CPU else NotGotError
            raise kind(
                expected=f"`octopix {words[0]}` to succeed on {self.device}",
                got=f"exit code {done.exit_code}" + (f", saying: {_last_line(done)}" if done.words else " and no word"),
                do="mend what it says there",
                finished=done,
            )
        return done


def _last_line(done: Finished) -> str:
    """What it came down to: a usage or a traceback stands before it."""
    return done.words.splitlines()[-1]


def _said(done: Finished) -> Any:
    try:
        return parse(done.stdout)
    except ValueError as error:
        raise StableTargetError(
            expected="JSON from `octopix run --json`",
            got=done.words[:200] or "nothing",
            do="check the installation there",
            finished=done,
        ) from error


def _got(facts: RunFacts, way: Way) -> RunFacts:
    """The facts, if the GPU is where it was asked for: a fall-back is no measurement of it."""
    if way.delegate == GPU and not (facts.delegate_got or "").startswith(GPU):
        raise NotGotError(
            expected="the GPU", got=f"{facts.delegate_got or 'an unknown delegate'}", do="look at the driver there"
        )
    return facts


def _timing(latency: Latency, peak_memory_mib: float | None) -> ProcessTiming:
    return ProcessTiming(
        runs=len(latency.samples_ms),
        warmup=latency.warmup,
        median_ms=latency.median_ms,
        p95_ms=latency.p95_ms,
        min_ms=latency.min_ms,
        mean_ms=latency.mean_ms,
        init_ms=latency.init_ms,
        first_ms=latency.first_ms,
        peak_memory_mib=peak_memory_mib,
        samples_ms=latency.samples_ms,
    )
