"""One model on one target: push it, run ``octopix bench`` there, bring the result back."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.target import Finished, StableTargetError, Target
from octopix.card import graph_sha256
from octopix.results import BenchRow, Result, read_result

RESULT_NAME = "results.json"
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Measured:
    """What came back: the result's path here, its content, and what the target printed."""

    path: Path
    result: Result
    text: str


def bench_on(
    target: Target, model: Path, *, reports: Path, options: Sequence[str] = (), timeout: float = TIMEOUT_S
) -> Measured:
    """Measure ``model`` on ``target`` and write ``reports/<run>/results.json``.

    Args:
        target: where to run.
        model: a ``.tflite``, with or without a card.
        reports: the folder that receives a folder of this run.
        options: further words for ``octopix bench``, such as ``("--threads", "2")``.
        timeout: seconds the measurement may take.

    Raises:
        TargetError: the target could not do it.
        OctopixError: what came back is no result, or not this model's.
    """
    target.push(model, model.name)
    command = (*target.octopix, "bench", model.name, *options, "--out", RESULT_NAME)
    finished = target.run(command, timeout=timeout)
    _expect_success(target, finished)
    path = reports / _run_name(target, model) / RESULT_NAME
    target.pull(RESULT_NAME, path)
    result = read_result(path)
    _expect_model(result, model)
    return Measured(path, result, finished.stdout)


def _expect_success(target: Target, finished: Finished) -> None:
    if finished.exit_code == 0:
        return
    words = (finished.stderr or finished.stdout).strip()
    raise StableTargetError(
        expected=f"`octopix bench` to succeed on {target.name}",
        got=f"exit code {finished.exit_code}" + (f", saying:\n{words}\n" if words else " and no word"),
        do="mend what it says there",
        finished=finished,
    )


def _expect_model(result: Result, model: Path) -> None:
    here = graph_sha256(model)
    there = {row.graph_sha256 for row in result.rows if isinstance(row, BenchRow)}
    if there != {here}:
        raise StableTargetError(
            expected=f"a measurement of {model.name} (graph {here[:8]})",
            got=f"one of {', '.join(sorted(each[:8] for each in there)) or 'nothing'}",
            do="remove old files from the target's folder and deploy again",
        )


def _run_name(target: Target, model: Path) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%d-%H%M%S}-deploy-{target.name}-{model.parent.name}-{model.stem}"
