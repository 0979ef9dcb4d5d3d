"""Progress bars of the commands."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.suite import Stage


@contextlib.contextmanager
def progress() -> Iterator[Stage]:
    """One bar per stage, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def stage(what: str, steps: int) -> Callable[[], None]:
            task = bar.add_task(what, total=steps)
            return lambda: bar.advance(task)

        yield stage
