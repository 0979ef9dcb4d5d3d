"""What the figures mean: which int8 file to ship, what that costs and saves, and what weakens the statement."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.artifacts import FLOAT
from benchmarks.columns import fixed, shape_text
from benchmarks.quality import BASELINES
from benchmarks.suite import QUICK, mean_rows, rows_by_set
from octopix.card import Quality, full_integer_first
from octopix.errors import ResultError
from octopix.latency import Latency
from octopix.results import QuantizeRow, Result

INT8 = "int8-"
MAX_SPREAD = 0.25
"""Standard deviation over mean of a latency above which no speed-up is claimed.

All rows run in turns, so that a common slowness leaves ratios alone: they stayed within 2 % at spreads of 11 to 16 %,
but read 2.1 to 4.6 for equal graphs at 65 to 140 %, when other programs slowed int8 and float32 unevenly.
"""
SAME_PSNR_DB = 0.001
"""Validation PSNR of the float model is one figure for all files made together; other processors may round alike."""


@dataclass(frozen=True)
class Pick:
    """The int8 file to ship."""

    row: QuantizeRow
    """Over all sets."""
    chosen_on: Literal["validation", "test"]
    """Where its drop is the smallest. Test images only serve where the cards give no common ground."""
    reason: str = ""
    """Why it was not chosen on validation, in words."""


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
    steady: bool
    """Whether every latency is firm enough to claim a speed-up by."""
    warnings: tuple[str, ...]

    @property
    def with_truth(self) -> bool:
        """Whether there was ground truth to compare with; else fidelity is all there is."""
        return all(row.psnr_db is not None for row in self.rows)

    def row(self, scheme: str) -> QuantizeRow | None:
        """The row of that scheme over all sets."""
        return next((row for row in self.rows if row.scheme == scheme), None)

    @property
    def float_row(self) -> QuantizeRow | None:
        """What drops and ratios refer to."""
        return self.row(FLOAT)

    @property
    def baseline(self) -> QuantizeRow | None:
        """What a phone does without a network."""
        return next((row for row in self.rows if row.scheme in BASELINES), None)


def summarise(result: Result) -> Summary:
    """Read a result of kind ``quantize``."""
    rows = quantize_rows(result)
    sets, means = rows_by_set(rows), mean_rows(rows)
    per_set = [group[0].psnr_per_image for group in sets.values()]
    with_truth = all(row.psnr_db is not None for row in rows)
    left_out = tuple(name for images in per_set for name, value in images.items() if value is None and with_truth)
    pick = _pick(means)
    return Summary(
        model=rows[0].model,
        protocol=rows[0].protocol,
        sets=tuple(sets),
        rows=means,
        images=sum(map(len, per_set)),
        left_out=left_out,
        pick=pick,
        steady=all(_steady(row.latency) for row in means if row.latency is not None),
        warnings=(*result.notes, *_quick_warnings(rows), *_pick_warnings(pick, means), *_warnings(means, left_out)),
    )


def quantize_rows(result: Result) -> tuple[QuantizeRow, ...]:
    """The rows of a result of kind ``quantize``."""
    return tuple(row for row in result.rows if isinstance(row, QuantizeRow))


def psnr_of(row: QuantizeRow) -> float:
    """PSNR in dB of a row that was compared with ground truth.

    Raises:
        ResultError: it was not.
    """
    if row.psnr_db is None:
        raise ResultError(
            expected=f"{row.model} compared with ground truth",
            got="fidelity alone",
            do="measure it with ground truth (--reference)",
        )
    return row.psnr_db


def _pick(rows: Sequence[QuantizeRow]) -> Pick | None:
    candidates = full_integer_first([row for row in rows if row.scheme.startswith(INT8)], lambda row: row.card)
    if any(row.psnr_db is None for row in rows):
        return _most_faithful(candidates)
    validated = [(row, row.card.validation) for row in candidates if row.card and row.card.validation]
    reason = _no_common_ground(len(candidates), [quality for _, quality in validated])
    if validated and not reason:
        return Pick(min(validated, key=lambda pair: pair[1].drop)[0], "validation")
    measured = [row for row in candidates if row.drop_db is not None]
    return Pick(min(measured, key=lambda row: row.drop_db or 0.0), "test", reason) if measured else None


def _most_faithful(candidates: Sequence[QuantizeRow]) -> Pick | None:
    """Without ground truth: by the fidelity that the cards state on the same pictures, else by what was measured."""
    stated = [(row, row.card.faithful) for row in candidates if row.card and row.card.faithful]
    if stated and len(stated) == len(candidates) and len({(each.image_set, each.images) for _, each in stated}) == 1:
        best = max(stated, key=lambda pair: math.inf if pair[1].fidelity is None else pair[1].fidelity)
        return Pick(best[0], "validation")
    measured = [row for row in candidates if row.fidelity_db is not None]
    reason = "" if len(measured) < 2 else "not every card says how faithful its file is"
    return Pick(max(measured, key=lambda row: row.fidelity_db or 0.0), "test", reason) if measured else None


def _no_common_ground(candidates: int, found: Sequence[Quality]) -> str:
    """Why these validation figures cannot choose among the candidates; empty where they can."""
    if candidates < 2:  # nothing to choose
        return ""
    if len(found) < candidates:
        return "not every card has validation figures"
    if len({(quality.image_set, quality.images, quality.protocol) for quality in found}) > 1:
        return "the files were validated on different images or protocols"
    baselines = [quality.psnr_float for quality in found]
    if baselines and max(baselines) - min(baselines) > SAME_PSNR_DB:
        return "the files were validated against different float models"
    return ""


def _steady(latency: Latency) -> bool:
    return latency.stdev_ms <= MAX_SPREAD * latency.mean_ms


def _quick_warnings(rows: Sequence[QuantizeRow]) -> tuple[str, ...]:
    measured = any(re.search(rf"\({QUICK}\b[^(]*\)$", row.image_set) for row in rows)
    made = any(row.card is not None and "made with --quick" in (row.card.training or "") for row in rows)
    return (
        *(("measured with --quick, few images and short timing: not for figures",) * measured),
        *(("files made with --quick, short training and few validation images: not for figures",) * made),
    )


def _pick_warnings(pick: Pick | None, rows: Sequence[QuantizeRow]) -> tuple[str, ...]:
    beaten = [row.scheme for row in rows if row.card is not None and "was not beaten" in (row.card.training or "")]
    chosen = [] if pick is None or not pick.reason else [f"{pick.row.scheme} was chosen on test images: {pick.reason}"]
    return (*chosen, *(f"{scheme} holds post-training's model, which training did not beat" for scheme in beaten))


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
        claim = "" if all(_steady(each) for _, each in timed) else ": no speed-up is claimed"
        found.append(f"latency unsteady ({', '.join(unsteady)}){claim}")
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
    if not summary.with_truth:
        return _verdict_by_fidelity(summary, row)
    if reference is None or row.drop_db is None:
        return f"{row.scheme} reaches {fixed(row.psnr_db, 2)} dB; without {FLOAT} its cost is not known."
    speed = f" and {_speed(row)}" if summary.steady else ""
    size = f"{fixed(row.kib, 0)} KiB instead of {fixed(reference.kib, 0)}"
    return f"Ship {row.scheme}: it {_cost(row.drop_db)}{speed}, in {size}."


def _verdict_by_fidelity(summary: Summary, row: QuantizeRow) -> str:
    speed = f", runs {fixed(row.ratio_to_float32, 2)} times as fast" * (summary.steady and bool(row.ratio_to_float32))
    return (
        f"Ship {row.scheme}: its pictures are {fixed(row.fidelity_db, 1)} dB (PSNR) from float32's{speed}, in "
        f"{fixed(row.kib, 0)} KiB. Without ground truth, what that costs in quality is not known."
    )


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
