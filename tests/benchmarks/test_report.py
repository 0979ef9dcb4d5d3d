"""The report: one page without a network, no figure lost, made again from its JSON."""

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.text import Text

from benchmarks.crops import busiest, crops_of, heat_map
from benchmarks.drawing import DARK, LIGHT, frontier, spread
from benchmarks.material import Material, gather
from benchmarks.plots import PLOTS
from benchmarks.report import draw, rewrite_report, write_report
from benchmarks.summary import summarise
from octopix.errors import ResultError
from octopix.latency import Latency
from octopix.results import QuantizeRow, Result, read_result, write_result

Make = Callable[..., Result]

VOID = {"meta", "link", "img", "source", "br", "hr", "input"}


class Page(HTMLParser):
    """Tags that must match, addresses that would be fetched, texts of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.missing_alt = 0
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.addresses += [found[name] or "" for name in ("src", "srcset", "href", "data", "action") if name in found]
        self.missing_alt += tag == "img" and not found.get("alt")
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


@pytest.fixture(scope="module")
def report(make_result: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report with crops, made once; tests only read it."""
    folder = tmp_path_factory.mktemp("report")
    add_crop(folder)
    write_result(folder / "results.json", make_result())
    rewrite_report(folder / "results.json")
    return folder


def html_of(result: Result, folder: Path) -> str:
    return write_report(result, folder)[0].read_text(encoding="utf-8")


def material_of(result: Result) -> Material:
    """A result with nothing beside it."""
    return gather(result, Path("nowhere"))


def add_crop(folder: Path) -> None:
    """One crop of two tiles, as `write_crops` leaves it."""
    plots = folder / "plots"
    plots.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(plots / name), np.zeros((8, 8, 3), np.uint8))
    crop = {
        "image_set": "Set5",
        "image": "Set5/baby.png",
        "scheme": "int8-qat",
        "drop_db": 0.0625,
        "top": 3,
        "left": 5,
        "side": 8,
        "gain": 16,
        "tiles": {"float32": "a.png", "difference": "b.png"},
    }
    (plots / "crops.json").write_text(json.dumps({"crops": [crop]}))


def test_the_page_fetches_nothing_and_its_tags_match(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert not page.tags & {"iframe", "object", "embed"}
    assert "default-src 'none'" in text  # whatever a later change brings in, browsers will not fetch it
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import|http", style)
    assert page.missing_alt == 0


def test_the_page_is_for_phones_and_for_light_and_dark(make_result: Make, report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text
    for plot in draw(material_of(make_result())):
        svg = plot.svg.decode()
        assert svg.count(LIGHT.ink) == svg.count(DARK.ink) == 1, plot.name  # where the variable gets its two values
        assert "var(--ink)" in svg, plot.name
        assert "prefers-color-scheme: dark" in svg, plot.name


def test_no_figure_of_the_result_is_lost(report: Path) -> None:
    result = read_result(report / "results.json")
    cells = Page((report / "report.html").read_text(encoding="utf-8")).cells
    markdown = (report / "report.md").read_text(encoding="utf-8")
    for row in (*result.rows, *summarise(result).rows):
        assert isinstance(row, QuantizeRow)
        texts = [row.scheme, f"{row.psnr_db:.3f}", f"{row.ssim:.4f}"]
        if row.latency is not None and row.drop_db is not None and row.ratio_to_float32 is not None:
            texts += [f"{row.drop_db:.3f}", f"{row.latency.median_ms:.2f}", f"{row.ratio_to_float32:.2f}×"]
            texts += [f"{row.kib:.1f}", (row.graph_sha256 or "")[:12]]
        for text in texts:
            assert text in cells, (row.scheme, text)
            assert text in markdown, (row.scheme, text)
    for name in ("Set5/baby.png", "Set5/bird.png", "Set14/zebra.png"):
        assert name in cells
        assert name in markdown


def test_the_csv_has_every_figure_unrounded_with_its_conditions(report: Path) -> None:
    result = read_result(report / "results.json")
    with (report / "report.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    found = {(line["scheme"], line["what"], line["of"], line["figure"]): line for line in lines}
    assert len(found) == len(lines)  # no figure twice
    for row in result.rows:
        assert isinstance(row, QuantizeRow)
        assert float(found[row.scheme, "set", row.image_set, "PSNR"]["value"]) == row.psnr_db
        for name, value in row.psnr_per_image.items():
            assert float(found[row.scheme, "image", name, "PSNR"]["value"]) == value
        if row.latency is not None:
            line = found[row.scheme, "file", "1x128x128x1", "latency median"]
            assert float(line["value"]) == row.latency.median_ms
            assert (line["unit"], line["threads"], line["runtime"]) == ("ms", "1", "ai-edge-litert 2.3.0")
            assert line["measured"] == result.created


def test_conditions_and_calibration_are_stated(make_result: Make, tmp_path: Path) -> None:
    result = make_result()
    conditions = dataclasses.replace(result.conditions, cpu="Cortex-A76", governor=None, load=0.25)
    write_report(dataclasses.replace(result, conditions=conditions), tmp_path)
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        for fact in ("Cortex-A76", "0.25", "ai-edge-litert 2.3.0", "mse, 64 images of builtin-calibrate"):
            assert fact in text, (name, fact)
    assert "| governor | – |" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_how_the_int8_file_was_trained_stands_apart_from_the_float_weights(make_result: Make, tmp_path: Path) -> None:
    def trained(row: QuantizeRow) -> QuantizeRow:
        note = "seed 7, step 9" + ("; QAT 60 steps, best at 48, seed 5" if row.scheme == "int8-qat" else "")
        return row if row.card is None else dataclasses.replace(row, card=dataclasses.replace(row.card, training=note))

    result = make_result()
    result = dataclasses.replace(result, rows=tuple(map(trained, result.rows)))  # type: ignore[arg-type]
    text = html_of(result, tmp_path)
    assert text.count("Float weights: seed 7, step 9<") == 1
    assert text.count("int8-qat: QAT 60 steps, best at 48, seed 5<") == 1


def test_on_a_noisy_machine_no_speed_is_put_in_front(make_result: Make, tmp_path: Path) -> None:
    def disturb(row: QuantizeRow) -> QuantizeRow:
        return row if row.latency is None else dataclasses.replace(row, latency=noisy)

    noisy = Latency((4.0, 8.0) * 6, warmup=3)
    result = make_result()
    assert "<dt>Speed</dt>" in html_of(result, tmp_path)
    result = dataclasses.replace(result, rows=tuple(map(disturb, result.rows)))  # type: ignore[arg-type]
    assert "<dt>Speed</dt>" not in html_of(result, tmp_path)


def test_names_cannot_break_the_page_or_the_table(make_result: Make, tmp_path: Path) -> None:
    result = make_result(images={"a|b": {"<script>alert(1)</script>.png": 30.0}})
    assert "<script>alert" not in html_of(result, tmp_path)
    write_report(make_result(images={"a|b": {"x.png": 30.0}, "c": {"y.png": 31.0}}), tmp_path)
    table = (tmp_path / "report.md").read_text(encoding="utf-8").split("Each set:")[1].split("## Plots")[0]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_pictures_of_the_markdown_are_there(report: Path) -> None:
    links = re.findall(r"!\[[^]]*]\(([^)]*)\)", (report / "report.md").read_text(encoding="utf-8"))
    assert {Path(link).name for link in links} == {
        *("drop.png", "latency.png", "size.png", "latency-quality.png", "psnr-per-image.png", "a.png", "b.png")
    }
    for link in links:
        assert cv2.imread(str(report / link)) is not None, link


def test_the_same_json_gives_the_same_report(report: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(report, again, ignore=shutil.ignore_patterns("report.*"))
    rewrite_report(again / "results.json")
    assert b"Before and after" in (again / "report.html").read_bytes()
    for path in report.glob("report.*"):
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_without_crops_their_section_is_left_out(make_result: Make, tmp_path: Path) -> None:
    assert "Before and after" not in html_of(make_result(), tmp_path)


def test_crops_whose_pictures_are_gone_are_an_error_that_names_one(make_result: Make, tmp_path: Path) -> None:
    add_crop(tmp_path)
    (tmp_path / "plots" / "b.png").unlink()
    with pytest.raises(ResultError, match=r"no b\.png beside it"):
        write_report(make_result(), tmp_path)


def test_a_list_of_crops_that_was_edited_badly_names_the_field() -> None:
    with pytest.raises(ResultError, match=r"'image_set'.* at crops\.json\.crops\[0]"):
        crops_of({"crops": [{"image": "x"}]})


@pytest.mark.parametrize("schemes", [("bicubic", "float32"), ("bicubic", "int8-qat"), ("bicubic", "float16")])
def test_a_report_of_few_schemes_shows_what_there_is(
    make_result: Make, tmp_path: Path, schemes: tuple[str, ...]
) -> None:
    result = make_result(schemes=schemes)
    if "float32" not in schemes:
        rows = (dataclasses.replace(row, drop_db=None, fidelity_db=None, ratio_to_float32=None) for row in result.rows)
        result = dataclasses.replace(result, rows=tuple(rows))
    cells = Page(html_of(result, tmp_path)).cells
    assert all(scheme in cells for scheme in schemes)


def test_another_kind_of_result_is_refused(tmp_path: Path) -> None:
    write_result(tmp_path / "results.json", Result(kind="bench", rows=()))
    with pytest.raises(ResultError, match="kind bench"):
        rewrite_report(tmp_path / "results.json")


def test_long_names_of_sets_do_not_push_the_legend_off_the_plot(make_result: Make) -> None:
    names = ("Set5 (quick: first 4)", "Set14 (quick: first 4)", "BSDS500 val (quick: first 4)")
    result = make_result(images={name: {f"{name}.png": 30.0} for name in names})
    figure = PLOTS["drop"].draw(material_of(result))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_marks_at_the_edge_are_drawn_whole(make_result: Make) -> None:
    result = make_result(schemes=("bicubic", "float32", "float16"))  # float16 loses 0 dB: all marks at the edge
    (axis,) = PLOTS["drop"].draw(material_of(result)).axes
    marks = [line for line in axis.lines if line.get_label() in ("Set5", "Set14")]
    assert [line.get_clip_on() for line in marks] == [False, False]


def test_no_label_lies_over_the_dot_of_a_scheme(make_result: Make) -> None:
    def level(row: QuantizeRow) -> QuantizeRow:  # as good as float32, so that labels beside the dots would reach others
        if row.scheme != "int8-qat" or row.latency is None:
            return row
        return dataclasses.replace(row, latency=dataclasses.replace(row.latency, samples_ms=(8.5,) * 12), psnr_db=30.0)

    whole = make_result(schemes=("bicubic", "float32", "int8-qat", "float16", "int8-ptq-mse"))
    result = dataclasses.replace(whole, rows=tuple(map(level, whole.rows)))  # type: ignore[arg-type]
    figure = PLOTS["latency-quality"].draw(material_of(result))
    figure.draw_without_rendering()
    (axis,) = figure.axes
    marks = [line for line in axis.lines if line.get_marker() == "o"]
    dots = [axis.transData.transform((line.get_xdata()[0], line.get_ydata()[0])) for line in marks]
    assert len(dots) == 4
    for label in axis.texts:
        box = Text.get_window_extent(label)  # of the words; an annotation's own would take in its arrow
        assert not any(box.contains(*dot) for dot in dots), label.get_text()
        inside = axis.get_window_extent()
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1, label.get_text()  # clear of the axis' numbers


def test_labels_keep_their_order_and_distance() -> None:
    wanted = np.array([1.0, 0.98, 0.2, 1.01])
    placed = spread(wanted, least=0.1)
    assert np.array_equal(np.argsort(placed), np.argsort(wanted))
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-9  # sums of tenths in binary
    assert placed[2] == 0.2  # nobody is near, so it stays
    kept_in = spread(wanted, least=0.1, within=(0.3, 1.05))
    assert np.array_equal(np.argsort(kept_in), np.argsort(wanted))
    assert np.diff(np.sort(kept_in)).min() >= 0.1 - 1e-9
    assert (kept_in.min(), kept_in.max()) == pytest.approx((0.3, 1.05), abs=1e-9)


def test_the_pareto_front_is_what_nothing_beats_in_both() -> None:
    cost, worth = np.array([3.0, 1.0, 2.0, 2.0, 4.0]), np.array([9.0, 5.0, 5.0, 7.0, 9.0])
    # 1 is the cheapest; 3 is better than 2 at its cost; 0 is the best, and 4 costs more for as much.
    assert frontier(cost, worth).tolist() == [1, 3, 0]


def test_crops_are_cut_where_the_difference_is() -> None:
    difference = np.zeros((40, 60), np.int16)
    difference[21:25, 33:37] = 3
    top, left = busiest(difference, 4)
    assert (top, left) == (21, 33)


def test_the_heat_map_is_dark_for_none_and_brightest_from_its_limit_on() -> None:
    brightness = heat_map(np.array([[0, 2, -4, 8, -200]], np.int16), 32).astype(int).sum(axis=2)[0]
    assert brightness[0] < 10  # black but for what the map's first colour has
    assert (np.diff(brightness[:4]) > 0).all()  # either sign
    assert brightness[3] == brightness[4]  # 8 levels times 32 is already more than a byte holds
