"""Measuring on a phone with ``benchmark_model``, which needs no Python there. Its results are those of a native shell.

Latency, memory and pictures are separate processes, since watching one disturbs another.
"""

import hashlib
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from deploy.artifacts import ModelFile
from deploy.bench import CPU, GPU, Job, Outputs, Timed, Way, usual_ways
from deploy.benchmark_log import (
    UNKNOWN_FLAGS,
    Figures,
    Flavour,
    delegate_of,
    failure,
    flags_of,
    read_result_file,
    read_text,
)
from deploy.facts import ANDROID, ask, conditions_of, state_of
from deploy.parity import XNNPACK
from deploy.pictures import Sample, network_plane
from deploy.remote import sha256
from deploy.target import Finished, NotGotError, StableTargetError, Target
from octopix.conditions import Conditions
from octopix.device_rows import DeviceState, ProcessTiming
from octopix.files import write_bytes
from octopix.fixed_size import with_input_shape
from octopix.graph import read_graph
from octopix.images import Array
from octopix.ports import decode, encode, plane_bytes
from octopix.runtime import RunFacts, Session, open_session

PROGRAM = "benchmark_model"
HELP_S = 60.0
_DUMPS = "output_filepath"
"""The flag that only the classic tool has."""
_OPTIONAL = frozenset({"result_file_path", "warmup_min_secs"})
"""Flags that older builds lack and that can be done without."""
_MEMORY_RUNS = 5


@dataclass(frozen=True)
class Tool:
    """The program on the phone."""

    flavour: Flavour
    flags: frozenset[str]
    sha256: str

    @property
    def name(self) -> str:
        """For reports."""
        return f"{PROGRAM} ({self.flavour}), native shell"


def install_tool(target: Target, program: Path) -> Tool:
    """Push ``benchmark_model`` and find out which of the two it is.

    Raises:
        StableTargetError: it does not run there, or is another program.
    """
    target.push(program, PROGRAM)
    target.run(["chmod", "755", PROGRAM], timeout=HELP_S)
    said = target.run([f"./{PROGRAM}", "--help=true"], timeout=HELP_S)
    flags = flags_of(said.stdout + said.stderr)
    if not {"graph", "num_runs", "num_threads"} <= flags:
        raise StableTargetError(
            expected=f"{program} to be a benchmark_model that runs on {target.name}",
            got=said.words or f"exit code {said.exit_code}",
            do="give the build for this phone: android_aarch64 or android_arm",
            finished=said,
        )
    return Tool("classic" if _DUMPS in flags else "litert", flags, sha256(program))


@dataclass(frozen=True)
class BenchmarkModelBench:
    """A `Bench` on a phone where the tool is installed."""

    target: Target
    tool_there: Tool
    device: str
    _there: set[str] = field(default_factory=set)
    _peaks: dict[tuple[str, Way], float | None] = field(default_factory=dict)

    @property
    def tool(self) -> str:
        """See `Bench.tool`."""
        return self.tool_there.name

    @property
    def unchecked(self) -> str:
        """See `Bench.unchecked`."""
        return "" if self.tool_there.flavour == "classic" else "LiteRT's benchmark_model cannot write its outputs"

    def conditions(self) -> Conditions:
        """See `Bench.conditions`."""
        return conditions_of(ask(self.target, ANDROID))

    def state(self) -> DeviceState:
        """See `Bench.state`."""
        return state_of(ask(self.target, ANDROID))

    def ways(self) -> tuple[Way, ...]:
        """See `Bench.ways`."""
        return usual_ways(self.conditions().cores)

    def time(self, file: ModelFile, way: Way, job: Job) -> Timed:
        """See `Bench.time`."""
        runs = {"num_runs": job.runs, "warmup_runs": job.warmup, "min_secs": 0, "warmup_min_secs": 0}
        figures, facts = self._measure(file, way, job, runs | {"max_secs": int(job.timeout_s)})
        key = (file.file_sha256, way)
        if key not in self._peaks:
            self._peaks[key] = self._peak(file, way, job)
        timing = ProcessTiming(
            runs=figures.runs or job.runs,
            warmup=figures.warmup_runs or job.warmup,
            median_ms=figures.median_ms,
            p95_ms=figures.p95_ms,
            min_ms=figures.min_ms,
            mean_ms=figures.avg_ms,
            init_ms=figures.init_ms,
            first_ms=figures.first_ms,
            peak_memory_mib=self._peaks[key],
        )
        return Timed(timing, facts)

    def outputs(self, file: ModelFile, way: Way, samples: Sequence[Sample], job: Job) -> Outputs:
        """See `Bench.outputs`."""
        session = open_session(file.path)  # knows how the tensors store values
        pictures, facts = [], None
        for sample in samples:
            tensor = encode(network_plane(sample, file.card), session)[np.newaxis]
            output, facts = self._picture(file, way, tensor, session, job)
            pictures.append(output)
        if facts is None:
            raise StableTargetError(expected="pictures to run", got="none", do="give some")
        return Outputs(tuple(pictures), facts)

    def _picture(self, file: ModelFile, way: Way, tensor: Array, session: Session, job: Job) -> tuple[Array, RunFacts]:
        """One tensor there, one picture back."""
        token = secrets.token_hex(4)
        given, taken = f"in-{token}.raw", f"out-{token}.raw"
        name = session.graph.tensors[session.graph.inputs[0]].name
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / given).write_bytes(np.ascontiguousarray(tensor).tobytes())
            self.target.push(Path(folder) / given, given)
            once: dict[str, object] = {"num_runs": 1, "min_secs": 0, "warmup_runs": 0, "warmup_min_secs": 0}
            # In this flag alone, a colon of the name is written twice.
            files = {"input_layer_value_files": f"{name.replace(':', '::')}:{given}", _DUMPS: taken}
            done = self._run(file, way, replace(job, size=tensor.shape[1:3]), once | files)
            self.target.pull(taken, Path(folder) / taken)
            stored = (Path(folder) / taken).read_bytes()
        self.target.run(["rm", "-f", given, taken], timeout=HELP_S)
        height, width = (side * (1 if file.card.enlarged else file.card.scale) for side in tensor.shape[1:3])
        shape = (height, width, file.channels)
        if len(stored) != np.prod(shape) * session.output_dtype.itemsize:
            raise StableTargetError(
                expected=f"an output of {shape} and {session.output_dtype} from {file.path.name}",
                got=f"{len(stored)} bytes",
                do="check that the file there is this model",
                finished=done,
            )
        values = np.frombuffer(stored, session.output_dtype).reshape(shape)
        return plane_bytes(decode(values, session)), self._facts(done, way)

    def _peak(self, file: ModelFile, way: Way, job: Job) -> float | None:
        """Memory, in a process of its own; None where the tool cannot tell."""
        if "report_peak_memory_footprint" not in self.tool_there.flags:
            return None
        watch = {"num_runs": _MEMORY_RUNS, "min_secs": 0, "report_peak_memory_footprint": "true"}
        figures, _ = self._measure(file, way, job, watch)
        return figures.peak_memory_mib

    def _measure(self, file: ModelFile, way: Way, job: Job, flags: Mapping[str, object]) -> tuple[Figures, RunFacts]:
        """Run the tool and read its result file, or its text where it writes none."""
        there = f"{secrets.token_hex(4)}.pb"
        done = self._run(file, way, job, {**flags, "result_file_path": there})
        facts = self._facts(done, way)
        if "result_file_path" not in self.tool_there.flags:
            return read_text(done.stdout + done.stderr), facts
        with tempfile.TemporaryDirectory() as folder:
            self.target.pull(there, Path(folder) / there)
            figures = read_result_file((Path(folder) / there).read_bytes())
        self.target.run(["rm", "-f", there], timeout=HELP_S)
        return figures, facts

    def _run(self, file: ModelFile, way: Way, job: Job, flags: Mapping[str, object]) -> Finished:
        height, width = job.size
        words = {"graph": self._model(file, job), "num_threads": way.threads, **self._delegate_flags(way), **flags}
        if self.tool_there.flavour == "classic":
            name = _input_name(file)
            words |= {"input_layer": name, "input_layer_shape": f"1,{height},{width},{file.channels}"}
        known = {name: value for name, value in words.items() if name in self.tool_there.flags or name not in _OPTIONAL}
        command = [f"./{PROGRAM}", *(f"--{name}={value}" for name, value in known.items())]
        done = self.target.run(command, timeout=job.timeout_s)
        said = done.stdout + done.stderr
        ignored = UNKNOWN_FLAGS.search(said)
        if ignored is not None:  # it goes on without them and ends with 0
            raise StableTargetError(
                expected=f"a {PROGRAM} that knows all flags it is given",
                got=f"one that ignores {ignored[1].strip()}",
                do="give a current build",
                finished=done,
            )
        if done.exit_code:
            raise self._failed(done, way)
        return done

    def _failed(self, done: Finished, way: Way) -> StableTargetError:
        kind = StableTargetError if way.delegate == CPU else NotGotError
        said = failure(done.stdout + done.stderr) or done.words
        return kind(
            expected=f"{PROGRAM} to succeed on {self.device}",
            got=f"exit code {done.exit_code}, saying: {said}",
            do="mend what it says, or try another build of it",
            finished=done,
        )

    def _delegate_flags(self, way: Way) -> Mapping[str, object]:
        if self.tool_there.flavour == "classic":
            return {"use_xnnpack": "true"} if way.delegate == CPU else {"use_gpu": "true"}
        if way.delegate == CPU:
            return {"use_cpu": "true"}
        # Without the CPU and with nothing left over, it fails instead of falling back.
        return {"use_cpu": "false", "use_gpu": "true", "require_full_delegation": "true"}

    def _facts(self, done: Finished, way: Way) -> RunFacts:
        said = delegate_of(done.stdout + done.stderr)
        got = _delegate_got(said, way, self.tool_there.flavour)
        if way.delegate == GPU and got is None:
            raise NotGotError(
                expected="the GPU",
                got="no line of the log that says so" if said is None else f"{said[0]}, {said[1]} applied",
                do="look at the log of benchmark_model there",
                finished=done,
            )
        return RunFacts(
            runtime=f"{PROGRAM}-{self.tool_there.flavour}",
            version=f"sha256:{self.tool_there.sha256[:12]}",
            delegate_asked=XNNPACK if way.delegate == CPU else GPU,
            delegate_got=got,
            threads=way.threads,
            operators=None,
            operators_delegated=None,
        )

    def _model(self, file: ModelFile, job: Job) -> str:
        """The file there. LiteRT's tool cannot resize, so it gets a copy that says the size."""
        if self.tool_there.flavour == "classic":
            return self._pushed(file.path, f"{file.file_sha256[:16]}.tflite")
        fixed = with_input_shape(file.path.read_bytes(), (1, *job.size, file.channels))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fixed.tflite"
            write_bytes(path, fixed)
            return self._pushed(path, f"{hashlib.sha256(fixed).hexdigest()[:16]}.tflite")

    def _pushed(self, path: Path, name: str) -> str:
        if name not in self._there:
            self.target.push(path, name)
            self._there.add(name)
        return name


def _input_name(file: ModelFile) -> str:
    graph = read_graph(file.path)
    return graph.tensors[graph.inputs[0]].name


def _delegate_got(said: tuple[str, str] | None, way: Way, flavour: Flavour) -> str | None:
    if way.delegate == GPU:
        if flavour == "litert":  # it would have failed
            return GPU
        return {("gpu", "completely"): GPU, ("gpu", "partially"): f"{GPU}-partly"}.get(said or ("", ""))
    if said is None or said[0] != "xnnpack":
        return None
    return "cpu-builtin" if said[1] == "not" else XNNPACK
