"""Every number of a report as CSV: unrounded, one figure per line, each with where and when it was measured."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.device_grid import HOST
from benchmarks.layers import Sensitivity
from benchmarks.material import Material
from benchmarks.summary import quantize_rows
from octopix.device_rows import DeviceRow
from octopix.files import write_text
from octopix.results import QuantizeRow, Result

HEADINGS = (
    *("model", "scheme", "what", "of", "figure", "value", "unit", "protocol", "device", "cpu", "runtime"),
    *("delegate", "threads", "measured", "octopix"),
)
"""``what`` is ``set``, ``image``, ``file``, ``device`` or ``layer``; ``of`` names the set, the image or the layer."""


_Figure = tuple[str, float | None, str]
"""Name, value, unit."""


@dataclass(frozen=True)
class _Place:
    """The conditions of a figure, as they stand in its line."""

    device: str
    result: Result

    def cells(self, row: QuantizeRow | DeviceRow | None) -> tuple[object, ...]:
        facts = row.facts if row is not None else None
        found = self.result.conditions
        ran = ("", "", "") if facts is None else (f"{facts.runtime} {facts.version}", facts.delegate_got, facts.threads)
        return (self.device, found.cpu or found.machine, *ran, self.result.created, found.octopix)


def write_sheets(path: Path, materials: Sequence[Material]) -> None:
    """Write the figures of all models; a figure that does not exist has no line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADINGS)
    for material in materials:
        writer.writerows(_lines(material))
    write_text(path, stream.getvalue())


def _lines(material: Material) -> Iterator[tuple[object, ...]]:
    here = _Place(HOST, material.result)
    rows = quantize_rows(material.result)
    for row in rows:
        yield from _set_lines(row, here)
    for row in rows:
        if row.image_set == rows[0].image_set:
            yield from _file_lines(row, here)
    for device in material.devices:
        for each in device.rows:
            if isinstance(each, DeviceRow):
                yield from _device_lines(each, _Place(each.device, device))
    if material.layers is not None:
        yield from _layer_lines(material.layers, here)


def _set_lines(row: QuantizeRow, place: _Place) -> Iterator[tuple[object, ...]]:
    means: tuple[_Figure, ...] = (("PSNR", row.psnr_db, "dB"), ("SSIM", row.ssim, ""), ("drop", row.drop_db, "dB"))
    yield from _each(row, ("set", row.image_set), (*means, ("fidelity", row.fidelity_db, "dB")), place)
    for name, psnr in row.psnr_per_image.items():
        figures = (("PSNR", psnr, "dB"), ("SSIM", row.ssim_per_image.get(name), ""))
        yield from _each(row, ("image", name), figures, place)


def _file_lines(row: QuantizeRow, place: _Place) -> Iterator[tuple[object, ...]]:
    latency = row.latency
    figures = (
        (f"Flops ({row.flops_convention})", row.flops_g, "G"),
        ("Params", row.params_m, "M"),
        ("size", row.kib, "KiB"),
        ("latency median", latency.median_ms if latency else None, "ms"),
        ("latency p95", latency.p95_ms if latency else None, "ms"),
        ("latency min", latency.min_ms if latency else None, "ms"),
        ("speed", row.ratio_to_float32, "×float32"),
    )
    yield from _each(row, ("file", "x".join(map(str, row.shape))), figures, place)


def _device_lines(row: DeviceRow, place: _Place) -> Iterator[tuple[object, ...]]:
    figures = (
        ("latency median", row.median_ms, "ms"),
        ("latency p95", row.p95_ms, "ms"),
        ("init", row.init_ms, "ms"),
        ("peak memory", row.peak_memory_mib, "MiB"),
        ("speed", row.ratio_to_float32, "×float32"),
        ("PSNR", row.psnr_db, "dB"),
        ("drop", row.drop_db, "dB"),
    )
    yield from _each(row, ("device", row.image_set), figures, place)


def _each(
    row: QuantizeRow | DeviceRow, what: tuple[str, str], figures: Sequence[_Figure], place: _Place
) -> Iterator[tuple[object, ...]]:
    for figure, value, unit in figures:
        if value is not None:
            yield (row.model, row.scheme, *what, figure, value, unit, row.protocol, *place.cells(row))


def _layer_lines(found: Sensitivity, place: _Place) -> Iterator[tuple[object, ...]]:
    for layer in found.layers:
        for figure, value in (("drop alone", layer.alone_drop_db), ("gain left out", layer.left_out_gain_db)):
            if value is not None:
                head = (found.model, found.scheme, "layer", layer.name, figure, value, "dB", found.protocol)
                yield (*head, *place.cells(None))
