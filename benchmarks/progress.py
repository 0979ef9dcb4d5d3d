"""Progress bars of the commands."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.suite import Stage


@contextlib.contextmanager
def progress() -> Iterator[Stage]:
    """One bar per stage, on stderr."""
    with _bars() as bars:

        def stage(what: str, steps: int) -> Callable[[], None]:
            task = bars.add_task(what, total=steps)
            return lambda: bars.advance(task)

        yield stage


@contextlib.contextmanager
def one_bar(steps: int) -> Iterator[Callable[[str], None]]:
    """One bar on stderr; the call tells what begins, which ends what was begun before."""
    with _bars() as bars:
        task = bars.add_task("", total=steps)
        begun = False

        def begin(what: str) -> None:
            nonlocal begun
            bars.update(task, description=what, advance=int(begun))
            begun = True

        yield begin


def _bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
