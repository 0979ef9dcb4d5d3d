"""Is result B worse than result A? Row by row, with the noise of the raw samples respected.

- **Quality**: worse if PSNR falls, or the drop against float32 grows, by more than `QUALITY_DB`; better if one improves
  by as much and neither worsens. The same file on the same pictures repeats exactly on one machine; other kernels
  move int8 results by a last bit, some thousandths of a dB.
- **Time**: worse (better) if the medians differ by more than `LATENCY_SHARE` *and* the interquartile ranges of the raw
  samples do not overlap. Not judged between different or unknown CPUs, nor where a measurement warns of itself.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from octopix.conditions import Conditions
from octopix.device_rows import DeviceRow
from octopix.errors import ResultError
from octopix.latency import quantile
from octopix.results import BenchRow, ConversionSpeedRow, QuantizeRow, Result, Row, samples_of

QUALITY_DB = 0.02
LATENCY_SHARE = 0.05

Judgement = Literal["better", "same", "worse"]

_OTHER_MACHINE = ("cpu", "board", "machine")
_OTHER_TIMING = (*_OTHER_MACHINE, "cores", "governor", "os", "python", "octopix")


@dataclass(frozen=True)
class RowVerdict:
    """One row that both results have. Changes are B against A; None where a side lacks the value."""

    key: str
    judgement: Judgement
    reasons: tuple[str, ...]
    psnr_change_db: float | None
    drop_change_db: float | None
    latency_ratio: float | None
    """Median of B over median of A; above 1 is slower."""
    quality: Judgement | None
    time: Judgement | None
    """None where it is not judged."""


@dataclass(frozen=True)
class Verdict:
    """All rows, and what forbids or weakens their comparison."""

    rows: tuple[RowVerdict, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    conditions: tuple[str, ...]
    """Conditions that differ, in words."""
    time_judged: bool
    """Whether both were certainly measured on one kind of machine; a row may still not be judged."""

    @property
    def worse(self) -> bool:
        """Whether any row is worse."""
        return any(row.judgement == "worse" for row in self.rows)


def compare_results(a: Result, b: Result) -> Verdict:
    """Judge B against A, matching rows by model, scheme, threads, size and, where given, image set and protocol.

    Raises:
        ResultError: results of different kinds, a row that stands twice, or no row in common.
    """
    if a.kind != b.kind:
        raise ResultError(expected="two results of one kind", got=f"{a.kind} and {b.kind}", do="compare like with like")
    rows_a, rows_b = _by_key(a), _by_key(b)
    common = [key for key in rows_a if key in rows_b]
    if not common:
        raise ResultError(
            expected="at least one row of the same model, scheme, threads and size in both results",
            got=f"{_some(rows_a)} and {_some(rows_b)}",
            do="measure both the same way",
        )
    time_judged = _same_machine(a.conditions, b.conditions)
    return Verdict(
        rows=tuple(_judge(key, rows_a[key], rows_b[key], time_judged=time_judged) for key in common),
        only_a=tuple(key for key in rows_a if key not in rows_b),
        only_b=tuple(key for key in rows_b if key not in rows_a),
        conditions=_differences(a.conditions, b.conditions),
        time_judged=time_judged,
    )


def _some(keys: Mapping[str, Row]) -> str:
    """The first row, and how many there are; all of them would fill the terminal."""
    first = next(iter(keys), "none")
    return first if len(keys) < 2 else f"{first} ({len(keys)} rows)"


def judge_samples(a: Sequence[float], b: Sequence[float]) -> Judgement:
    """Whether samples B are slower than A: beyond `LATENCY_SHARE` in the median, with interquartile ranges apart."""
    ratio = statistics.median(b) / statistics.median(a)
    if ratio > 1 + LATENCY_SHARE and quantile(b, 0.25) > quantile(a, 0.75):
        return "worse"
    if ratio < 1 / (1 + LATENCY_SHARE) and quantile(b, 0.75) < quantile(a, 0.25):
        return "better"
    return "same"


def _judge(key: str, a: Row, b: Row, *, time_judged: bool) -> RowVerdict:
    psnr, drop = _change(a, b, "psnr_db"), _change(a, b, "drop_db")
    quality, time = _judge_quality(psnr, drop), None
    samples_a, samples_b = samples_of(a), samples_of(b)
    ratio = statistics.median(samples_b) / statistics.median(samples_a) if samples_a and samples_b else None
    warned = _warnings(a, b)
    if samples_a and samples_b and time_judged and not warned:
        time = judge_samples(samples_a, samples_b)
    parts = (quality, time)
    judgement: Judgement = "worse" if "worse" in parts else "better" if "better" in parts else "same"
    return RowVerdict(
        key=key,
        judgement=judgement,
        reasons=(*_quality_reasons(psnr, drop), *_time_reasons(ratio, time), *warned, *_fact_reasons(a, b)),
        psnr_change_db=psnr,
        drop_change_db=drop,
        latency_ratio=ratio,
        quality=quality,
        time=time,
    )


def _judge_quality(psnr: float | None, drop: float | None) -> Judgement | None:
    gains = [gain for gain in (psnr, None if drop is None else -drop) if gain is not None]
    if not gains:
        return None
    if min(gains) < -QUALITY_DB:
        return "worse"
    return "better" if max(gains) > QUALITY_DB else "same"


def _quality_reasons(psnr: float | None, drop: float | None) -> list[str]:
    changes = (("PSNR", psnr), ("drop", drop))
    return [f"{name} {change:+.3f} dB" for name, change in changes if change is not None and abs(change) > QUALITY_DB]


def _time_reasons(ratio: float | None, time: Judgement | None) -> list[str]:
    if ratio is None or time in (None, "same"):
        return []
    return [f"time ×{ratio:.2f}, beyond the noise of the samples"]


def _warnings(a: Row, b: Row) -> list[str]:
    """What the measurements say against themselves."""
    sides = (("A", getattr(a, "latency", None)), ("B", getattr(b, "latency", None)))
    return [f"time not judged: {side} {text}" for side, latency in sides if latency for text in latency.warnings]


def _fact_reasons(a: Row, b: Row) -> list[str]:
    graph_a, graph_b = getattr(a, "graph_sha256", None), getattr(b, "graph_sha256", None)
    reasons = [f"graph {graph_a[:8]} -> {graph_b[:8]}"] if graph_a and graph_b and graph_a != graph_b else []
    facts_a, facts_b = getattr(a, "facts", None), getattr(b, "facts", None)
    if facts_a is None or facts_b is None:
        return reasons
    names = ("runtime", "version", "delegate_asked", "delegate_got")
    pairs = [(name, getattr(facts_a, name), getattr(facts_b, name)) for name in names]
    return reasons + [f"{name} {old} -> {new}" for name, old, new in pairs if old != new]


def _change(a: Row, b: Row, name: str) -> float | None:
    old, new = getattr(a, name, None), getattr(b, name, None)
    if old is None or new is None:
        return None
    return 0.0 if old == new else float(new) - float(old)  # inf − inf is no number


def _by_key(result: Result) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in result.rows:
        key = _key(row)
        if key in found:
            raise ResultError(expected="each row once in a result", got=f"{key} twice", do="measure it again")
        found[key] = row
    return found


def _key(row: Row) -> str:
    parts: list[Any] = [row.model, row.scheme or "no scheme", "x".join(map(str, row.shape))]
    if isinstance(row, BenchRow | QuantizeRow | DeviceRow) and row.facts is not None:
        parts.append(f"{row.facts.threads} threads" if row.facts.threads > 1 else "1 thread")
    if isinstance(row, DeviceRow):
        parts.append(row.facts.delegate_asked)
    if isinstance(row, QuantizeRow | DeviceRow):
        parts += [row.image_set, row.protocol]
    if isinstance(row, ConversionSpeedRow):
        parts += [row.method, f"{row.images} images"]
    return " · ".join(parts)


def _same_machine(a: Conditions, b: Conditions) -> bool:
    """Nothing differs, and something is known: two boards that both hide their CPU may be any two."""
    known = any(getattr(a, name) is not None for name in ("cpu", "board"))
    return known and all(getattr(a, name) == getattr(b, name) for name in _OTHER_MACHINE)


def _differences(a: Conditions, b: Conditions) -> tuple[str, ...]:
    pairs = [(field.name, getattr(a, field.name), getattr(b, field.name)) for field in fields(Conditions)]
    return tuple(f"{name}: {old} -> {new}" for name, old, new in pairs if name in _OTHER_TIMING and old != new)
