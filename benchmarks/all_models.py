"""One page over all models: which file of each to ship, what it costs, and every model's own report, folded."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.columns import NONE, Head, fixed, shape_text, times
from benchmarks.drawing import svg
from benchmarks.material import RESULTS, Material, gather, read_quantize_result
from benchmarks.model_plots import MODEL_PLOTS
from benchmarks.page import Row, Sheet, Tile, conditions_of
from benchmarks.report import CSV, HTML, MARKDOWN, Drawn, model_report, rendered
from benchmarks.sheets import write_sheets
from benchmarks.summary import Summary
from octopix.errors import ResultError
from octopix.files import write_text

CROPS = 3
"""Of each model; its own report has them all."""
HEADS = (
    Head("model", numeric=False),
    Head("Flops", "G"),
    Head("Params", "M"),
    Head("float32", "PSNR, dB"),
    Head("int8", "PSNR, dB"),
    Head("drop", "dB"),
    Head("fidelity", "dB"),
    Head("float32", "ms"),
    Head("int8", "ms"),
    Head("speed", "×float32"),
    Head("float32", "KiB"),
    Head("int8", "KiB"),
    Head("shape"),
    Head("to ship", numeric=False),
)


@dataclass(frozen=True)
class Overview:
    """What stands above the models."""

    verdict: str
    tiles: tuple[Tile, ...]
    warnings: tuple[str, ...]
    sheet: Sheet
    conditions: tuple[tuple[str, str], ...]


def write_all(reports: Path) -> tuple[Path, ...]:
    """Write ``report.html``, ``report.md`` and ``report.csv`` over every ``<model>/results.json`` below ``reports``.

    Raises:
        ResultError: there is none, or one is damaged or of another version; the message names it.
    """
    materials = read_all(reports)
    overview = overview_of(materials)
    plots = tuple(
        Drawn(plot.name, plot.title, plot.explanation, svg(plot.draw(materials)), None)
        for plot in MODEL_PLOTS
        if plot.fits(materials)
    )
    models = [model_report(material, pictures=False, crops=CROPS) for material in materials]
    html, markdown, table = reports / HTML, reports / MARKDOWN, reports / CSV
    context = {"overview": overview, "plots": plots, "models": models}
    write_text(html, rendered("all_models.html.j2", **context))
    write_text(markdown, rendered("all_models.md.j2", **context))
    write_sheets(table, materials)
    return html, markdown, table


def read_all(reports: Path) -> tuple[Material, ...]:
    """What is known of every model below ``reports``, by name.

    Raises:
        ResultError: nothing there, or something damaged.
    """
    paths = sorted(path for path in reports.glob(f"*/{RESULTS}") if _is_models(path))
    if not paths:
        raise ResultError(
            expected=f"{reports}/<model>/{RESULTS}", got="none", do="run: make quantize MODEL=all, or name the folder"
        )
    return tuple(gather(read_quantize_result(path), path.parent) for path in paths)


def _is_models(path: Path) -> bool:
    """Folders of other commands (`make bench`, `make deploy`) hold results of other kinds under other names."""
    return not path.parent.name.endswith("-on-devices")


def overview_of(materials: Sequence[Material]) -> Overview:
    """The summary of all models."""
    summaries = [material.summary for material in materials]
    return Overview(
        verdict=_verdict(summaries),
        tiles=_tiles(summaries),
        warnings=_warnings(summaries),
        sheet=_sheet(materials),
        conditions=_conditions(materials),
    )


def _conditions(materials: Sequence[Material]) -> tuple[tuple[str, str], ...]:
    """What all models have in common; their sections hold what each has of its own."""
    each = [conditions_of(material.summary, material.result) for material in materials]
    return tuple(fact for fact in each[0] if all(fact in others for others in each))


def _drops(summaries: Sequence[Summary]) -> Mapping[str, float]:
    picked = {summary.model: summary.pick.row.drop_db for summary in summaries if summary.pick is not None}
    return {model: drop for model, drop in picked.items() if drop is not None}


def _verdict(summaries: Sequence[Summary]) -> str:
    drops = _drops(summaries)
    if not drops:
        return f"{len(summaries)} models, none of them with an int8 file that was compared with ground truth."
    worst = max(drops, key=lambda model: drops[model])
    return (
        f"int8 costs {fixed(statistics.median(drops.values()), 3)} dB in the median of {len(drops)} models, "
        f"{fixed(drops[worst], 3)} dB at most ({worst})."
    )


def _tiles(summaries: Sequence[Summary]) -> tuple[Tile, ...]:
    drops = _drops(summaries)
    rows = [summary.pick.row for summary in summaries if summary.pick is not None and summary.steady]
    ratios = [row.ratio_to_float32 for row in rows if row.ratio_to_float32 is not None]
    both = [(each.pick.row.kib, each.float_row.kib) for each in summaries if each.pick and each.float_row]
    shares = [own / whole for own, whole in both if own and whole]
    found = [Tile("Models", str(len(summaries)), "", f"{len(drops)} of them in int8")]
    if drops:
        span = f"from {fixed(min(drops.values()), 3)} to {fixed(max(drops.values()), 3)} dB"
        found.append(Tile("Drop, median", fixed(statistics.median(drops.values()), 3), "dB", span))
    if ratios:
        span = f"from {times(min(ratios))} to {times(max(ratios))}, {len(ratios)} models timed steadily"
        found.append(Tile("Speed, median", times(statistics.median(ratios)), "", span))
    if shares:
        found.append(Tile("Size, median", f"{statistics.median(shares):.0%}", "", "of float32’s file"))
    return tuple(found)


def _warnings(summaries: Sequence[Summary]) -> tuple[str, ...]:
    """What is wrong with which models; each model's own section says more."""
    quick = [each.model for each in summaries if any("--quick" in warning for warning in each.warnings)]
    unsteady = [each.model for each in summaries if not each.steady]
    without = [each.model for each in summaries if each.pick is None]
    on_test = [each.model for each in summaries if each.pick is not None and each.pick.reason]
    said = (
        ("measured or made with --quick, not for figures", quick),
        ("latency unsteady, no speed-up is claimed", unsteady),
        ("no int8 file was measured", without),
        ("chosen on test images, which flatters it", on_test),
    )
    return tuple(f"{what}: {', '.join(models)}" for what, models in said if models)


def _sheet(materials: Sequence[Material]) -> Sheet:
    rows = tuple(_row(material.summary) for material in materials)
    notes = (
        "Each model on its own test sets (unweighted mean of the sets' means) and protocol, as its section says; "
        "Flops: 2 per multiply-accumulate; latency: median of warm runs, 1 thread, at the shape given.",
        *_measured_on(materials),
    )
    return Sheet("The models", (), HEADS, rows, notes=notes)


def _row(summary: Summary) -> Row:
    pick, reference = summary.pick, summary.float_row
    row = pick.row if pick is not None else None
    one = row or reference or summary.rows[0]
    cells = (
        summary.model,
        fixed(one.flops_g, 3),
        fixed(one.params_m, 3),
        NONE if reference is None else fixed(reference.psnr_db, 3),
        NONE if row is None else fixed(row.psnr_db, 3),
        NONE if row is None else fixed(row.drop_db, 3),
        NONE if row is None else fixed(row.fidelity_db, 2),
        NONE if reference is None or reference.latency is None else fixed(reference.latency.median_ms, 2),
        NONE if row is None or row.latency is None else fixed(row.latency.median_ms, 2),
        NONE if row is None else times(row.ratio_to_float32),
        NONE if reference is None else fixed(reference.kib, 0),
        NONE if row is None else fixed(row.kib, 0),
        shape_text(one.shape),
        NONE if row is None else row.scheme,
    )
    return Row(cells, "plain", link=f"#model-{summary.model}")


def _measured_on(materials: Sequence[Material]) -> tuple[str, ...]:
    """Machines and dates, each with its models where there are several."""
    found: dict[str, list[str]] = {}
    for material in materials:
        conditions = material.result.conditions
        what = f"{conditions.cpu or conditions.machine}, octopix {conditions.octopix}, {material.result.created[:10]}"
        found.setdefault(what, []).append(material.summary.model)
    if len(found) == 1:
        return tuple(f"All measured on {what}." for what in found)
    return tuple(f"Measured on {what}: {', '.join(models)}." for what, models in found.items())
