"""What a bench run found, on the terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from benchmarks.bench.records import BenchResult, CellResult, Pair, Peaks, Profile
from benchmarks.bench.reference import Comparison
from benchmarks.columns import NONE, fixed
from benchmarks.grid import Heading, grid

BUSY = "busy machine"
"""Begins what `octopix.latency` says of other people's work."""
MOST_OPERATORS = 8
"""Lines of a profile; the JSON has all."""


@dataclass(frozen=True)
class Figure:
    """A column of one of the tables."""

    title: str
    text: Callable[[BenchResult, CellResult], str]
    numeric: bool = True


def show(result: BenchResult, comparison: Comparison | None, console: Console) -> None:
    """Print costs, times, profiles, peaks, what the reference says, failures and warnings."""
    networks = {(each.cell.model, each.cell.scheme, each.shape): each for each in result.cells}
    console.print(_table("What the networks cost", _COSTS, result, list(networks.values())))
    console.print()
    console.print(_table("What they take", _TIMES, result, result.cells))
    for profile in result.profiles:
        console.print()
        _show_profile(profile, console)
    console.print()
    for line in _closing(result, comparison):
        console.print(line)


def _closing(result: BenchResult, comparison: Comparison | None) -> Iterator[Text]:
    for peaks in result.peaks:
        yield Text(_peaks_line(peaks), style="dim")
    yield Text(
        "int8 and float32 of one line were timed in turns. Flops: 2 per multiply-accumulate. GMAC/s in % of the "
        "machine's own peak. End to end: PNG read, restored, PNG written, per megapixel read.",
        style="dim",
    )
    yield from (Text(f"warning: {warning}", style="yellow") for warning in warnings_of(result))
    yield from (Text(_pair_line(pair), style="bold") for pair in result.pairs)
    if comparison is not None:
        yield from _comparison_lines(comparison)
    for each in result.failed:
        assert each.failure is not None  # that is what `failed` lists
        words = " ".join(each.failure.words.split())
        code = each.failure.exit_code
        yield Text(f"failed: {each.cell.name}, {each.failure.phase}: exit code {code}, {words}", style="red")


def warnings_of(result: BenchResult) -> tuple[str, ...]:
    """Cells whose times are a weak ground, one line each; and the notes."""
    found, busy = [], []
    for each in result.cells:
        warnings = each.latency.warnings if each.latency is not None and each.failure is None else ()
        busy += [warning for warning in warnings if warning.startswith(BUSY)]
        own = [warning for warning in warnings if not warning.startswith(BUSY)]
        found += [f"{each.cell.name}: {'; '.join(own)}"] if own else []
    if busy:  # the machine's fault, not a cell's: said once
        found.insert(0, f"{len(busy)} cells met a {max(busy)}")
    return (*found, *result.notes)


def _comparison_lines(comparison: Comparison) -> Iterator[Text]:
    rows, worse = comparison.rows, comparison.worse
    judged = sum(row.time is not None for row in rows)
    yield Text(f"against {comparison.reference.name}: {len(rows)} cells in common, {judged} judged", style="bold")
    for row in rows:
        if row.judgement != "same":
            style = "red" if row in worse else "green"
            yield Text(f"{row.judgement}: {row.key}: {'; '.join(row.reasons)}", style=style)
    for verdict in comparison.verdicts.values():
        if verdict.conditions:
            yield Text(f"measured under different conditions: {'; '.join(verdict.conditions)}", style="yellow")


def _table(title: str, figures: Sequence[Figure], result: BenchResult, cells: Sequence[CellResult]) -> object:
    rows = [[figure.text(result, each) for figure in figures] for each in cells]
    return grid(title, [Heading(figure.title, figure.numeric) for figure in figures], rows)


def _show_profile(profile: Profile, console: Console) -> None:
    slowest = sorted(profile.operators, key=lambda each: -each.median_ms)[:MOST_OPERATORS]
    rows = [
        [
            each.name,
            str(each.index),
            "x".join(map(str, each.shape[1:])),
            fixed(each.median_ms, 3),
            f"{100 * each.median_ms / profile.sum_ms:.1f}",
            fixed(each.macs / each.median_ms / 1e6, 1) if each.macs else NONE,
        ]
        for each in slowest
    ]
    headings = [Heading(text, place > 0) for place, text in enumerate(("operator", "#", "output", "ms", "%", "GMAC/s"))]
    console.print(Text(f"Where {profile.cell.name} spends its time", style="bold"))
    console.print(grid("", headings, rows))
    console.print(Text(_by_kind(profile), style="dim"))
    whole = profile.whole.median_ms
    share = 100 * profile.sum_ms / whole
    console.print(
        Text(
            f"operators cut out and timed alone: their sum is {profile.sum_ms:.2f} ms, the whole network takes "
            f"{whole:.2f} ms ({share:.0f} %)",
            style="dim",
        )
    )
    for line in profile.left_out:
        console.print(Text(f"warning: left out: {line}", style="yellow"))


def _by_kind(profile: Profile) -> str:
    """Shares of the sum, largest first."""
    kinds: dict[str, float] = {}
    for each in profile.operators:
        kinds[each.name] = kinds.get(each.name, 0.0) + each.median_ms
    shares = sorted(kinds.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {100 * value / profile.sum_ms:.1f} %" for name, value in shares)


def _pair_line(pair: Pair) -> str:
    noise = "within the noise" if pair.judgement == "same" else "beyond the noise of the samples"
    return (
        f"{pair.cell.name} takes {100 / pair.speed:.1f} % of the time of {pair.beside} ({noise}); "
        f"outputs differ by {pair.largest_difference:.2g} at most"
    )


def _peaks_line(peaks: Peaks) -> str:
    return (
        f"peaks with {peaks.threads} thread(s): int8 {peaks.int8_gmacs:.0f} GMAC/s, float32 {peaks.float32_gmacs:.0f} "
        f"GMAC/s, memory {peaks.gbytes_per_s:.1f} GB/s read and written"
    )


def share_of_peak(result: BenchResult, each: CellResult) -> float | None:
    """Achieved over the machine's peak for that kind of numbers, with as many threads."""
    peaks = next((peaks for peaks in result.peaks if peaks.threads == each.cell.threads), None)
    if peaks is None or each.gmacs is None or not each.cell.delegate.startswith("cpu"):
        return None
    kinds = {"int8-": peaks.int8_gmacs, "float": peaks.float32_gmacs}  # nothing is measured for other kinds
    peak = next((peak for start, peak in kinds.items() if each.cell.scheme.startswith(start)), None)
    return None if peak is None else each.gmacs / peak


def _cost(name: str, digits: int, scale: float = 1.0) -> Callable[[BenchResult, CellResult], str]:
    def text(result: BenchResult, each: CellResult) -> str:
        return NONE if each.cost is None else fixed(getattr(each.cost, name) / scale, digits)

    return text


def _latency(name: str) -> Callable[[BenchResult, CellResult], str]:
    def text(result: BenchResult, each: CellResult) -> str:
        value = None if each.latency is None else getattr(each.latency, name)
        return fixed(value, 2)

    return text


def _flops(convention: str) -> Callable[[BenchResult, CellResult], str]:
    def text(result: BenchResult, each: CellResult) -> str:
        return NONE if each.cost is None else fixed(each.cost.gflops[convention], 3)

    return text


def _percent(result: BenchResult, each: CellResult) -> str:
    share = share_of_peak(result, each)
    return NONE if share is None else f"{100 * share:.0f}"


_NAMES = (
    Figure("model", lambda _, each: each.cell.model, numeric=False),
    Figure("scheme", lambda _, each: each.cell.scheme, numeric=False),
    Figure("size", lambda _, each: f"{each.cell.height}x{each.cell.width}"),
)
_COSTS = (
    *_NAMES,
    Figure("MACs G", _cost("macs", 3, 1e9)),
    Figure("Flops G", _flops("2*MAC")),
    Figure("Flops G, 20/9", _flops("lesrcnn-table")),
    Figure("params M", _cost("parameters", 3, 1e6)),
    Figure("KiB", _cost("kib", 1)),
    Figure("FLOP/byte", _cost("intensity", 1)),
    Figure("working MiB", _cost("working_mib", 1)),
)
_TIMES = (
    *_NAMES,
    Figure("threads", lambda _, each: str(each.cell.threads)),
    Figure("delegate", lambda _, each: each.cell.delegate, numeric=False),
    Figure("init", _latency("init_ms")),
    Figure("first", _latency("first_ms")),
    Figure("median ms", _latency("median_ms")),
    Figure("p95", _latency("p95_ms")),
    Figure("speed", lambda result, each: fixed(result.speed(each), 2)),
    Figure("GMAC/s", lambda _, each: fixed(each.gmacs, 1)),
    Figure("%", _percent),
    Figure("RSS MiB", lambda _, each: fixed(each.memory.peak_rss_mib if each.memory else None, 0)),
    Figure("added", lambda _, each: fixed(each.memory.added_mib if each.memory else None, 1)),
    Figure("ms/MP", lambda _, each: fixed(each.end_to_end.ms_per_megapixel if each.end_to_end else None, 0)),
)
