"""Work in a process of its own: what crashes there, or takes all memory, ends nothing else; its peak is its own."""

import functools
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from octopix.conditions import peak_memory_mib

Result = TypeVar("Result")
_LONGEST = 300


@dataclass(frozen=True)
class Done(Generic[Result]):
    """What came of it."""

    value: Result | None
    """None where it failed."""
    seconds: float = 0.0
    peak_memory_mib: float | None = None
    """The most that the process held, imports included."""
    failure: str | None = None
    """Why there is no value, in one line."""


def apart(work: Callable[..., Result], *given: Any, warm: Callable[[], None] | None = None) -> Done[Result]:
    """Call ``work(*given)`` in a fresh process, silently; an error of any kind comes back as a line of text.

    Args:
        work: a function of a module, or a `functools.partial` of one.
        given: what can be pickled.
        warm: called before the clock starts: imports.
    """
    # Forked children would share the parent's threads' locks; spawned ones start clean.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_silenced) as pool:
        try:
            return pool.submit(functools.partial(_measured, work, warm), *given).result()
        except BrokenProcessPool:
            return Done(None, failure="the process died: a crash in native code, or no memory left")


def _silenced() -> None:
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, 1)
    os.dup2(void, 2)


def _measured(work: Callable[..., Result], warm: Callable[[], None] | None, *given: Any) -> Done[Result]:
    try:
        if warm is not None:
            warm()
        began = time.perf_counter()
        value = work(*given)
        return Done(value, time.perf_counter() - began, peak_memory_mib())
    except Exception as error:  # noqa: BLE001  # runtimes raise what they like; the others must go on
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Done(None, failure=text[:_LONGEST])
