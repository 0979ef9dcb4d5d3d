"""From files to rows: parity before any number, processes that count, notes on what was not to be had."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from deploy.artifacts import ModelFile
from deploy.bench import Job, Outputs, Timed, Way
from deploy.measure import Measuring, disturbed
from deploy.parity import host_outputs
from deploy.pictures import Sample, SampleSet
from deploy.target import NotGotError, StableTargetError, TransientTargetError
from octopix.conditions import Conditions, read_conditions
from octopix.device_rows import DeviceRow, DeviceState, ProcessTiming
from octopix.results import Result, parse_result
from octopix.runtime import RunFacts
from octopix.verdict import compare_results

Files = tuple[ModelFile, ...]
COOL, HOT = DeviceState(throttling=0), DeviceState(throttling=2)


@dataclass
class Scripted:
    """A device that answers what the test says. Medians: 8 ms for float32, 2 ms for the others."""

    host: dict[str, Outputs]
    unchecked: str = ""
    device: str = "scripted"
    tool: str = "a script"
    states: list[DeviceState] = field(default_factory=list)
    change: Callable[[Outputs], Outputs] = lambda outputs: outputs
    gpu: Exception | None = None
    timed: list[str] = field(default_factory=list)

    def conditions(self) -> Conditions:
        return read_conditions()

    def state(self) -> DeviceState:
        return self.states.pop(0) if self.states else COOL

    def ways(self) -> tuple[Way, ...]:
        return Way("cpu", 1), Way("gpu", 1)

    def time(self, file: ModelFile, way: Way, job: Job) -> Timed:
        self._try(way)
        self.timed.append(file.card.scheme)
        median = 8.0 if file.card.scheme == "float32" else 2.0
        timing = ProcessTiming(
            job.runs, job.warmup, median, median + 1, median, median, samples_ms=(median,) * job.runs
        )
        return Timed(timing, self._facts(way))

    def outputs(self, file: ModelFile, way: Way, samples: Sequence[Sample], job: Job) -> Outputs:
        self._try(way)
        return self.change(dataclasses.replace(self.host[file.card.scheme], facts=self._facts(way)))

    def _facts(self, way: Way) -> RunFacts:
        facts = next(iter(self.host.values())).facts
        return dataclasses.replace(facts, delegate_got="gpu", runtime="other") if way.delegate == "gpu" else facts

    def _try(self, way: Way) -> None:
        if way.delegate == "gpu" and self.gpu is not None:
            raise self.gpu


@pytest.fixture
def host(files: Files, samples: SampleSet) -> dict[str, Outputs]:
    return {file.card.scheme: host_outputs(file, samples) for file in files}


def measured(device: Scripted, files: Files, samples: SampleSet, job: Job) -> Result:
    return Measuring(device, files, samples, job, sleep=lambda _: None).result()


def rows_of(result: Result) -> list[DeviceRow]:
    return [row for row in result.rows if isinstance(row, DeviceRow)]


def test_rows_of_a_device(files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]) -> None:
    result = measured(Scripted(host), files, samples, dataclasses.replace(job, processes=2, tries=4))

    rows = rows_of(result)
    assert [(row.scheme, row.facts.delegate_got) for row in rows] == [
        ("float32", "cpu-xnnpack"),
        ("int8-ptq-minmax", "cpu-xnnpack"),
        ("float32", "gpu"),
        ("int8-ptq-minmax", "gpu"),
    ]
    assert [row.ratio_to_float32 for row in rows] == [1.0, 4.0, 1.0, 4.0]
    assert all(row.parity.state == "identical" for row in rows)
    assert [row.drop_db for row in rows[:2]] == [0.0, samples.psnr_db(host["float32"].pictures) - rows[1].psnr_db]
    assert all(row.median_ms == (8 if row.scheme == "float32" else 2) for row in rows)
    # ESPCN ×4 has 24,640 weights, each used once for every pixel of the input, and 112 biases.
    assert rows[0].flops_g == pytest.approx(2 * 24_640 * 24 * 32 / 1e9)
    assert rows[0].params_m == pytest.approx(0.024752)


def test_a_result_survives_its_json(files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]) -> None:
    result = measured(Scripted(host, gpu=NotGotError(expected="", got="no driver", do="")), files, samples, job)

    again = parse_result(json.loads(json.dumps(result.to_json())), where="memory")

    assert again == result
    assert again.notes == ("gpu: not got: no driver",)
    assert not compare_results(result, again).worse


def test_processes_take_turns(files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]) -> None:
    device = Scripted(host, gpu=NotGotError(expected="", got="", do=""))
    measured(device, files, samples, dataclasses.replace(job, processes=3, tries=6))

    assert device.timed == ["float32", "int8-ptq-minmax"] * 3


def test_a_process_on_a_hot_device_does_not_count(
    files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]
) -> None:
    states = [COOL, COOL, HOT, COOL, COOL]  # at the start; around float32's first process; int8's; …
    device = Scripted(host, states=states, gpu=NotGotError(expected="", got="", do=""))

    rows = rows_of(measured(device, files, samples, job))

    assert [row.rejected for row in rows] == [("throttling rose from 0x0 to 0x2",), ()]
    assert [len(row.processes) for row in rows] == [1, 1]


def test_a_hot_device_is_waited_for(files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]) -> None:
    waited: list[float] = []
    device = Scripted(host, states=[COOL, HOT, HOT, COOL], gpu=NotGotError(expected="", got="", do=""))

    result = Measuring(device, files, samples, dataclasses.replace(job, cooldown_s=5), sleep=waited.append).result()

    assert waited == [5, 5, 5, 5]  # before float32's process; twice since it was hot; before int8's
    assert not any(row.rejected for row in rows_of(result))


def test_what_a_pi_remembers_is_no_throttling_of_now(
    files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]
) -> None:
    past = DeviceState(throttling=0x50000)
    device = Scripted(host, states=[past] * 20, gpu=NotGotError(expected="", got="", do=""))

    assert len(rows_of(measured(device, files, samples, job))) == 2


def test_a_device_that_stays_hot_gives_no_number(
    files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]
) -> None:
    with pytest.raises(TransientTargetError, match="let the device cool down"):
        measured(Scripted(host, states=[COOL, *[COOL, HOT] * 9]), files, samples, job)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (COOL, HOT, "throttling"),
        (HOT, HOT, ""),
        (HOT, COOL, ""),
        (DeviceState(), HOT, ""),
        (DeviceState(frequency_max_mhz=2400), DeviceState(frequency_max_mhz=1800), "limit fell from 2400 to 1800 MHz"),
        (DeviceState(frequency_max_mhz=2400), DeviceState(frequency_max_mhz=2399), ""),
    ],
)
def test_what_disturbs(before: DeviceState, after: DeviceState, says: str) -> None:
    found = disturbed(before, after)

    assert says in found if says else not found


def test_pictures_that_nobody_can_check_are_said_to_be_unchecked(
    files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]
) -> None:
    rows = rows_of(measured(Scripted(host, unchecked="it cannot"), files, samples, job))

    assert {(row.parity.state, row.parity.reason, row.psnr_db, row.drop_db) for row in rows} == {
        ("unchecked", "it cannot", None, None)
    }


def _one_level_off(outputs: Outputs) -> Outputs:
    pictures = [picture.copy() for picture in outputs.pictures]
    pictures[0][0, 0, 0] ^= 1
    return dataclasses.replace(outputs, pictures=tuple(pictures))


def _noisy(outputs: Outputs) -> Outputs:
    noise = np.random.default_rng(0).integers(-3, 4, outputs.pictures[0].shape)
    pictures = [np.clip(picture + noise, 0, 255).astype(np.uint8) for picture in outputs.pictures]
    return dataclasses.replace(outputs, pictures=tuple(pictures))


def _small(outputs: Outputs) -> Outputs:
    return dataclasses.replace(outputs, pictures=tuple(picture[::4, ::4] for picture in outputs.pictures))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_one_level_off, "at most 0 LSB, mean 0 .*, got 1"),  # int8, same runtime: exact; the float row may differ by 1
        (_noisy, "LSB"),
        (_small, "pictures of"),
    ],
)
def test_other_pictures_than_the_hosts_give_no_number(
    files: Files,
    samples: SampleSet,
    job: Job,
    host: dict[str, Outputs],
    change: Callable[[Outputs], Outputs],
    says: str,
) -> None:
    device = Scripted(host, change=change)

    with pytest.raises(StableTargetError, match=says) as caught:
        measured(device, files, samples, job)

    assert "no number is reported" in str(caught.value)
    assert not device.timed


def test_a_gpu_that_computes_something_else_is_refused_and_the_cpu_reported(
    files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]
) -> None:
    def broken(outputs: Outputs) -> Outputs:
        return _noisy(_noisy(outputs)) if outputs.facts.delegate_got == "gpu" else outputs

    result = measured(Scripted(host, change=broken), files, samples, job)

    assert [row.facts.delegate_got for row in rows_of(result)] == ["cpu-xnnpack"] * 2
    assert result.notes[0].startswith("gpu: refused: expected of float32.tflite on scripted (gpu)")


def test_another_runtime_may_differ_a_little_but_not_in_psnr(
    files: Files, samples: SampleSet, job: Job, host: dict[str, Outputs]
) -> None:
    def other(outputs: Outputs) -> Outputs:
        facts = dataclasses.replace(outputs.facts, version="0.0")
        return dataclasses.replace(_one_level_off(outputs), facts=facts)

    rows = rows_of(measured(Scripted(host, change=other), files, samples, job))

    assert {(row.parity.state, row.parity.largest, row.parity.allowed_largest) for row in rows[:2]} == {
        ("within", 1, 5)
    }

    def brighter(outputs: Outputs) -> Outputs:
        moved = tuple(np.minimum(picture, 254) + np.uint8(1) for picture in outputs.pictures)
        return dataclasses.replace(other(outputs), pictures=moved)

    with pytest.raises(StableTargetError, match="the host's PSNR of"):  # one level everywhere: within 5 and mean 1
        measured(Scripted(host, change=brighter), files, samples, job)
