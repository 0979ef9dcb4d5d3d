"""Result JSON: what `octopix bench`, deploy and the benchmarks write, with raw samples and conditions, and read back.

A file is ``{"octopix_result": 1, "kind": …, "created": …, "conditions": {…}, "rows": [{…}, …]}``. Rows carry derived
values too (medians, ratios), for people; reading ignores them and derives them anew.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from octopix.card import ModelCard
from octopix.conditions import Conditions, now, read_conditions
from octopix.device_rows import DeviceRow
from octopix.errors import ResultError
from octopix.files import write_json
from octopix.latency import Latency
from octopix.records import from_json, parse
from octopix.runtime import RunFacts

RESULT_VERSION = 1
_MAGIC = "octopix_result"

Kind = Literal["bench", "quantize", "conversion-speed", "device"]


@dataclass(frozen=True)
class BenchRow:
    """One model file, timed."""

    model: str
    """The card's name, or the file's stem where there is no card."""
    scheme: str | None
    """None where there is no card."""
    shape: tuple[int, ...]
    """Input shape that was timed, batch first: (1, H, W, C)."""
    macs: int | None
    """At ``shape``; None where the graph holds an operator that octopix cannot count."""
    parameters: int | None
    kib: float
    """File size in KiB (1024 bytes)."""
    latency: Latency
    facts: RunFacts
    graph_sha256: str
    file_sha256: str
    peak_memory_mib: float | None = None
    """The most that the whole process held, imports included."""


@dataclass(frozen=True)
class QuantizeRow:
    """One line of the table of `make quantize`: one scheme of one model on one image set.

    Rows that are no network (bicubic) have None wherever a network is meant. PSNR and fidelity are in dB
    and may be ``math.inf`` (identical pictures); in JSON that is null with ``identical`` (against
    the reference) or ``identical_to_float32`` set.
    """

    model: str
    scheme: str
    image_set: str
    protocol: str
    psnr_db: float | None
    """None where there is no ground truth, as on a user's own pictures: fidelity is all there is."""
    ssim: float | None
    """None as well then."""
    shape: tuple[int, ...]
    """Network input that FLOPs and latency refer to, batch first: (1, H, W, C)."""
    flops_convention: str
    """A key of `octopix.complexity.FLOPS_PER_MAC`."""
    flops_g: float | None = None
    params_m: float | None = None
    kib: float | None = None
    drop_db: float | None = None
    """PSNR(float32) − PSNR(this), both outputs rounded to 8 bits first; positive is a loss."""
    fidelity_db: float | None = None
    """PSNR of this output against the float32 model's."""
    latency: Latency | None = None
    ratio_to_float32: float | None = None
    """Median of float32 over median of this, same run, same threads; above 1 is faster."""
    facts: RunFacts | None = None
    graph_sha256: str | None = None
    file_sha256: str | None = None
    psnr_per_image: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    """Image name -> dB; None where it is infinite in some row, so that the image counts in no row's mean."""
    ssim_per_image: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Image name -> SSIM."""
    card: ModelCard | None = None
    """What the file says of itself: calibration, validation, versions."""


@dataclass(frozen=True)
class ConversionSpeedRow:
    """One way from a Keras model in memory to ``.tflite`` bytes, timed whole."""

    model: str
    scheme: str
    method: str
    """E.g. ``octopix`` or ``TFLiteConverter``."""
    images: int
    shape: tuple[int, ...]
    """Of one calibration image, batch first."""
    samples_s: tuple[float, ...]
    """Seconds, one per repetition."""
    ratio: float | None = None
    """Median of the stock converter over median of this, same run; above 1 is faster."""


Row = BenchRow | QuantizeRow | ConversionSpeedRow | DeviceRow
RowKind = type[BenchRow] | type[QuantizeRow] | type[ConversionSpeedRow] | type[DeviceRow]

ROWS: Mapping[str, RowKind] = {
    "bench": BenchRow,
    "quantize": QuantizeRow,
    "conversion-speed": ConversionSpeedRow,
    "device": DeviceRow,
}


@dataclass(frozen=True)
class Result:
    """Rows of one kind and the conditions they were made under."""

    kind: Kind
    rows: tuple[Row, ...]
    conditions: Conditions = dataclasses.field(default_factory=read_conditions)
    created: str = dataclasses.field(default_factory=now)
    notes: tuple[str, ...] = ()
    """What a reader must know besides: rows that are missing, and why."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object, strict (no Infinity)."""
        return {
            _MAGIC: RESULT_VERSION,
            "kind": self.kind,
            "created": self.created,
            "conditions": dataclasses.asdict(self.conditions),
            **({"notes": list(self.notes)} if self.notes else {}),
            "rows": [_row_json(row) for row in self.rows],
        }


def write_result(path: Path, result: Result) -> None:
    """Write ``result`` as JSON, at once or not at all."""
    write_json(path, result.to_json())


def read_result(path: Path) -> Result:
    """Read and check a result JSON.

    Raises:
        ResultError: unreadable, not JSON, another version or kind, or a row that lacks or mistypes a field.
    """
    try:
        raw = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ResultError(expected=f"result JSON in {path}", got=str(error), do="check the path") from error
    return parse_result(raw, where=str(path))


def parse_result(raw: Any, *, where: str) -> Result:
    """Check parsed JSON and make a `Result` of it; ``where`` names it in errors."""
    version = raw.get(_MAGIC) if isinstance(raw, Mapping) else None
    if version != RESULT_VERSION:
        raise ResultError(
            expected=f"an octopix result of version {RESULT_VERSION} in {where}",
            got="JSON of another kind" if version is None else f"version {version!r}",
            do="give a file written by `octopix bench --out` or by the benchmarks of this version",
        )
    if raw.get("kind") not in ROWS or not isinstance(raw.get("rows"), list):
        raise ResultError(
            expected=f"a kind ({', '.join(ROWS)}) and a list of rows in {where}",
            got=f"kind {raw.get('kind')!r}",
            do="give a file that octopix wrote, unedited",
        )
    row_kind = ROWS[raw["kind"]]
    return Result(
        kind=raw["kind"],
        rows=tuple(_read_row(row_kind, row, f"{where} rows[{place}]") for place, row in enumerate(raw["rows"])),
        conditions=from_json(Conditions, raw.get("conditions"), where=f"{where} conditions"),
        created=str(raw.get("created", "")),
        notes=tuple(str(note) for note in raw.get("notes") or ()),
    )


def samples_of(row: Row) -> tuple[float, ...] | None:
    """The raw times of a row, in its own unit; None where nothing was timed."""
    if isinstance(row, ConversionSpeedRow):
        return row.samples_s
    if isinstance(row, DeviceRow):
        return row.samples_ms or None
    return None if row.latency is None else row.latency.samples_ms


def decibels(value: float | None, *, name: str = "psnr_db", flag: str = "identical") -> dict[str, float | bool | None]:
    """A PSNR as strict JSON: infinity becomes null with ``flag`` true, as JSON knows no Infinity."""
    identical = value is not None and math.isinf(value)
    return {name: None if identical else value, flag: identical}


def latency_json(latency: Latency) -> dict[str, Any]:
    """Raw samples and, for readers without octopix, their summary; milliseconds."""
    return dataclasses.asdict(latency) | {
        "median_ms": latency.median_ms,
        "p95_ms": latency.p95_ms,
        "min_ms": latency.min_ms,
        "mean_ms": latency.mean_ms,
        "stdev_ms": latency.stdev_ms,
    }


_DECIBELS = {"psnr_db": "identical", "fidelity_db": "identical_to_float32"}


def _row_json(row: Row) -> dict[str, Any]:
    raw = dataclasses.asdict(row)
    latency = getattr(row, "latency", None)
    if latency is not None:
        raw["latency"] = latency_json(latency)
    for name, flag in _DECIBELS.items():
        if name in raw:
            raw |= decibels(raw[name], name=name, flag=flag)
    if isinstance(row, DeviceRow):
        raw |= {name: getattr(row, name) for name in _DEVICE_DERIVED}
        raw["host_psnr_db"] = decibels(row.host_psnr_db)["psnr_db"]
    if isinstance(row, QuantizeRow):
        raw["psnr_per_image"] = {name: decibels(value)["psnr_db"] for name, value in row.psnr_per_image.items()}
    return raw


_DEVICE_DERIVED = ("median_ms", "p95_ms", "init_ms", "peak_memory_mib", "spread")


def _read_row(kind: RowKind, raw: Any, where: str) -> Row:
    if not isinstance(raw, dict):
        return from_json(kind, raw, where=where)
    infinite = {name: math.inf for name, flag in _DECIBELS.items() if raw.get(flag) is True}
    row = from_json(kind, raw | infinite, where=where)
    samples = samples_of(row)
    if samples is not None and (not samples or min(samples) <= 0):
        raise ResultError(expected=f"positive samples at {where}", got=str(list(samples)), do="measure it again")
    return row
