"""Everything a report says, as plain text in order: the one source of its HTML and Markdown forms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.artifacts import FLOAT
from benchmarks.columns import FILES, MAIN, NONE, PER_SET, SCHEME, Head, Titled, fixed, shape_text, times
from benchmarks.crops import Crop
from benchmarks.device_grid import PER_DEVICE, device_cells, places
from benchmarks.layers import Sensitivity, layer_cells
from benchmarks.material import Material
from benchmarks.quality import INPUT
from benchmarks.suite import listed, rows_by_set
from benchmarks.summary import INT8, Pick, Summary, caption, heading, quantize_rows, verdict
from octopix.conditions import Conditions
from octopix.protocols import PROTOCOLS
from octopix.results import QuantizeRow, Result
from octopix.runtime import RunFacts

LAYER_HEADS = (
    Head("layer", numeric=False),
    Head("operator", numeric=False),
    Head("MACs", "M"),
    Head("share", "%"),
    Head("drop alone", "dB"),
    Head("gain left out", "dB"),
)


@dataclass(frozen=True)
class Tile:
    """One figure of the summary."""

    label: str
    value: str
    unit: str
    note: str


@dataclass(frozen=True)
class Row:
    """One line of a table; ``kind`` (``pick``, ``int8``, ``float``, ``plain``, ``better``, ``worse``) is its look."""

    cells: tuple[str, ...]
    kind: str
    link: str | None = None
    """Where its name leads, in the same page."""


@dataclass(frozen=True)
class Sheet:
    """A table: groups of columns, columns, rows."""

    title: str
    groups: tuple[tuple[str, int], ...]
    """(heading, number of columns below it); empty where there is one line of headings."""
    columns: tuple[Titled, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What stands below it: how its numbers were made."""


@dataclass(frozen=True)
class Page:
    """A whole report but for its pictures."""

    title: str
    subtitle: str
    verdict: str
    reasons: tuple[str, ...]
    tiles: tuple[Tile, ...]
    warnings: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    layers: Sheet | None
    """Sensitivity of each layer, where it was measured."""
    devices: Sheet | None
    """Devices side by side, where there are any besides this machine."""
    conditions: tuple[tuple[str, str], ...]
    files: Sheet
    origins: tuple[tuple[str, str], ...]
    """Where the files come from: (what, in words), each statement once."""
    protocol: str
    images: tuple[Sheet, ...]
    """Each test set by its images."""
    usage: str | None
    created: str
    version: str


def page_of(material: Material) -> Page:
    """The report of one model."""
    result, summary = material.result, material.summary
    rows = quantize_rows(result)
    sets = rows_by_set(rows)
    return Page(
        title=summary.model,
        subtitle=heading(summary, listed(summary.sets)),
        verdict=verdict(summary),
        reasons=_reasons(summary),
        tiles=_tiles(summary),
        warnings=summary.warnings,
        sheets=(_main_sheet(summary, result), *((_set_sheet(summary, sets),) if len(sets) > 1 else ())),
        layers=None if material.layers is None else _layer_sheet(material.layers),
        devices=_device_sheet(material) if material.devices else None,
        conditions=conditions_of(summary, result),
        files=_files(summary),
        origins=_origins(summary),
        protocol=_protocol(summary.protocol),
        images=tuple(_images(summary, name, group) for name, group in sets.items()),
        usage=None if summary.pick is None else f"octopix run photo.jpg --model {summary.pick.row.scheme}.tflite",
        created=result.created,
        version=result.conditions.octopix,
    )


def crop_caption(crop: Crop) -> str:
    """What a row of tiles shows."""
    drop = "" if crop.drop_db is None else f"drop {fixed(crop.drop_db, 3)} dB over the image; "
    return f"{crop.image}: {drop}{crop.side}×{crop.side} pixels at row {crop.top}, column {crop.left}"


def _reasons(summary: Summary) -> tuple[str, ...]:
    found = []
    pick, reference, plain = summary.pick, summary.float_row, summary.baseline
    if reference and plain and reference.psnr_db is not None and plain.psnr_db is not None:
        gain = reference.psnr_db - plain.psnr_db
        without = "its input" if plain.scheme == INPUT else "bicubic upscaling"
        found.append(
            f"float32 reaches {fixed(reference.psnr_db, 2)} dB, "
            f"{fixed(abs(gain), 2)} dB {'more' if gain >= 0 else 'less'} than {without}."
        )
    if pick is not None:
        found.append(_chosen(pick, summary))
    return tuple(found)


def _chosen(pick: Pick, summary: Summary) -> str:
    rivals = [row.scheme for row in summary.rows if row.scheme.startswith(INT8) and row is not pick.row]
    quality = pick.row.card.validation if pick.row.card is not None else None
    if not rivals:
        return f"{pick.row.scheme} is the only int8 file that was measured."
    if pick.chosen_on == "test" or quality is None:
        return (
            f"It has the smallest drop on these test images, because {pick.reason}. "
            f"Choosing it by them, over {', '.join(rivals)}, flatters it; run `make quantize` again."
        )
    return (
        f"It was chosen over {', '.join(rivals)} on {quality.image_set} ({quality.images} images, "
        f"drop {fixed(quality.drop, 3)} dB), not on the test images that the figures here come from."
    )


def _protocol(name: str) -> str:
    return f"{name}: {PROTOCOLS[name].title}" if name in PROTOCOLS else name


def _tiles(summary: Summary) -> tuple[Tile, ...]:
    pick, reference = summary.pick, summary.float_row
    if pick is None or reference is None:
        return ()
    row, side = pick.row, shape_text(pick.row.shape)
    instead = f"{fixed(row.psnr_db, 3)} instead of {fixed(reference.psnr_db, 3)} dB"
    drop = Tile("Drop", fixed(row.drop_db, 3), "dB", instead)
    speed = Tile("Speed", times(row.ratio_to_float32), "", f"{_ms(row)} instead of {_ms(reference)} ms at {side}")
    return (
        *((drop,) if summary.with_truth else ()),
        *((speed,) if summary.steady else ()),
        Tile("Size", fixed(row.kib, 0), "KiB", f"instead of {fixed(reference.kib, 0)} KiB"),
        Tile("Fidelity", fixed(row.fidelity_db, 1), "dB", "PSNR of its output against float32’s"),
    )


def _ms(row: QuantizeRow) -> str:
    return NONE if row.latency is None else fixed(row.latency.median_ms, 2)


def _kind(row: QuantizeRow, summary: Summary) -> str:
    return _kind_of(row.scheme, summary)


def _kind_of(scheme: str, summary: Summary) -> str:
    if summary.pick is not None and scheme == summary.pick.row.scheme:
        return "pick"
    return "int8" if scheme.startswith(INT8) else "float" if scheme == FLOAT else "plain"


def _main_sheet(summary: Summary, result: Result) -> Sheet:
    rows = tuple(Row(tuple(column.text(row) for column in MAIN), _kind(row, summary)) for row in summary.rows)
    title = f"{summary.model} · {heading(summary, summary.rows[0].image_set)}"
    return Sheet(title, (), MAIN, rows, notes=(caption(summary, result),))


def _set_sheet(summary: Summary, sets: Mapping[str, Sequence[QuantizeRow]]) -> Sheet:
    rows = []
    for place, row in enumerate(summary.rows):
        cells = (column.text(group[place]) for group in sets.values() for column in PER_SET)
        rows.append(Row((row.scheme, *cells), _kind(row, summary)))
    groups = (("", 1), *((name, len(PER_SET)) for name in sets))
    return Sheet("Each set", groups, (SCHEME, *PER_SET * len(sets)), tuple(rows))


def _layer_sheet(found: Sensitivity) -> Sheet:
    rows = tuple(Row(cells, "plain") for cells in layer_cells(found))
    images = f"{found.images} images" + (f" of {found.image_set}" if found.image_set else "")
    base = "" if found.base_psnr_db is None else f"; the whole int8 model has {fixed(found.base_psnr_db, 3)} dB"
    note = (
        f"{found.scheme} on {images}, protocol {found.protocol}{base}. Alone: drop where only this layer is int8. "
        "Left out: what is won where this layer alone stays float."
    )
    return Sheet("Sensitivity of each layer", (), LAYER_HEADS, rows, notes=(note,))


def _device_sheet(material: Material) -> Sheet:
    found = places(material.result, material.devices)
    rows = tuple(
        Row(cells, _kind_of(cells[0], material.summary)) for cells in device_cells(material.summary, material.devices)
    )
    heads = tuple(Head(title, unit, numeric=title != "parity") for title, unit in PER_DEVICE)
    groups = (("", 1), *((place.name, len(PER_DEVICE)) for place in found))
    notes = (
        "Each file in the fastest way that was measured on the device (delegate, threads). Drop: of the device's own "
        "pictures. Parity: its pictures against this machine's.",
        *(f"{place.name}: {place.what}" for place in found),
        *(f"{result.rows[0].model}: {note}" for result in material.devices for note in result.notes),
    )
    return Sheet("Devices side by side", groups, (SCHEME, *heads * len(found)), rows, notes=notes)


def conditions_of(summary: Summary, result: Result) -> tuple[tuple[str, str], ...]:
    """(fact, value) of the machine and the run; a dash for what could not be read."""
    facts = next((row.facts for row in summary.rows if row.facts is not None), None)
    return (
        ("measured", result.created.replace("T", " ").replace("+00:00", " UTC")),
        *_machine(result.conditions),
        ("runtime", NONE if facts is None else f"{facts.runtime} {facts.version}"),
        ("delegate", NONE if facts is None else _delegate(facts)),
        ("threads", NONE if facts is None else str(facts.threads)),
        ("protocol", summary.protocol),
        ("octopix", result.conditions.octopix),
        ("python", result.conditions.python or NONE),
    )


def _delegate(facts: RunFacts) -> str:
    if facts.delegate_got == facts.delegate_asked:
        return facts.delegate_asked
    return f"asked {facts.delegate_asked}, got {facts.delegate_got or 'unknown'}"


def _machine(conditions: Conditions) -> tuple[tuple[str, str], ...]:
    """What cannot be read shows as a dash, never as 0."""
    memory = None if conditions.memory_mib is None else conditions.memory_mib / 1024
    return (
        ("CPU", conditions.cpu or NONE),
        ("board", conditions.board or NONE),
        ("architecture", conditions.machine),
        ("cores", str(conditions.cores)),
        ("governor", conditions.governor or NONE),
        ("frequency before, MHz", fixed(conditions.frequency_mhz, 0)),
        ("temperature before, °C", fixed(conditions.temperature_c, 0)),
        ("load average before", fixed(conditions.load, 2)),
        ("memory, GiB", fixed(memory, 1)),
        ("system", conditions.os),
    )


def _files(summary: Summary) -> Sheet:
    rows = [row for row in summary.rows if row.card is not None]
    lines = tuple(Row(tuple(column.text(row) for column in FILES), _kind(row, summary)) for row in rows)
    return Sheet("The files", (), FILES, lines)


def _origins(summary: Summary) -> tuple[tuple[str, str], ...]:
    cards = [row.card for row in summary.rows if row.card is not None]
    versions = (", ".join(f"{name} {version}" for name, version in card.versions.items()) for card in cards)
    found = [("Made with", text) for text in dict.fromkeys(versions)]
    trained = {card.scheme: (card.training or "").partition("QAT ") for card in cards}
    found += [("Float weights", text) for text in dict.fromkeys(text.rstrip("; ") for text, _, _ in trained.values())]
    found += [(scheme, mark + text) for scheme, (_, mark, text) in trained.items()]
    return tuple((what, text) for what, text in found if text)


def _images(summary: Summary, title: str, rows: Sequence[QuantizeRow]) -> Sheet:
    """PSNR of every image: the baseline, float32 and the pick."""
    pick = summary.pick.row.scheme if summary.pick is not None else None
    shown = [row for row in rows if row.psnr_db is not None and (row.card is None or row.scheme in (FLOAT, pick))]
    names = tuple(rows[0].psnr_per_image)
    lines = tuple(Row((name, *(_per_image(row, name) for row in shown)), "plain") for name in names)
    heads = (Head("image", numeric=False), *(Head(row.scheme, "dB") for row in shown))
    return Sheet(f"{title}, {len(names)} images", (), heads, lines)


def _per_image(row: QuantizeRow, name: str) -> str:
    value = row.psnr_per_image[name]
    return "not counted" if value is None else fixed(value, 3)
