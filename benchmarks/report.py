"""The report of one result: plots, Markdown beside them, and one HTML page that needs nothing else.

Everything but the crops comes from ``results.json``, so a report can be made again from it
(``python -m benchmarks report``); the crops come from ``plots/crops.json`` beside it, if it is there.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.crops import Crop, crops_of
from benchmarks.page import Sheet, crop_caption, page_of
from benchmarks.plots import DARK, LIGHT, PLOTS, THEMES, render
from benchmarks.summary import summarise
from octopix.errors import ResultError
from octopix.files import write_bytes, write_text
from octopix.results import Result, read_result

TEMPLATES = Path(__file__).parent / "templates"
RESULTS, PLOT_FOLDER, CROP_LIST = "results.json", "plots", "crops.json"


@dataclass(frozen=True)
class Drawn:
    """One plot in both themes, PNG."""

    name: str
    title: str
    explanation: str
    images: Mapping[str, bytes]
    """Theme name -> PNG."""


def write_report(result: Result, folder: Path) -> tuple[Path, ...]:
    """Write ``report.html``, ``report.md`` and ``plots/*.png`` into ``folder``; returns the first two."""
    plots = draw(result)
    for plot in plots:
        write_bytes(folder / PLOT_FOLDER / f"{plot.name}.png", plot.images[LIGHT.name])
    crops = _read_crops(folder / PLOT_FOLDER)
    context = {"page": page_of(result), "plots": plots, "crops": crops, "plot_folder": PLOT_FOLDER}
    tiles = {name: (folder / PLOT_FOLDER / name).read_bytes() for crop in crops for name in crop.tiles.values()}
    html, markdown = folder / "report.html", folder / "report.md"
    write_text(html, _environment(tiles).get_template("report.html.j2").render(context))
    write_text(markdown, _environment(tiles).get_template("report.md.j2").render(context))
    return html, markdown


def rewrite_report(results: Path) -> tuple[Path, ...]:
    """Make the report beside a ``results.json`` again.

    Raises:
        ResultError: not a result of `make quantize`.
    """
    result = read_result(results)
    if result.kind != "quantize" or not result.rows:
        raise ResultError(
            expected=f"the results.json of `make quantize` at {results}",
            got=f"a result of kind {result.kind} with {len(result.rows)} rows",
            do="give reports/<model>/results.json",
        )
    return write_report(result, results.parent)


def draw(result: Result) -> tuple[Drawn, ...]:
    """All plots that this result has the figures for."""
    summary = summarise(result)
    return tuple(
        Drawn(
            plot.name,
            plot.title,
            plot.explanation,
            {theme.name: render(plot, summary, result, theme) for theme in THEMES},
        )
        for plot in PLOTS.values()
        if plot.fits(summary)
    )


def group_of(table: Sheet, place: int) -> str:
    """The heading above a column and a space, for Markdown, which has one line of headings only."""
    groups = [title for title, width in table.groups for _ in range(width)]
    return f"{groups[place]} " if groups and groups[place] else ""


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _read_crops(folder: Path) -> tuple[Crop, ...]:
    path = folder / CROP_LIST
    if not path.exists():
        return ()
    try:
        crops = crops_of(json.loads(path.read_bytes()))
    except ValueError as error:
        raise _spoilt(path, str(error)) from error
    missing = [name for crop in crops for name in crop.tiles.values() if not (folder / name).is_file()]
    if missing:
        raise _spoilt(path, f"no {missing[0]} beside it")
    return crops


def _spoilt(path: Path, got: str) -> ResultError:
    return ResultError(expected=f"a list of crops in {path}", got=got, do="measure again, or delete the list")


def _environment(tiles: Mapping[str, bytes]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    environment.globals["dark"] = DARK.name
    environment.globals["light"] = LIGHT.name
    environment.filters["data_uri"] = data_uri
    environment.filters["tile_uri"] = lambda name: data_uri(tiles[name])
    environment.filters["cell"] = lambda text: str(text).replace("|", r"\|")
    environment.filters["crop_caption"] = crop_caption
    environment.filters["group_of"] = group_of
    return environment
