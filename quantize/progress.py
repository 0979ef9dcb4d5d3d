"""A progress bar for what the workbench tells."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TextIO

Watch = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and out of how much."""


@contextlib.contextmanager
def progress(screen: TextIO) -> Iterator[Watch]:
    """A bar on ``screen`` for a terminal; silence elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    quiet = not screen.isatty()
    with Progress(*columns, console=Console(file=screen), transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=None)

        def watch(what: str, done: int, total: int) -> None:
            if bar.tasks[0].description != what:
                bar.reset(task, description=what, total=total or None)
            bar.update(task, completed=done)

        yield watch
