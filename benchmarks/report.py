"""The report of one model: plots, Markdown and CSV beside them, and one HTML page that needs nothing else.

Everything comes from files in the report's folder and beside it (see `benchmarks.material`), so a report can be made
again without measuring: ``python -m benchmarks report``.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.crops import HEAT, Crop
from benchmarks.drawing import png, svg
from benchmarks.material import PLOT_FOLDER, Material, gather, read_quantize_result
from benchmarks.page import Page, Sheet, crop_caption, page_of
from benchmarks.plots import PLOTS
from benchmarks.sheets import write_sheets
from octopix.files import write_bytes, write_text
from octopix.results import Result

TEMPLATES = Path(__file__).parent / "templates"
HTML, MARKDOWN, CSV = "report.html", "report.md", "report.csv"


@dataclass(frozen=True)
class Drawn:
    """One plot."""

    name: str
    title: str
    explanation: str
    svg: bytes
    """For light and dark pages."""
    png: bytes | None
    """For light ones, where no page shows the SVG."""


@dataclass(frozen=True)
class ModelReport:
    """What the templates show of one model."""

    page: Page
    plots: tuple[Drawn, ...]
    crops: tuple[Crop, ...]
    pictures: Path
    """Folder of the crops."""


def write_report(result: Result, folder: Path) -> tuple[Path, ...]:
    """Write ``report.html``, ``report.md``, ``report.csv`` and ``plots/*.png`` into ``folder``.

    Returns:
        The first three.

    Raises:
        ResultError: something in the folder that belongs to the report is damaged or of another model.
    """
    material = gather(result, folder)
    model = model_report(material, pictures=True)
    for plot in model.plots:
        if plot.png is not None:
            write_bytes(folder / PLOT_FOLDER / f"{plot.name}.png", plot.png)
    html, markdown, table = folder / HTML, folder / MARKDOWN, folder / CSV
    write_text(html, rendered("report.html.j2", model=model))
    write_text(markdown, rendered("report.md.j2", model=model, plot_folder=PLOT_FOLDER))
    write_sheets(table, [material])
    return html, markdown, table


def rewrite_report(results: Path) -> tuple[Path, ...]:
    """Make the report beside a ``results.json`` again.

    Raises:
        ResultError: not a result of `make quantize`.
    """
    return write_report(read_quantize_result(results), results.parent)


def model_report(material: Material, *, pictures: bool, crops: int | None = None) -> ModelReport:
    """What there is to show.

    Args:
        material: of one model.
        pictures: draw the plots as PNG too.
        crops: at most so many.
    """
    return ModelReport(
        page=page_of(material),
        plots=draw(material, pictures=pictures),
        crops=material.crops[:crops],
        pictures=material.folder / PLOT_FOLDER,
    )


def draw(material: Material, *, pictures: bool = True) -> tuple[Drawn, ...]:
    """All plots that there are figures for."""
    found = []
    for plot in PLOTS.values():
        if plot.fits(material):
            figure = plot.draw(material)
            found.append(Drawn(plot.name, plot.title, plot.explanation, svg(figure), png(figure) if pictures else None))
    return tuple(found)


def rendered(template: str, **context: Any) -> str:
    """A page."""
    return _environment().get_template(template).render(context)


def group_of(table: Sheet, place: int) -> str:
    """The heading above a column and a space, for Markdown, which has one line of headings only."""
    groups = [title for title, width in table.groups for _ in range(width)]
    return f"{groups[place]} " if groups and groups[place] else ""


def crop_note(crops: Sequence[Crop]) -> str:
    """What the tiles of all crops are."""
    first = crops[0]
    order = "" if first.drop_db is None else " from the largest to the smallest drop"
    note = f"Of each set, images{order}, each cut where {first.scheme} differs most from float32."
    if HEAT not in first.tiles:
        return f"{note} The last tile is that difference in luma, {first.gain} times amplified; mid-grey is none."
    return f"{note} The heat map is that difference in luma: black is none, yellow {brightest(first)} levels or more."


def brightest(crop: Crop) -> int:
    """Grey levels of difference from which the heat map is brightest."""
    return -(-255 // crop.gain)


def _uri(content: bytes, kind: str) -> str:
    """An address that holds the picture itself."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    environment.globals["script"] = Markup((TEMPLATES / "report.js").read_text(encoding="utf-8"))
    environment.filters["svg_uri"] = lambda content: _uri(content, "svg+xml")
    environment.filters["tile_uri"] = lambda place: _uri((place[0] / place[1]).read_bytes(), "png")
    environment.filters["cell"] = lambda text: str(text).replace("|", r"\|")
    environment.filters["crop_caption"] = crop_caption
    environment.filters["crop_note"] = crop_note
    environment.filters["brightest"] = brightest
    environment.filters["group_of"] = group_of
    return environment
