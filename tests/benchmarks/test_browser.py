"""The report in a real browser, headless: it loads without a word, its tables sort, its slider moves, it is legible.

Needs Chromium (Debian: ``chromium``), as every test of `make test-devices` needs its programs.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.__main__ import main
from octopix.results import QuantizeRow, Result, write_result

pytestmark = pytest.mark.devices

SIZES = {"desktop": (1200, 900), "phone": (360, 780)}
LEAST_CONTRAST = 4.5
"""WCAG 2.1, 1.4.3 (AA), for letters of usual size."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "expected Chromium, got none; run: apt-get install chromium"
    # Chromium refuses its sandbox to root, who runs CI in containers.
    words = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=words)
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports(make_result: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with crops and layers, their reports, the page over both, and a page of what changed."""
    folder = tmp_path_factory.mktemp("reports")
    for model in ("espcn_x4", "a_model_with_a_long_name_x4"):
        rows = tuple(_named(row, model) for row in make_result().rows if isinstance(row, QuantizeRow))
        write_result(folder / model / "results.json", dataclasses.replace(make_result(), rows=rows))
        _add_crop(folder / model / "plots")
        _add_layers(folder / model, model)
        assert main(["report", "--results", str(folder / model / "results.json")]) == 0
    assert main(["report", "--all", str(folder)]) == 0
    assert main(["compare", str(folder), str(folder), "--out", str(folder / "change")]) == 0
    return folder


def _named(row: QuantizeRow, model: str) -> QuantizeRow:
    # The longest scheme there is: tables must not push the page wider than a phone.
    scheme = {"int8-ptq-mse": "int8-ptq-percentile+cle+bias+adaround"}.get(row.scheme, row.scheme)
    card = None if row.card is None else dataclasses.replace(row.card, model=model, scheme=scheme)
    return dataclasses.replace(row, model=model, scheme=scheme, card=card)


def _add_crop(folder: Path) -> None:
    folder.mkdir(parents=True)
    shades = {"bicubic": 90, "float32": 60, "int8-qat": 200, "ground truth": 120, "heat map": 20}
    for name, shade in shades.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.full((16, 16, 3), shade, np.uint8))
    crop = {"image_set": "Set5", "image": "Set5/baby.png", "scheme": "int8-qat", "drop_db": 0.0625, "top": 3, "left": 5}
    crop |= {"side": 16, "gain": 32, "tiles": {name: f"{name}.png" for name in shades}}
    (folder / "crops.json").write_text(json.dumps({"crops": [crop]}))


def _add_layers(folder: Path, model: str) -> None:
    layer = {"name": "some/very/long/name/of/a/layer/Conv2D", "operator": "CONV_2D", "macs": 1000}
    layers = [layer | {"alone_drop_db": 0.01 * place, "left_out_gain_db": 0.005} for place in range(3)]
    head = {"version": 1, "model": model, "scheme": "int8-qat", "images": 8, "protocol": "y", "base_psnr_db": 30.0}
    (folder / "sensitivity.json").write_text(json.dumps(head | {"layers": layers}))


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page at a size and in a colour scheme; anything it says on the console, or fetches, fails the test."""
    said: list[str] = []
    contexts = []

    def opened(path: Path, size: str = "desktop", colours: Any = "light", fragment: str = "") -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=colours, offline=True, has_touch=size == "phone"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or said.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


PAGES = ("report.html", "espcn_x4/report.html", "change/report.html")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_and_are_legible(
    show: Callable[..., Page], reports: Path, name: str, colours: str, size: str
) -> None:
    page = show(reports / name, size, colours)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(dark) / 3 < 64) == (colours == "dark")
    assert page.evaluate(CONTRASTS, LEAST_CONTRAST) == []
    assert page.evaluate("[...document.images].filter((each) => !each.naturalWidth).map((each) => each.alt)") == []


CONTRASTS = """
(least) => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((each) => each / 255)
      .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const words = [...node.childNodes].filter((each) => each.nodeType === 3 && each.textContent.trim());
    if (!words.length || !node.checkVisibility() || node.closest("script, style, option")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const text = words[0].textContent.trim().slice(0, 30);
    if (contrast < least) found.push(`${node.tagName} ${text} ${contrast.toFixed(2)}`);
  }
  return found;
}
"""


def column(page: Page, place: int) -> list[str]:
    """Texts of a column of the first table."""
    return page.eval_on_selector(
        "table.sortable", "(table, place) => [...table.tBodies[0].rows].map((row) => row.cells[place].innerText)", place
    )


def test_tables_sort_up_and_down_with_what_is_missing_last(show: Callable[..., Page], reports: Path) -> None:
    page = show(reports / "espcn_x4" / "report.html")
    heading = page.locator("table.sortable").first.get_by_role("button", name="size")
    heading.click()
    place = heading.evaluate("(button) => button.parentElement.cellIndex")
    assert column(page, place)[-1] == "–"  # bicubic, which is no file
    figures = [float(text) for text in column(page, place)[:-1]]
    assert figures == sorted(figures)
    heading.click()
    figures = [float(text) for text in column(page, place)[:-1]]
    assert figures == sorted(figures, reverse=True)
    assert column(page, place)[-1] == "–"
    assert page.locator("[aria-sort=descending]").count() == 1


def test_tables_sort_by_keyboard(show: Callable[..., Page], reports: Path) -> None:
    page = show(reports / "espcn_x4" / "report.html")
    page.locator("table.sortable").first.get_by_role("button", name="scheme").focus()
    page.keyboard.press("Enter")
    names = column(page, 0)
    assert names == sorted(names)
    page.keyboard.press("Space")
    assert column(page, 0) == names[::-1]


def test_the_slider_moves_by_keyboard_and_by_hand(show: Callable[..., Page], reports: Path) -> None:
    page = show(reports / "espcn_x4" / "report.html")
    slider, stage = page.get_by_role("slider").first, page.locator(".stage").first
    assert slider.get_attribute("aria-label") == "how much of float32 covers int8-qat"
    before = shade(page)
    assert abs(before["left"] - 60) < 10
    assert abs(before["right"] - 200) < 10
    slider.focus()
    page.keyboard.press("End")
    assert abs(shade(page)["right"] - 60) < 10  # float32 covers all
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.mouse.up()
    assert abs(shade(page)["left"] - 200) < 10  # int8 shows from the left edge on
    page.get_by_label("right").first.select_option("bicubic")
    assert abs(shade(page)["right"] - 90) < 10


def shade(page: Page) -> dict[str, float]:
    """Grey levels at a tenth from the left and from the right of the stage."""
    picture = cv2.imdecode(np.frombuffer(page.locator(".stage").first.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    height, width = picture.shape
    row = picture[height // 3]
    return {"left": float(row[width // 10]), "right": float(row[-width // 10])}


def test_a_link_opens_the_model_that_it_leads_to(show: Callable[..., Page], reports: Path) -> None:
    page = show(reports / "report.html")
    assert page.locator("details.model[open]").count() == 0
    page.get_by_role("link", name="espcn_x4").click()
    page.wait_for_selector("#model-espcn_x4[open]")
    assert page.locator("details.model[open]").count() == 1


def test_without_scripts_everything_can_be_read(browser: Browser, reports: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((reports / "espcn_x4" / "report.html").as_uri())
    assert page.locator(".strip img").count() == 5
    assert page.locator("table").first.is_visible()
    context.close()
