"""The table on the terminal. Piped, it has its full width and no colours."""

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.columns import MAIN, PER_SET, SCHEME, Column
from benchmarks.grid import empty_grid
from benchmarks.suite import rows_by_set
from benchmarks.summary import Summary, caption, heading, quantize_rows, summarise, verdict
from octopix.results import QuantizeRow, Result

PIPED_WIDTH = 160
CAPTION_WIDTH = 110


def console_for(stream: TextIO) -> Console:
    """A console that never cuts columns in a pipe, where rich would assume 80."""
    return Console(file=stream) if stream.isatty() else Console(file=stream, width=PIPED_WIDTH)


def show(result: Result, console: Console) -> None:
    """Print a result of kind ``quantize``: all sets together, then each set where there are several."""
    summary = summarise(result)
    console.print()
    console.print(main_table(summary))
    if len(summary.sets) > 1:
        console.print()
        console.print(per_set_table(summary, rows_by_set(quantize_rows(result))))
    console.print()
    width = min(CAPTION_WIDTH, console.width)
    console.print(Text(caption(summary, result), style="dim"), width=width)
    for warning in summary.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"), width=width)
    console.print(Text(verdict(summary), style="bold"), width=width)


def main_table(summary: Summary) -> Table:
    """Every column, over all sets."""
    table = empty_grid(f"{summary.model} · {heading(summary, summary.rows[0].image_set)}")
    for column in MAIN:
        _add(table, _heading(column), column)
    picked = summary.pick.row.scheme if summary.pick else None
    for row in summary.rows:
        table.add_row(*(column.text(row) for column in MAIN), style="bold" if row.scheme == picked else "")
    return table


def per_set_table(summary: Summary, sets: Mapping[str, tuple[QuantizeRow, ...]]) -> Table:
    """PSNR, SSIM and drop on each set."""
    table = empty_grid("each set: PSNR and drop in dB")
    _add(table, "\nscheme", SCHEME)
    for name in sets:
        for place, column in enumerate(PER_SET):
            _add(table, f"{name if place == 0 else ''}\n{column.title}", column)
    for place, row in enumerate(summary.rows):
        cells = (column.text(rows[place]) for rows in sets.values() for column in PER_SET)
        table.add_row(row.scheme, *cells)
    return table


def _add(table: Table, heading: str, column: Column) -> None:
    table.add_column(heading, justify="right" if column.numeric else "left", no_wrap=True)


def _heading(column: Column) -> str:
    return f"{column.title}\n{column.unit}"
