"""How tables look on the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Heading:
    """A column's heading; numbers stand to the right."""

    text: str
    numeric: bool


def empty_grid(title: str) -> Table:
    """A table without columns yet."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def grid(title: str, headings: Sequence[Heading], rows: Sequence[Sequence[str]]) -> Table:
    """A table of words."""
    table = empty_grid(title)
    for heading in headings:
        table.add_column(heading.text, justify="right" if heading.numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
