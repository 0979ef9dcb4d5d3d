"""What ``benchmark_model`` reports: its result file (binary proto2 ``BenchmarkResult``), or else its text.

Two tools share the name: the classic one of TensorFlow Lite, and the one of LiteRT's CompiledModel. Both write the same
result file; their texts differ.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from deploy.target import StableTargetError

Flavour = Literal["classic", "litert"]

UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags:\s*(.+)")
_FAILED = re.compile(r"^.*\bERROR:\s*(.+)$", re.MULTILINE)
_TIMINGS = re.compile(
    r"Inference timings in us: Init: ([^\s,]+), First inference: ([^\s,]+), "
    r"Warmup \(avg\): [^\s,]+, Inference \(avg\): ([^\s,]+)"
)
_APPLIED = re.compile(
    r"Explicitly applied (\w+) delegate, and the model graph will be "
    r"(completely|partially) executed by the delegate(?: w/ (\d+) delegate kernels)?"
)
_NOT_APPLIED = re.compile(r"Though (\w+) delegate is explicitly applied, the model graph will not be executed")
_CREATED = re.compile(r"Created TensorFlow Lite (\w+) delegate")


@dataclass(frozen=True)
class Figures:
    """Milliseconds and MiB; None where the tool did not say."""

    runs: int | None = None
    warmup_runs: int | None = None
    avg_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None
    init_ms: float | None = None
    first_ms: float | None = None
    peak_memory_mib: float | None = None


def read_result_file(content: bytes) -> Figures:
    """The figures of a result file.

    Raises:
        StableTargetError: cut off, or no such file.
    """
    try:
        messages = {number: value for number, value in _fields(content) if isinstance(value, bytes)}
        latency, memory, misc = (dict(_fields(messages.get(number, b""))) for number in (2, 3, 4))
    except (struct.error, IndexError, ValueError) as error:
        raise StableTargetError(
            expected="a BenchmarkResult of benchmark_model",
            got=f"{len(content)} bytes that are none",
            do="measure again; if it stays so, give another build of the tool",
        ) from error
    return Figures(
        runs=_count(misc, 2),
        warmup_runs=_count(misc, 3),
        avg_ms=_number(latency, 1),
        min_ms=_number(latency, 2),
        max_ms=_number(latency, 3),
        median_ms=_number(latency, 5),
        p95_ms=_number(latency, 7),
        init_ms=_number(latency, 8),
        first_ms=_number(latency, 9),
        peak_memory_mib=_number(memory, 3),
    )


def read_text(text: str) -> Figures:
    """The figures of a log, of either tool.

    Raises:
        StableTargetError: it holds no inference time.
    """
    found = _litert_text(text) if "Inference (avg):" in text and "Inference timings in us" not in text else None
    figures = found or _classic_text(text)
    if figures.avg_ms is None:
        raise StableTargetError(
            expected="inference times in the log of benchmark_model",
            got=failure(text) or "none",
            do="run it by hand on the device and mend what it says",
        )
    return figures


def failure(text: str) -> str:
    """The errors a log names, in one line; empty where there are none."""
    return "; ".join(dict.fromkeys(line.strip() for line in _FAILED.findall(text)))


def delegate_of(text: str) -> tuple[str, str] | None:
    """(delegate in lower case, ``completely``, ``partially``, ``not`` or ``created``); None where the log is silent."""
    if (applied := _APPLIED.search(text)) is not None:
        return applied[1].lower(), applied[2]
    if (spurned := _NOT_APPLIED.search(text)) is not None:
        return spurned[1].lower(), "not"
    created = _CREATED.search(text)
    return None if created is None else (created[1].lower(), "created")


def flags_of(usage: str) -> frozenset[str]:
    """Names of the flags that the tool's ``--help=true`` lists."""
    return frozenset(re.findall(r"^\s*--([A-Za-z]\w*)=", usage, re.MULTILINE))


def _classic_text(text: str) -> Figures:
    """Times are microseconds there. The last ``count=`` line is that of the timed runs."""
    counts = [dict(_pairs(line)) for line in re.findall(r"\bcount=[^\n]*", text)]
    last = counts[-1] if counts else {}
    # `count=N curr=X(all same)`: every statistic is that value.
    same = last.get("curr") if len(last) == 2 else None
    timings = _TIMINGS.search(text)
    peak = re.search(r"Overall peak memory footprint \(MB\) via periodic monitoring: (\S+)", text)
    count = last.get("count")
    return Figures(
        runs=None if count is None else int(count),
        warmup_runs=int(counts[0]["count"]) if len(counts) > 1 and "count" in counts[0] else None,
        avg_ms=_thousandth(float(timings[3])) if timings else _thousandth(last.get("avg", same)),
        min_ms=_thousandth(last.get("min", same)),
        max_ms=_thousandth(last.get("max", same)),
        median_ms=_thousandth(last.get("median", same)),
        p95_ms=_thousandth(last.get("p95", same)),
        init_ms=_thousandth(float(timings[1])) if timings else None,
        first_ms=_thousandth(float(timings[2])) if timings else None,
        peak_memory_mib=_positive(float(peak[1])) if peak else None,
    )


def _litert_text(text: str) -> Figures:
    def of(name: str) -> float | None:
        found = re.search(rf"{re.escape(name)}:\s+([\d.eE+-]+)", text)
        return float(found[1]) if found else None

    runs = re.search(r"Inference \(avg\):\s+\S+ ms \((\d+) runs\)", text)
    warmup = re.search(r"Warmup \(avg\):\s+\S+ ms \((\d+) runs\)", text)
    return Figures(
        runs=int(runs[1]) if runs else None,
        warmup_runs=int(warmup[1]) if warmup else None,
        avg_ms=of("Inference (avg)"),
        min_ms=of("Inference (min)"),
        max_ms=of("Inference (max)"),
        init_ms=of("Model initialization"),
        first_ms=of("Warmup (first)"),
        peak_memory_mib=of("Peak memory"),
    )


def _pairs(line: str) -> Iterator[tuple[str, float]]:
    for name, value in re.findall(r"(\w+)=(-?[\d.]+(?:e[+-]?\d+)?)", line):
        yield name, float(value)


def _thousandth(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def _positive(value: float | None) -> float | None:
    """Sizes that could not be read come as −1 or 0."""
    return value if value is not None and value > 0 else None


def _number(fields: Mapping[int, int | float | bytes], number: int) -> float | None:
    value = fields.get(number)
    return float(value) if isinstance(value, int | float) else None


def _count(fields: Mapping[int, int | float | bytes], number: int) -> int | None:
    value = fields.get(number)
    return int(value) if isinstance(value, int | float) else None


def _fields(content: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(field number, value) of one protocol-buffer message: the wire format's varint, 64, length and 32."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        value: int | float | bytes
        if key & 7 == 0:
            value, place = _varint(content, place)
        elif key & 7 == 1:
            (value,), place = struct.unpack_from("<d", content, place), place + 8
        elif key & 7 == 2:
            size, place = _varint(content, place)
            if place + size > len(content):
                raise ValueError("cut off")
            value, place = content[place : place + size], place + size
        elif key & 7 == 5:
            (value,), place = struct.unpack_from("<f", content, place), place + 4
        else:
            raise ValueError(f"wire type {key & 7}")
        yield key >> 3, value


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
