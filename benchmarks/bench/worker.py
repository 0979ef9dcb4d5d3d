"""The process that does one job of `make bench` and ends.

python -m benchmarks.bench.worker KIND JOB.json ANSWER.json

Whatever the runtime does to it, the run that started it goes on.
"""

import dataclasses
import sys
from pathlib import Path

from benchmarks.bench.jobs import JOBS
from octopix.exits import exit_code_of
from octopix.files import write_json
from octopix.records import from_json, parse


def main(words: list[str]) -> int:
    """Do the job; the exit code is 0, or 2 for what octopix refuses."""
    kind, job, answer = words
    return exit_code_of(lambda: _do(kind, Path(job), Path(answer)), stopped="stopped")


def _do(kind: str, job: Path, answer: Path) -> None:
    asked, do, _ = JOBS[kind]
    found = do(from_json(asked, parse(job.read_bytes()), where=job.name))
    write_json(answer, dataclasses.asdict(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
