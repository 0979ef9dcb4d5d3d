"""What changed from one result to another, model by model: better, same or worse, with the noise respected.

The judgement is that of `octopix compare` (see `octopix.verdict`); here it covers whole folders of reports, gathers the
rows of each model into one verdict, and is written as a page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.columns import NONE, Head, fixed, times
from benchmarks.material import RESULTS
from benchmarks.page import Row, Sheet
from benchmarks.report import HTML, MARKDOWN, rendered
from octopix.errors import ResultError
from octopix.files import write_text
from octopix.results import Result, read_result
from octopix.verdict import LATENCY_SHARE, QUALITY_DB, Judgement, RowVerdict, Verdict, compare_results

MODEL_HEADS = (
    Head("model", numeric=False),
    Head("verdict", numeric=False),
    Head("PSNR, worst", "dB"),
    Head("drop, worst", "dB"),
    Head("time, slowest", "×base"),
    Head("rows"),
    Head("why", numeric=False),
)
ROW_HEADS = (
    Head("row", numeric=False),
    Head("verdict", numeric=False),
    Head("PSNR", "dB"),
    Head("drop", "dB"),
    Head("time", "×base"),
    Head("why", numeric=False),
)


@dataclass(frozen=True)
class ModelChange:
    """All rows of one model."""

    model: str
    judgement: Judgement
    rows: tuple[RowVerdict, ...]


@dataclass(frozen=True)
class Change:
    """All models, and what weakens or forbids their comparison."""

    models: tuple[ModelChange, ...]
    warnings: tuple[str, ...]
    title: str

    @property
    def worse(self) -> bool:
        """Whether any model is worse."""
        return any(model.judgement == "worse" for model in self.models)


def compare(base: Path, head: Path) -> Change:
    """Judge ``head`` against ``base``.

    Args:
        base: a result JSON, or a folder of reports (``<model>/results.json``).
        head: the same.

    Raises:
        ResultError: damaged, of another version, of different kinds, or with nothing in common; the message names it.
    """
    old, new = _results(base), _results(head)
    common = [name for name in old if name in new]
    if not common:
        raise ResultError(
            expected="at least one model in both folders",
            got=f"{', '.join(old)} and {', '.join(new)}",
            do="name two folders of reports, or two results of one model",
        )
    verdicts = [compare_results(old[name], new[name]) for name in common]
    rows = [row for verdict in verdicts for row in verdict.rows]
    models = dict.fromkeys(_model_of(row.key) for row in rows)
    alone = (
        *_listed("only in BASE", [name for name in old if name not in new]),
        *_listed("only in HEAD", [name for name in new if name not in old]),
    )
    return Change(
        models=tuple(_model(model, rows) for model in models),
        warnings=(*alone, *dict.fromkeys(line for verdict in verdicts for line in _said(verdict))),
        title=f"{_name(base)} → {_name(head)}",
    )


def write_change(change: Change, folder: Path) -> tuple[Path, ...]:
    """Write ``report.html`` and ``report.md`` into ``folder``; returns both."""
    context = {"change": change, "verdict": verdict_of(change), "sheets": sheets_of(change), "note": NOTE}
    html, markdown = folder / HTML, folder / MARKDOWN
    write_text(html, rendered("change.html.j2", **context))
    write_text(markdown, rendered("change.md.j2", **context))
    return html, markdown


NOTE = (
    f"Quality is worse where PSNR falls, or the drop grows, by more than {QUALITY_DB} dB. Time is worse where the "
    f"medians differ by more than {LATENCY_SHARE:.0%} and the middle halves of the raw samples lie apart; it is not "
    "judged between different machines, nor where a measurement warns of itself."
)


def verdict_of(change: Change) -> str:
    """The first sentence: what is worse, what is better."""
    parts = []
    for judgement in ("worse", "better"):
        names = [model.model for model in change.models if model.judgement == judgement]
        parts += [f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {judgement}"] if names else []
    if not parts:
        count = len(change.models)
        return f"Nothing changed beyond the noise, in {count} model{'s' * (count != 1)}."
    return f"{'; '.join(parts)}."


def sheets_of(change: Change) -> tuple[Sheet, ...]:
    """A table of the models, then one of all rows."""
    models = tuple(Row(_model_cells(model), _look(model.judgement)) for model in change.models)
    rows = tuple(Row(_row_cells(row), _look(row.judgement)) for model in change.models for row in model.rows)
    return Sheet("Models", (), MODEL_HEADS, models), Sheet("Every row", (), ROW_HEADS, rows)


def _results(path: Path) -> Mapping[str, Result]:
    """Results by name; a file, whatever it is called, is the only one."""
    if not path.is_dir():
        return {"": read_result(path)}
    found = {each.parent.name: read_result(each) for each in sorted(path.glob(f"*/{RESULTS}"))}
    own = path / RESULTS
    if own.is_file():
        found = {"": read_result(own)}
    if not found:
        raise ResultError(expected=f"{RESULTS} in {path} or its folders", got="none", do="name a report's folder")
    return found


def _name(path: Path) -> str:
    """Enough of a path to tell the two apart."""
    return "/".join(path.resolve().parts[-2:])


def _said(verdict: Verdict) -> list[str]:
    """What weakens one comparison."""
    said = [*_listed("only in BASE", verdict.only_a), *_listed("only in HEAD", verdict.only_b)]
    if verdict.conditions:
        said.append(f"measured under different conditions: {'; '.join(verdict.conditions)}")
    if not verdict.time_judged:
        said.append("times are shown but not judged: the machines differ, or are not known")
    return said


def _listed(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _model_of(key: str) -> str:
    """Keys of rows begin with their model."""
    return key.partition(" · ")[0]


def _model(model: str, rows: Sequence[RowVerdict]) -> ModelChange:
    own = tuple(row for row in rows if _model_of(row.key) == model)
    found = {row.judgement for row in own}
    judgement: Judgement = "worse" if "worse" in found else "better" if "better" in found else "same"
    return ModelChange(model, judgement, own)


def _model_cells(model: ModelChange) -> tuple[str, ...]:
    psnr = [row.psnr_change_db for row in model.rows if row.psnr_change_db is not None]
    drop = [row.drop_change_db for row in model.rows if row.drop_change_db is not None]
    ratio = [row.latency_ratio for row in model.rows if row.latency_ratio is not None]
    decisive = [row for row in model.rows if row.judgement == model.judgement and row.judgement != "same"]
    why = "; ".join(dict.fromkeys(reason for row in decisive for reason in row.reasons))
    return (
        model.model,
        model.judgement,
        _signed(min(psnr, default=None)),
        _signed(max(drop, default=None)),
        times(max(ratio, default=None)),
        str(len(model.rows)),
        why or NONE,
    )


def _row_cells(row: RowVerdict) -> tuple[str, ...]:
    changes = (_signed(row.psnr_change_db), _signed(row.drop_change_db), times(row.latency_ratio))
    return (row.key, row.judgement, *changes, "; ".join(row.reasons) or NONE)


def _signed(value: float | None) -> str:
    text = fixed(value, 3)
    return f"+{text}" if value is not None and value > 0 else text


def _look(judgement: Judgement) -> str:
    return "plain" if judgement == "same" else judgement
