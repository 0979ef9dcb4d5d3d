"use strict";

// Tables: every heading becomes a button that sorts, once up and once down. Dashes, which stand for no figure, come last.
function figureOf(text) {
  if (text === "inf") return Infinity;
  const number = parseFloat(text.replace("\u2212", "-").replace("\u2264", ""));
  return Number.isNaN(number) ? null : number;
}

function compareCells(a, b, numeric) {
  if (!numeric) return a.localeCompare(b, "en", { numeric: true });
  return figureOf(a) - figureOf(b) || 0;
}

function sortBy(table, heading, place) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  const numeric = !heading.classList.contains("text");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.cells[place].textContent.trim() }));
  const known = rows.filter(({ text }) => text !== "\u2013" && (!numeric || figureOf(text) !== null));
  const rest = rows.filter((each) => !known.includes(each));
  known.sort((a, b) => compareCells(a.text, b.text, numeric) * (down ? -1 : 1));
  body.append(...[...known, ...rest].map(({ row }) => row));
  for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function makeSortable(table) {
  const headings = [...table.tHead.rows].at(-1).cells;
  if (table.tBodies[0].rows.length < 2) return;
  [...headings].forEach((heading, place) => {
    // Rows begin with a heading that names them, and so does the line of headings.
    if (place === 0) heading.classList.add("text");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sortBy(table, heading, place));
  });
}

// Crops: two tiles of the strip, one over the other, with a divider that a range input moves; the heat map beside them.
function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function chooser(label, tiles, chosen, changed) {
  const select = element("select", {}, ...tiles.map((tile) => element("option", { value: tile.dataset.label }, tile.dataset.label)));
  select.value = chosen;
  select.addEventListener("change", changed);
  return { select, shown: element("label", {}, `${label} `, select) };
}

function makeSlider(crop) {
  const tiles = [...crop.querySelectorAll(".strip figure")];
  const heat = tiles.find((tile) => tile.dataset.label === "heat map");
  const pictures = tiles.filter((tile) => tile !== heat);
  const names = pictures.map((tile) => tile.dataset.label);
  if (!names.includes("float32") || names.length < 2) return;
  const int8 = names.find((name) => name.startsWith("int8")) ?? names.at(-1);
  const before = element("img", { className: "before" });
  const after = element("img", { className: "after" });
  const stage = element("div", { className: "stage" }, before, after, element("span", { className: "divider" }));
  const range = element("input", { type: "range", min: 0, max: 100, value: 50 });
  const place = () => stage.style.setProperty("--at", `${range.value}%`);
  const show = () => {
    for (const [img, { select }] of [[before, left], [after, right]]) {
      const tile = pictures[names.indexOf(select.value)];
      img.src = tile.querySelector("img").src;
      img.alt = select.value;
    }
    range.setAttribute("aria-label", `how much of ${left.select.value} covers ${right.select.value}`);
  };
  const left = chooser("left", pictures, "float32", show);
  const right = chooser("right", pictures, int8, show);
  show();
  place();
  range.addEventListener("input", place);
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && event.buttons !== 1) return;
    const box = stage.getBoundingClientRect();
    range.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    place();
  });
  const shown = element("div", { className: "slider" }, element("div", {}, stage, range));
  if (heat) shown.append(element("div", {}, element("img", { className: "heat", src: heat.querySelector("img").src, alt: "heat map of the difference" }), element("p", { className: "scale" }, "0", element("span", {}), `${crop.dataset.levels} or more`)));
  crop.querySelector(".strip").before(element("div", { className: "choosers" }, left.shown, right.shown), shown);
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll(".crop").forEach(makeSlider);

// A link to a folded model opens it.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}
window.addEventListener("hashchange", unfold);
unfold();
