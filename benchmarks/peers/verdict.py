"""Whether ours wins: better PSNR than every peer's best, latency and conversion time within their limits."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.columns import fixed
from benchmarks.peers.contenders import NEAREST, OURS, RANGES
from benchmarks.peers.results import Entry, Row
from octopix.latency import MAX_SPREAD

LEAD_DB = 0.01
"""By which our PSNR must be better."""
OPENVINO_FACTOR = 1.2
"""How many times OpenVINO's latency ours may be."""
PEERS = {"tflite-converter": "TFLiteConverter", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO/NNCF"}


@dataclass(frozen=True)
class Finding:
    """One point of the verdict."""

    met: bool | None
    """None where it cannot be said."""
    text: str


def verdict(entry: Entry) -> tuple[Finding, ...]:
    """What is claimed of a network, point by point; nothing where ours was not measured."""
    ours = entry.row(OURS)
    if ours is None or ours.psnr_db is None:
        return ()
    quality = [_quality(ours, entry, group) for group in PEERS]
    latency = [
        _latency(ours, entry, "onnxruntime", 1.0),
        _latency(ours, entry, "openvino", OPENVINO_FACTOR),
    ]
    quicker = [_quicker(entry, name) for name in (NEAREST, RANGES)]
    return tuple(filter(None, (*quality, *latency, _seconds(ours, entry), *quicker)))


def best(entry: Entry, group: str) -> Row | None:
    """The int8 row of a group with the best PSNR."""
    return max(_int8(entry, group, lambda row: row.psnr_db), key=lambda row: row.psnr_db or 0.0, default=None)


def _int8(entry: Entry, group: str, figure: Callable[[Row], object]) -> Iterable[Row]:
    return (row for row in entry.rows if row.group == group and row.precision == "int8" and figure(row) is not None)


def _quality(ours: Row, entry: Entry, group: str) -> Finding | None:
    rival = best(entry, group)
    if rival is None or rival.psnr_db is None or ours.psnr_db is None:
        return None
    lead = ours.psnr_db - rival.psnr_db
    text = f"PSNR {fixed(ours.psnr_db, 3)} against {PEERS[group]}'s best {fixed(rival.psnr_db, 3)} ({rival.name})"
    return Finding(lead >= LEAD_DB, f"{text}: {fixed(lead, 3)} dB")


def _latency(ours: Row, entry: Entry, group: str, factor: float) -> Finding | None:
    rival = min(_int8(entry, group, lambda row: row.latency), key=_median, default=None)
    if rival is None or rival.latency is None or ours.latency is None:
        return None
    ratio = ours.latency.median_ms / rival.latency.median_ms
    steady = all(each.latency and each.latency.stdev_ms <= MAX_SPREAD * each.latency.mean_ms for each in (ours, rival))
    met = ratio < factor if factor == 1.0 else ratio <= factor
    said = "" if steady else "; unsteady, so nothing is claimed"
    text = f"latency {fixed(ours.latency.median_ms, 2)} ms against {rival.name}'s {fixed(rival.latency.median_ms, 2)}"
    return Finding(met if steady else None, f"{text}: {ratio:.2f}×, to be at most {factor:g}×{said}")


def _median(row: Row) -> float:
    return float("inf") if row.latency is None else row.latency.median_ms


def _seconds(ours: Row, entry: Entry) -> Finding | None:
    """Against the setting of NNCF that has the best PSNR; its fastest is named, too."""
    rival = best(entry, "openvino")
    if rival is None or rival.seconds is None or ours.seconds is None:
        return None
    fastest = min(row.seconds for row in _int8(entry, "openvino", lambda row: row.seconds) if row.seconds is not None)
    text = f"conversion {fixed(ours.seconds, 1)} s against NNCF's {fixed(rival.seconds, 1)} ({rival.name})"
    return Finding(ours.seconds < rival.seconds, f"{text}; its fastest setting {fixed(fastest, 1)}")


def _quicker(entry: Entry, name: str) -> Finding | None:
    """Whether a quicker setting of ours takes less time than NNCF's best and still leads in PSNR."""
    ours, rival = entry.row(name), best(entry, "openvino")
    if ours is None or ours.psnr_db is None or ours.seconds is None:
        return None
    if rival is None or rival.psnr_db is None or rival.seconds is None:
        return None
    lead = ours.psnr_db - rival.psnr_db
    where = f"{fixed(abs(lead), 3)} dB {'above' if lead >= 0 else 'below'} {rival.name}"
    seconds = f"conversion {fixed(ours.seconds, 1)} s against {fixed(rival.seconds, 1)}"
    met = ours.seconds < rival.seconds and lead >= LEAD_DB
    return Finding(met, f"{name.removeprefix(f'{OURS}, ')}: {seconds}, PSNR {where}")
