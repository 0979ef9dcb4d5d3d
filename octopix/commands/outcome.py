"""What a command hands back to the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK = 0
WORSE = 1
"""`octopix compare` found a regression."""
USER_ERROR = 2
FAULT = 70
"""A mistake in octopix itself (EX_SOFTWARE of sysexits.h)."""


@dataclass(frozen=True)
class Outcome:
    """The same result twice: ``payload`` for ``--json``, ``text`` for people."""

    payload: Mapping[str, Any]
    text: str
    exit_code: int = OK
    errors: tuple[str, ...] = ()
    """Failures that did not stop the command; shown on stderr."""
    warnings: tuple[str, ...] = ()
    """What else the user must know; shown on stderr."""


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned with spaces: numbers to the right, words to the left; None is shown as a dash."""
    cells = [list(headers), *[["–" if value is None else str(value) for value in row] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(headers))]
    right = [all(isinstance(row[column], int | float | None) for row in rows) for column in range(len(headers))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )
