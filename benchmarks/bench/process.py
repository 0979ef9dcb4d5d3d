"""Jobs in processes of their own: a crash, too much memory or too much time ends one job, not the run."""

import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bench.jobs import JOBS
from deploy.process import run_program
from deploy.target import Finished, TargetTimeoutError
from octopix.files import write_json
from octopix.records import from_json, parse

ROOT = Path(__file__).parents[2]
LAST_LINES = 8

Measure = Callable[[Any], Any]
"""A job of `benchmarks.bench.jobs` to its answer; raises `JobFailedError`."""


class JobFailedError(Exception):
    """A job that gave no answer: how its process ended, and the last that it said."""

    def __init__(self, exit_code: int, words: str) -> None:
        super().__init__(f"exit code {exit_code}: {words}")
        self.exit_code = exit_code
        self.words = words


def in_a_process(*, timeout: float) -> Measure:
    """Measure each job in a new process that may take ``timeout`` seconds."""

    def measure(job: Any) -> Any:
        kind, answer = next((name, answer) for name, (asked, _, answer) in JOBS.items() if type(job) is asked)
        with tempfile.TemporaryDirectory(prefix="octopix-bench-") as folder:
            asked, answered = Path(folder) / "job.json", Path(folder) / "answer.json"
            write_json(asked, dataclasses.asdict(job))
            words = [sys.executable, "-m", "benchmarks.bench.worker", kind, str(asked), str(answered)]
            _check(_finished(words, timeout))
            return from_json(answer, parse(answered.read_bytes()), where=f"the answer of {kind}")

    return measure


def _finished(words: list[str], timeout: float) -> Finished:
    try:
        return run_program(words, timeout=timeout, cwd=ROOT)
    except TargetTimeoutError as error:
        said = error.finished.words if error.finished is not None else ""
        said_last = f"ended after {timeout:g} s: too slow for this suite. {_last(said)}".strip()
        raise JobFailedError(-9, said_last) from error


def _check(finished: Finished) -> None:
    if finished.exit_code != 0:
        raise JobFailedError(finished.exit_code, _last(finished.words) or _fate(finished.exit_code))


def _last(words: str) -> str:
    return "\n".join(words.strip().splitlines()[-LAST_LINES:])


def _fate(exit_code: int) -> str:
    """Where a process died without a word."""
    return "killed, as by a system that ran out of memory" if exit_code == -9 else "nothing was said"
