"""The rows of one device: parity first, then times in several processes, each with the device cool and unthrottled."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deploy.artifacts import ModelFile
from deploy.bench import CPU, Bench, Job, Outputs, Timed, Way
from deploy.parity import check_parity, host_outputs
from deploy.pictures import SampleSet
from deploy.target import NotGotError, StableTargetError, TransientTargetError
from octopix.complexity import FLOPS_PER_MAC
from octopix.device_rows import DeviceRow, DeviceState, Parity
from octopix.results import Result

FLOPS_CONVENTION = "2*MAC"
FLOAT = "float32"
_CEILING = 0.99
"""A limit of the frequency below this share of what it was before is a drop, not a rounding."""

_WAITS = 12
"""Cool-downs to wait for a device that throttles."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Measuring:
    """One device and what to measure on it."""

    bench: Bench
    files: Sequence[ModelFile]
    samples: SampleSet
    job: Job
    tell: Tell = lambda _: None
    """Told what begins."""
    sleep: Callable[[float], None] = time.sleep

    def result(self) -> Result:
        """All rows: every file in every way that the device has.

        Raises:
            TargetError: the device failed, or its pictures are not the host's.
        """
        hosts = {file.card.scheme: host_outputs(file, self.samples) for file in self.files}
        rows: list[DeviceRow] = []
        notes: list[str] = []
        for way in self.bench.ways():
            try:
                rows += self._way(way, hosts)
            except NotGotError as error:
                notes.append(f"{way}: not got: {error.got}")
            except StableTargetError as error:
                if way.delegate == CPU:
                    raise
                notes.append(f"{way}: refused: expected {error.expected}, got {error.got}")
        rejected = [f"{row.scheme}, {row.facts.delegate_asked}: {why}" for row in rows for why in row.rejected]
        return Result(kind="device", rows=tuple(rows), conditions=self.bench.conditions(), notes=(*notes, *rejected))

    def _way(self, way: Way, hosts: dict[str, Outputs]) -> list[DeviceRow]:
        self.tell(f"{self.bench.device}: {way}, pictures")
        checked = [self._parity(file, way, hosts[file.card.scheme]) for file in self.files]
        before = self.bench.state()
        takes = self._processes(way)
        after = self.bench.state()
        rows = [
            self._row(file, hosts[file.card.scheme], check, take, moments=(before, after))
            for file, check, take in zip(self.files, checked, takes, strict=True)
        ]
        reference = next((row for row in rows if row.scheme == FLOAT), None)
        return [_against(row, reference) for row in rows]

    def _row(
        self,
        file: ModelFile,
        host: Outputs,
        check: tuple[Parity, float | None],
        take: "_Take",
        *,
        moments: tuple[DeviceState, DeviceState],
    ) -> DeviceRow:
        height, width = self.job.size
        return DeviceRow(
            model=file.card.model,
            scheme=file.card.scheme,
            device=self.bench.device,
            tool=self.bench.tool,
            shape=(1, height, width, file.channels),
            flops_convention=FLOPS_CONVENTION,
            flops_g=None if file.macs is None else file.macs * FLOPS_PER_MAC[FLOPS_CONVENTION] / 1e9,
            params_m=None if file.parameters is None else file.parameters / 1e6,
            kib=file.kib,
            image_set=self.samples.title,
            images=len(self.samples.samples),
            protocol=self.samples.protocol,
            psnr_db=check[1],
            host_psnr_db=self.samples.psnr_db(host.pictures),
            drop_db=None,
            parity=check[0],
            processes=tuple(each.timing for each in take.counted),
            rejected=tuple(take.rejected),
            ratio_to_float32=None,
            facts=take.counted[-1].facts,
            before=moments[0],
            after=moments[1],
            graph_sha256=file.graph_sha256,
            file_sha256=file.file_sha256,
            card=file.card,
        )

    def _parity(self, file: ModelFile, way: Way, host: Outputs) -> tuple[Parity, float | None]:
        if self.bench.unchecked:
            return Parity(state="unchecked", reason=self.bench.unchecked), None
        device = self.bench.outputs(file, way, self.samples.samples, self.job)
        parity = check_parity(file, device, host, self.samples, where=f"{self.bench.device} ({way})")
        return parity, self.samples.psnr_db(device.pictures)

    def _processes(self, way: Way) -> Sequence["_Take"]:
        """Processes of all files in turns, so that what else the device does meets them all."""
        takes = [_Take([], []) for _ in self.files]
        for turn in range(self.job.tries):
            for file, take in zip(self.files, takes, strict=True):
                if len(take.counted) < self.job.processes:
                    self.tell(f"{self.bench.device}: {way}, {file.card.scheme}, process {turn + 1}")
                    self._process(file, way, take)
        for file, take in zip(self.files, takes, strict=True):
            if not take.counted:
                raise TransientTargetError(
                    expected=f"one steady process of {self.job.tries} of {file.path.name} on {self.bench.device}",
                    got="; ".join(take.rejected),
                    do="let the device cool down, plug it in, and try again",
                )
        return takes

    def _process(self, file: ModelFile, way: Way, take: "_Take") -> None:
        self.sleep(self.job.cooldown_s * (1 + len(take.rejected)))
        before = self._cooled()
        if throttled(before):
            take.rejected.append(f"throttled before it began ({before.throttling:#x})")
            return
        timed = self.bench.time(file, way, self.job)
        why = disturbed(before, self.bench.state())
        if why:
            take.rejected.append(why)
        else:
            take.counted.append(timed)

    def _cooled(self) -> DeviceState:
        """The state once the device no longer throttles, or after some waiting."""
        state = self.bench.state()
        for _ in range(_WAITS):
            if not throttled(state):
                break
            self.sleep(self.job.cooldown_s)
            state = self.bench.state()
        return state


@dataclass(frozen=True)
class _Take:
    """Processes of one file that count, and why others do not."""

    counted: list[Timed]
    rejected: list[str]


def throttled(state: DeviceState) -> bool:
    """Whether the device slows itself down now. A Pi's higher bits only say that it once did since it was started."""
    return bool((state.throttling or 0) & 0xF)


def disturbed(before: DeviceState, after: DeviceState) -> str:
    """Why a process between these two moments does not count; empty where it does."""
    if before.throttling is not None and after.throttling is not None and after.throttling > before.throttling:
        return f"throttling rose from {before.throttling:#x} to {after.throttling:#x}"
    first, then = before.frequency_max_mhz, after.frequency_max_mhz
    if first is not None and then is not None and then < _CEILING * first:
        return f"the frequency's limit fell from {first:g} to {then:g} MHz"
    return ""


def _against(row: DeviceRow, reference: DeviceRow | None) -> DeviceRow:
    """The row with its drop and its ratio to float32's of the same way."""
    if reference is None:
        return row
    known = row.psnr_db is not None and reference.psnr_db is not None
    same = row.psnr_db == reference.psnr_db  # inf − inf is no number
    drop = None if not known else 0.0 if same else (reference.psnr_db or 0.0) - (row.psnr_db or 0.0)
    timed = row.median_ms and reference.median_ms
    ratio = reference.median_ms / row.median_ms if timed and row.median_ms and reference.median_ms else None
    return replace(row, drop_db=drop, ratio_to_float32=ratio)
