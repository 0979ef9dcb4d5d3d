"""One model on one target: push it, run ``octopix bench`` there, bring the result back."""

import datetime
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.target import Finished, StableTargetError, Target
from octopix.card import graph_sha256
from octopix.files import write_bytes
from octopix.results import BenchRow, Result, read_result

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
    run = _run_name(target, model)
    target.push(model, model.name)
    there = f"{run}.json"  # of this run only: an older result cannot be taken for it
    # "./", lest a name that begins with a dash be taken for an option.
    finished = target.run((*target.octopix, "bench", f"./{model.name}", *options, "--out", there), timeout=timeout)
    _expect_success(target, finished)
    with tempfile.TemporaryDirectory() as folder:
        brought = Path(folder) / there
        target.pull(there, brought)
        result = read_result(brought)
        _expect_model(result, model)
        content = brought.read_bytes()
    path = reports / run / "results.json"
    write_bytes(path, content)
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
            do="deploy again with nothing else writing to the target's folder",
        )


def _run_name(target: Target, model: Path) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%d-%H%M%S}-deploy-{target.name}-{model.parent.name}-{model.stem}"
