"""Devices side by side: each scheme on this machine and on every device, each in its fastest way."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.artifacts import FLOAT
from benchmarks.columns import NONE, fixed, times
from benchmarks.summary import INT8, Summary
from octopix.device_rows import DeviceRow
from octopix.results import QuantizeRow, Result

HOST = "this machine"
PER_DEVICE = (("median", "ms"), ("speed", "×float32"), ("how", "threads"), ("drop", "dB"), ("parity", "to host"))
"""Title and unit of what is given of each device."""


@dataclass(frozen=True)
class Place:
    """Where something was measured, and what it was."""

    name: str
    what: str


def places(result: Result, devices: Sequence[Result]) -> tuple[Place, ...]:
    """The machine of ``result`` first, then the devices."""
    machine = result.conditions.cpu or result.conditions.machine
    named = (Place(_rows(device)[0].device, _what(device)) for device in devices)
    return (Place(HOST, machine), *named)


def _what(device: Result) -> str:
    found = device.conditions
    known = ", ".join(filter(None, (found.board, found.cpu))) or found.machine
    return f"{known}; {found.os}; measured {device.created[:10]}"


def device_cells(summary: Summary, devices: Sequence[Result]) -> tuple[tuple[str, ...], ...]:
    """One row per scheme: its name, then ``PER_DEVICE`` of this machine and of each device."""
    schemes = [row.scheme for row in summary.rows if row.latency is not None]
    return tuple((scheme, *_host(summary, scheme), *_elsewhere(devices, scheme)) for scheme in schemes)


def _host(summary: Summary, scheme: str) -> tuple[str, ...]:
    row = summary.row(scheme)
    if row is None or row.latency is None:
        return (NONE,) * len(PER_DEVICE)
    return (fixed(row.latency.median_ms, 2), times(row.ratio_to_float32), _threads(row), fixed(row.drop_db, 3), NONE)


def _elsewhere(devices: Sequence[Result], scheme: str) -> list[str]:
    cells: list[str] = []
    for device in devices:
        row = _fastest(_rows(device), scheme)
        if row is None:
            cells += [NONE] * len(PER_DEVICE)
            continue
        parity = f"≤ {row.parity.largest} LSB" if row.parity.state == "within" else row.parity.state
        cells += [fixed(row.median_ms, 2), times(row.ratio_to_float32), _threads(row), fixed(row.drop_db, 3), parity]
    return cells


def _threads(row: QuantizeRow | DeviceRow) -> str:
    if row.facts is None:
        return NONE
    return f"{(row.facts.delegate_got or 'unknown').removeprefix('cpu-')}, {row.facts.threads}"


def latencies(
    summary: Summary, result: Result, devices: Sequence[Result]
) -> tuple[tuple[str, float | None, float | None], ...]:
    """(place, median ms of float32, of the fastest int8), this machine first."""
    timed = {row.scheme: row.latency.median_ms for row in summary.rows if row.latency is not None}
    here = (HOST, timed.get(FLOAT), min((ms for name, ms in timed.items() if name.startswith(INT8)), default=None))
    return (here, *(_device_latency(device) for device in devices))


def _device_latency(device: Result) -> tuple[str, float | None, float | None]:
    rows = _rows(device)
    schemes = {row.scheme for row in rows if row.scheme.startswith(INT8)}
    fastest = [found.median_ms for scheme in schemes if (found := _fastest(rows, scheme)) and found.median_ms]
    reference = _fastest(rows, FLOAT)
    return rows[0].device, reference.median_ms if reference else None, min(fastest, default=None)


def _fastest(rows: Sequence[DeviceRow], scheme: str) -> DeviceRow | None:
    timed = [row for row in rows if row.scheme == scheme and row.median_ms is not None]
    return min(timed, key=lambda row: row.median_ms or 0.0, default=None)


def _rows(device: Result) -> tuple[DeviceRow, ...]:
    return tuple(row for row in device.rows if isinstance(row, DeviceRow))
