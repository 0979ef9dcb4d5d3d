"""What the figures mean: which int8 file to ship, what that costs and saves, and what weakens the statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.artifacts import FLOAT
from benchmarks.columns import fixed, shape_text
from benchmarks.quality import BICUBIC
from benchmarks.suite import mean_rows, rows_by_set
from octopix.results import QuantizeRow, Result

INT8 = "int8-"


@dataclass(frozen=True)
class Pick:
    """The int8 file to ship."""

    row: QuantizeRow
    """Over all sets."""
    chosen_on: Literal["validation", "test"]
    """Where its drop is the smallest. Test images only serve where a card has no validation figures."""


@dataclass(frozen=True)
class Summary:
    """One result, read."""

    model: str
    protocol: str
    sets: tuple[str, ...]
    rows: tuple[QuantizeRow, ...]
    """Over all sets, in the order of the table."""
    images: int
    left_out: tuple[str, ...]
    """Images restored without any error by some row; means leave them out."""
    pick: Pick | None
    """None where no int8 file was measured."""
    warnings: tuple[str, ...]

    def row(self, scheme: str) -> QuantizeRow | None:
        """The row of that scheme over all sets."""
        return next((row for row in self.rows if row.scheme == scheme), None)

    @property
    def float_row(self) -> QuantizeRow | None:
        """What drops and ratios refer to."""
        return self.row(FLOAT)

    @property
    def bicubic(self) -> QuantizeRow | None:
        """What a phone does without a network."""
        return self.row(BICUBIC)


def summarise(result: Result) -> Summary:
    """Read a result of kind ``quantize``."""
    rows = quantize_rows(result)
    sets, means = rows_by_set(rows), mean_rows(rows)
    per_set = [group[0].psnr_per_image for group in sets.values()]
    left_out = tuple(name for images in per_set for name, value in images.items() if value is None)
    return Summary(
        model=rows[0].model,
        protocol=rows[0].protocol,
        sets=tuple(sets),
        rows=means,
        images=sum(map(len, per_set)),
        left_out=left_out,
        pick=_pick(means),
        warnings=_warnings(means, left_out),
    )


def quantize_rows(result: Result) -> tuple[QuantizeRow, ...]:
    """The rows of a result of kind ``quantize``."""
    return tuple(row for row in result.rows if isinstance(row, QuantizeRow))


def _pick(rows: Sequence[QuantizeRow]) -> Pick | None:
    candidates = [row for row in rows if row.scheme.startswith(INT8)]
    drops = {row.scheme: _validation_drop(row) for row in candidates}
    known = {scheme: drop for scheme, drop in drops.items() if drop is not None}
    if candidates and len(known) == len(candidates):
        best = min(known, key=known.__getitem__)
        return Pick(next(row for row in candidates if row.scheme == best), "validation")
    measured = [row for row in candidates if row.drop_db is not None]
    return Pick(min(measured, key=lambda row: row.drop_db or 0.0), "test") if measured else None


def _validation_drop(row: QuantizeRow) -> float | None:
    return row.card.validation.drop if row.card is not None and row.card.validation is not None else None


def _warnings(rows: Sequence[QuantizeRow], left_out: Sequence[str]) -> tuple[str, ...]:
    """Everything a reader must know before believing a number, in few lines."""
    timed = [(row.scheme, row.latency) for row in rows if row.latency is not None]
    warnings = [set(latency.warnings) for _, latency in timed]
    shared = sorted(set.intersection(*warnings)) if warnings else []
    unsteady = [
        f"{scheme} ±{each.stdev_ms / each.mean_ms:.0%}" for scheme, each in timed if set(each.warnings) - set(shared)
    ]
    found = [f"latency, {warning}" for warning in shared]
    if unsteady:
        found.append(f"latency unsteady ({', '.join(unsteady)}): ratios hold better than milliseconds")
    if not any(row.scheme == FLOAT for row in rows):
        found.append(f"no {FLOAT}.tflite was measured, so there is no drop, no fidelity and no ratio")
    if left_out:
        found.append(f"means leave out {', '.join(left_out)}: restored without any error, so PSNR is infinite")
    return tuple(found)


def heading(summary: Summary, sets: str) -> str:
    """Image sets, number of images and protocol: what every table's title names."""
    count = "1 image" if summary.images == 1 else f"{summary.images} images"
    return f"{sets} · {count} · protocol {summary.protocol}"


def verdict(summary: Summary) -> str:
    """The first sentence of a report: what to ship, what it costs, what it saves."""
    if summary.pick is None:
        return "No int8 file was measured."
    row, reference = summary.pick.row, summary.float_row
    if reference is None or row.drop_db is None:
        return f"{row.scheme} reaches {fixed(row.psnr_db, 2)} dB; without {FLOAT} its cost is not known."
    size = f"{fixed(row.kib, 0)} KiB instead of {fixed(reference.kib, 0)}"
    return f"Ship {row.scheme}: it {_cost(row.drop_db)} and {_speed(row)}, in {size}."


def _cost(drop: float) -> str:
    if abs(drop) < 0.0005:
        return "keeps float32's PSNR"
    return f"loses {fixed(drop, 3)} dB" if drop > 0 else f"gains {fixed(-drop, 3)} dB"


def _speed(row: QuantizeRow) -> str:
    ratio = row.ratio_to_float32 or 1.0
    if ratio >= 1:
        return f"runs {fixed(ratio, 2)} times as fast as float32"
    return f"is slower than float32 here ({fixed(ratio, 2)} times its speed)"


def caption(summary: Summary, result: Result) -> str:
    """How the numbers of the table were made, in a few sentences."""
    timed = next((row for row in summary.rows if row.latency is not None and row.facts is not None), None)
    sentences = [
        f"Flops: 2 per multiply-accumulate, at {shape_text(summary.rows[0].shape)}.",
        "Drop: PSNR of float32 minus PSNR; fidelity: PSNR against float32's output; all outputs rounded to 8 bits.",
    ]
    if timed is not None and timed.latency is not None and timed.facts is not None:
        fewest = min(len(row.latency.samples_ms) for row in summary.rows if row.latency is not None)
        facts = timed.facts
        threads = "1 thread" if facts.threads == 1 else f"{facts.threads} threads"
        sentences.append(
            f"Latency: median of {fewest} warm runs each, in turns, {threads}, {facts.runtime} {facts.version} "
            f"({facts.delegate_got or 'delegate unknown'}) on {result.conditions.cpu or result.conditions.machine}."
        )
    return " ".join(sentences)
