"""The comparison as a table: on the terminal, and in Markdown for `benchmarks/README.md`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from benchmarks.columns import NONE, fixed, shape_text
from benchmarks.grid import Heading, grid
from benchmarks.peers.contenders import NEAREST, OURS, RANGES
from benchmarks.peers.results import Entry, Peers, Row
from benchmarks.peers.verdict import PEERS, Finding, best, verdict
from octopix.latency import MAX_SPREAD

MARKS = {True: "yes", False: "no", None: "?"}


@dataclass(frozen=True)
class Column:
    """One column of the table of a network."""

    title: str
    text: Callable[[Row, Entry], str]
    numeric: bool = True


def _ratio(row: Row, entry: Entry) -> str:
    ours = entry.row(OURS)
    if row.latency is None or ours is None or ours.latency is None:
        return NONE
    return f"{row.latency.median_ms / ours.latency.median_ms:.2f}×"


def _spread(row: Row, entry: Entry) -> str:
    return NONE if row.latency is None else f"{row.latency.stdev_ms / row.latency.mean_ms:.0%}"


def _fidelity(row: Row, entry: Entry) -> str:
    return "inf" if row.psnr_db is not None and row.fidelity_db is None else fixed(row.fidelity_db, 2)


def _memory(row: Row, entry: Entry) -> str:
    return fixed(row.peak_memory_mib, 0)


COLUMNS = (
    Column("", lambda row, entry: row.name, numeric=False),
    Column("PSNR dB", lambda row, entry: fixed(row.psnr_db, 3)),
    Column("drop dB", lambda row, entry: fixed(row.drop_db, 3)),
    Column("fidelity dB", _fidelity),
    Column("latency ms", lambda row, entry: NONE if row.latency is None else fixed(row.latency.median_ms, 2)),
    Column("spread", _spread),
    Column("× ours", _ratio),
    Column("conversion s", lambda row, entry: fixed(row.seconds, 1)),
    Column("peak MiB", _memory),
)


def show(entry: Entry, console: Console) -> None:
    """Print one network's table, what failed, and the verdict."""
    headings = [Heading(column.title, column.numeric) for column in COLUMNS]
    rows = [[column.text(row, entry) for column in COLUMNS] for row in entry.rows]
    console.print()
    console.print(grid(title(entry), headings, rows))
    for line in warnings(entry):
        console.print(Text(f"warning: {line}", style="yellow"))
    for finding in verdict(entry):
        console.print(Text(f"{MARKS[finding.met]:>4}  {finding.text}", style="" if finding.met else "bold"))


def title(entry: Entry) -> str:
    """Network, sets, protocol, calibration: what figures of a table depend on."""
    images = ", ".join(f"{name} ({count})" for name, count in entry.sets.items())
    return (
        f"{entry.model} · {images} · protocol {entry.protocol} · ours: {entry.ours} · "
        f"{entry.calibration.crops} calibration crops · {shape_text(entry.shape)}, threads: {entry.threads}"
    )


def warnings(entry: Entry) -> Iterator[str]:
    """What a reader must know before believing a number."""
    if entry.quick:
        yield "measured with --quick, few images and short timing: not for figures"
    yield from entry.notes
    for row in entry.rows:
        if row.failure is not None:
            yield f"{row.name} failed: {row.failure}"
    unsteady = [row.name for row in entry.rows if row.latency and not _steady(row)]
    if unsteady:
        yield f"latency unsteady (more than {MAX_SPREAD:.0%} of the mean): {', '.join(unsteady)}"
    shared = {warning for row in entry.rows if row.latency for warning in row.latency.warnings if "busy" in warning}
    yield from sorted(shared)


def _steady(row: Row) -> bool:
    return row.latency is None or row.latency.stdev_ms <= MAX_SPREAD * row.latency.mean_ms


def markdown(peers: Peers) -> str:
    """One line per network: drops and latencies of ours and of each peer's best, and the verdict."""
    head = [
        "network",
        "float dB",
        "octopix",
        "nearest",
        "ranges alone",
        *PEERS.values(),
        "PSNR",
        "latency ms: octopix",
        "ONNX Runtime",
        "OpenVINO",
    ]
    lines = [
        _line([*head, "conversion s: octopix", "nearest", "ranges alone", "NNCF"]),
        _line(["---", *["--:"] * (len(head) + 3)]),
    ]
    return "\n".join([*lines, *(_network(entry) for entry in peers.models.values())]) + "\n"


def _network(entry: Entry) -> str:
    ours = [entry.row(name) for name in (OURS, NEAREST, RANGES)]
    rivals, nncf = [best(entry, group) for group in PEERS], best(entry, "openvino")
    reference = entry.rows[0].psnr_db
    quality = [finding for finding in verdict(entry) if finding.text.startswith("PSNR")]
    cells = [
        f"`{entry.model}`",
        fixed(reference, 3),
        *(NONE if row is None else fixed(row.drop_db, 3) for row in (*ours, *rivals)),
        _won(quality),
        _latency(ours[:1]),
        *(_latency(each for each in entry.rows if each.group == group) for group in ("onnxruntime", "openvino")),
        *(NONE if row is None else fixed(row.seconds, 1) for row in (*ours, nncf)),
    ]
    return _line(cells)


def _won(findings: Sequence[Finding]) -> str:
    if not findings:
        return NONE
    return "best" if all(finding.met for finding in findings) else "not best"


def _latency(rows: Iterable[Row | None]) -> str:
    """Of the fastest int8 among the rows."""
    timed = [row.latency.median_ms for row in rows if row and row.precision == "int8" and row.latency]
    return fixed(min(timed), 2) if timed else NONE


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
