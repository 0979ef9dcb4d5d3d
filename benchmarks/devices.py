"""The table of what deploy measured: one row per file and delegate of each device, float32 beside int8.

Everything comes from the ``results.json`` files that deploy wrote below one folder.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from benchmarks.artifacts import FLOAT
from benchmarks.columns import NONE, fixed, shape_text, times
from benchmarks.grid import Heading, grid
from benchmarks.material import RESULTS
from benchmarks.summary import INT8
from octopix.device_rows import DeviceRow, DeviceState
from octopix.errors import ResultError
from octopix.files import write_text
from octopix.results import Result, read_result

MAX_SPREAD = 0.25
"""Processes whose medians differ by more than this do not carry the claim of a speed-up."""


@dataclass(frozen=True)
class DeviceColumn:
    """One column."""

    title: str
    unit: str
    text: Callable[[DeviceRow], str]
    numeric: bool = True


def _delegate(row: DeviceRow) -> str:
    facts = row.facts
    got = facts.delegate_got or "unknown"
    return got if got == facts.delegate_asked else f"{got} (asked {facts.delegate_asked})"


def _parity(row: DeviceRow) -> str:
    parity = row.parity
    return parity.state if parity.state != "within" else f"≤ {parity.largest} LSB"


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.0%}"


COLUMNS: tuple[DeviceColumn, ...] = (
    DeviceColumn("scheme", "", lambda row: row.scheme, numeric=False),
    DeviceColumn("delegate", "got", _delegate, numeric=False),
    DeviceColumn("threads", "", lambda row: str(row.facts.threads)),
    DeviceColumn("Flops", "G", lambda row: fixed(row.flops_g, 3)),
    DeviceColumn("Params", "M", lambda row: fixed(row.params_m, 4)),
    DeviceColumn("size", "KiB", lambda row: fixed(row.kib, 1)),
    DeviceColumn("PSNR", "dB", lambda row: fixed(row.psnr_db, 3)),
    DeviceColumn("drop", "dB", lambda row: fixed(row.drop_db, 3)),
    DeviceColumn("parity", "to host", _parity, numeric=False),
    DeviceColumn("init", "ms", lambda row: fixed(row.init_ms, 1)),
    DeviceColumn("median", "ms", lambda row: fixed(row.median_ms, 2)),
    DeviceColumn("p95", "ms", lambda row: fixed(row.p95_ms, 2)),
    DeviceColumn("spread", "processes", lambda row: _percent(row.spread)),
    DeviceColumn("peak", "MiB", lambda row: fixed(row.peak_memory_mib, 1)),
    DeviceColumn("speed", "×float32", lambda row: times(row.ratio_to_float32)),
)


def read_devices(folder: Path) -> Mapping[Path, Result]:
    """Every result of kind ``device`` in ``folder/<device>/results.json``.

    Raises:
        ResultError: there is none, or one of another kind.
    """
    results = {path: read_result(path) for path in sorted(folder.glob(f"*/{RESULTS}"))}
    strangers = [path for path, result in results.items() if result.kind != "device"]
    if strangers or not results:
        raise ResultError(
            expected=f"results of `make deploy` below {folder}",
            got=f"{strangers[0]} of another kind" if strangers else "none",
            do="run: make deploy, make bench-pi or make bench-android",
        )
    return results


def device_rows(result: Result) -> tuple[DeviceRow, ...]:
    """The rows of a result of kind ``device``."""
    return tuple(row for row in result.rows if isinstance(row, DeviceRow))


def show_devices(results: Mapping[Path, Result], console: Console) -> None:
    """Print one table for each device, with what must be known besides."""
    for result in results.values():
        rows = device_rows(result)
        headings = [Heading(f"{column.title}\n{column.unit}", column.numeric) for column in COLUMNS]
        table = grid(title_of(result), headings, [[column.text(row) for column in COLUMNS] for row in rows])
        console.print()
        console.print(table)
        for line in (*facts_of(result), *warnings_of(result)):
            console.print(Text(line, style="dim"))
        console.print(Text(verdict_of(rows), style="bold"))


def write_device_report(results: Mapping[Path, Result], folder: Path) -> tuple[Path, ...]:
    """Write ``report.md`` and ``report.html`` of all devices into ``folder``; returns both."""
    markdown, page = folder / "report.md", folder / "report.html"
    write_text(markdown, "\n".join(_markdown(result) for result in results.values()))
    body = "\n".join(_html(result) for result in results.values())
    write_text(page, _PAGE.format(body=body))
    return markdown, page


def title_of(result: Result) -> str:
    """Model, device and what it is, shape, pictures."""
    rows = device_rows(result)
    first, conditions = rows[0], result.conditions
    what = ", ".join(filter(None, (conditions.board, conditions.cpu))) or conditions.machine
    return (
        f"{first.model} on {first.device} ({what}) · {shape_text(first.shape)} · {first.images} images of "
        f"{first.image_set} · protocol {first.protocol}"
    )


def facts_of(result: Result) -> tuple[str, ...]:
    """What the device was, before and after."""
    rows, conditions = device_rows(result), result.conditions
    first, last = rows[0], rows[-1]
    memory = NONE if conditions.memory_mib is None else f"{conditions.memory_mib:.0f} MiB"
    runtimes = dict.fromkeys(f"{row.tool}, {row.facts.runtime} {row.facts.version}" for row in rows)
    return (
        f"{conditions.os}, {conditions.machine}, {conditions.cores} cores, memory {memory}; {'; '.join(runtimes)}; "
        f"measured {result.created[:16].replace('T', ' ')} UTC",
        f"before: {_state(first.before)}",
        f"after: {_state(last.after)}",
        f"Flops: {first.flops_convention}. Latency: median over the processes' medians; processes × runs: "
        f"{len(first.processes)} × {first.processes[0].runs}, {first.processes[0].warmup} warm-up runs each. "
        "PSNR: of the device's own pictures.",
    )


def warnings_of(result: Result) -> tuple[str, ...]:
    """What a reader must know before believing a number."""
    rows = device_rows(result)
    unchecked = sorted({row.parity.reason for row in rows if row.parity.state == "unchecked"})
    unsteady = [f"{row.scheme} on {_delegate(row)}" for row in rows if not _steady(row)]
    return (
        *(f"note: {note}" for note in result.notes),
        *(f"warning: parity unchecked: {reason}" for reason in unchecked),
        *((f"warning: processes differ by more than {MAX_SPREAD:.0%}: {', '.join(unsteady)}",) * bool(unsteady)),
    )


def verdict_of(rows: Sequence[DeviceRow]) -> str:
    """The fastest checked int8 row against float32 in the same way, in one sentence."""
    checked = [row for row in rows if row.scheme.startswith(INT8) and row.parity.state != "unchecked" and row.median_ms]
    if not checked:
        return "No int8 file was measured and checked."
    best = min(checked, key=lambda row: row.median_ms or 0.0)
    where = f"{_delegate(best)}, {best.facts.threads} thread{'s' * (best.facts.threads > 1)}"
    cost = "" if best.drop_db is None else f", {fixed(best.drop_db, 3)} dB below float32"
    same_way = (best.facts.delegate_asked, best.facts.threads)
    reference = [
        row for row in rows if row.scheme == FLOAT and (row.facts.delegate_asked, row.facts.threads) == same_way
    ]
    steady = all(_steady(row) for row in [best, *reference])
    speed = f", {times(best.ratio_to_float32)} float32's speed" if steady and best.ratio_to_float32 else ""
    return f"Fastest int8: {best.scheme} on {where}: {fixed(best.median_ms, 2)} ms{speed}{cost}."


def _steady(row: DeviceRow) -> bool:
    return row.spread is None or row.spread <= MAX_SPREAD


def _state(state: DeviceState) -> str:
    def shown(value: float | None, unit: str) -> str:
        return NONE if value is None else f"{value:g}{unit}"

    return (
        f"governor {state.governor or NONE}, {shown(state.frequency_mhz, '')} of "
        f"{shown(state.frequency_max_mhz, ' MHz')}, {shown(state.temperature_c, ' °C')}, "
        f"throttling {NONE if state.throttling is None else f'{state.throttling:#x}'}, "
        f"{shown(None if state.memory_free_mib is None else round(state.memory_free_mib), ' MiB free')}"
    )


def _cells(result: Result) -> tuple[list[str], list[list[str]]]:
    headings = [f"{column.title} ({column.unit})" if column.unit else column.title for column in COLUMNS]
    return headings, [[column.text(row) for column in COLUMNS] for row in device_rows(result)]


def _markdown(result: Result) -> str:
    headings, rows = _cells(result)
    marks = ["--:" if column.numeric else "---" for column in COLUMNS]
    lines = [f"| {' | '.join(line)} |" for line in (headings, marks, *rows)]
    said = "\n".join(f"- {line}" for line in (*facts_of(result), *warnings_of(result)))
    return f"## {title_of(result)}\n\n" + "\n".join(lines) + f"\n\n**{verdict_of(device_rows(result))}**\n\n{said}\n"


def _html(result: Result) -> str:
    headings, rows = _cells(result)
    head = "".join(f"<th>{html.escape(each)}</th>" for each in headings)
    kinds = ["n" if column.numeric else "w" for column in COLUMNS]
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{html.escape(cell)}</td>' for kind, cell in zip(kinds, row, strict=True))
        + "</tr>\n"
        for row in rows
    )
    said = "".join(f"<li>{html.escape(line)}</li>" for line in (*facts_of(result), *warnings_of(result)))
    return (
        f"<h2>{html.escape(title_of(result))}</h2>\n<p><b>{html.escape(verdict_of(device_rows(result)))}</b></p>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n<ul>{said}</ul>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>octopix on devices</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
th, td {{ border-bottom: 1px solid #8884; padding: .3em .6em; white-space: nowrap }}
.n {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body><h1>octopix on devices</h1>
{body}
</body></html>
"""
