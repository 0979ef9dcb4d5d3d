"""Making bundles: one folder or zip with the model, its checksums, and examples that use it rightly."""

import hashlib
import io
import string
import zipfile
from collections.abc import Mapping
from pathlib import Path

from octopix.bundle import SUMS
from octopix.card import ModelCard, read_card
from octopix.errors import ConfigError
from octopix.files import write_bytes
from octopix.graph import Tensor, read_graph
from octopix.schema import naming, read_model_bytes

TEMPLATES = Path(__file__).parent / "templates"
_BYTES = {"uint8": 1, "int8": 1, "int16": 2, "float32": 4}
_STAMP = (1980, 1, 1, 0, 0, 0)
"""The same files make the same zip."""


def write_bundle(model: Path, out: Path) -> Path:
    """Write the bundle of a ``.tflite`` with a card; returns ``out``.

    Args:
        model: the file.
        out: a name that ends in ``.zip``, or a folder, which is made; files of an older bundle in it are replaced.

    Raises:
        ModelFileError: damaged, or without a card.
        ConfigError: ``out`` holds what is no bundle, or the network's types have no example.
        OctopixError: ``out`` cannot be written.
    """
    files = bundle_files(model)
    if out.suffix == ".zip":
        write_bytes(out, _zipped(files))
        return out
    strangers = [path.name for path in out.iterdir() if path.name not in files] if out.is_dir() else []
    if strangers:
        raise ConfigError(
            expected=f"an empty or new folder, or this bundle's own, at {out}",
            got=", ".join(sorted(strangers)[:5]),
            do="choose another --out",
        )
    for name, content in files.items():  # the checksums come last: until then it is no bundle
        write_bytes(out / name, content)
    return out


def bundle_files(model: Path) -> Mapping[str, bytes]:
    """File name -> content, ``SHA256SUMS`` last. Raises as `write_bundle`."""
    content = read_model_bytes(model)
    with naming(model):
        card, graph = read_card(content), read_graph(content)
    name = f"{card.model}.{card.scheme}.tflite"
    ports = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    words = _words(card, name, hashlib.sha256(content).hexdigest(), *ports)
    files = {
        name: content,
        "restore.py": _filled("restore.py.template", words),
        "Restore.kt": _filled("Restore.kt.template", words),
    }
    sums = "".join(f"{hashlib.sha256(each).hexdigest()}  {file}\n" for file, each in files.items())
    return {**files, SUMS: sums.encode()}


def _words(card: ModelCard, name: str, sha256: str, given: Tensor, made: Tensor) -> Mapping[str, object]:
    """What the templates are filled with."""
    for port in (given, made):
        if port.dtype not in _BYTES:
            raise ConfigError(
                expected=f"input and output of {', '.join(_BYTES)}",
                got=port.dtype,
                do="convert it with `make quantize`",
            )
    network_scale = 1 if card.enlarged else card.scale
    what = f"{card.task} ×{card.scale}" if card.scale > 1 else card.task
    return {
        "file": name,
        "sha256": sha256,
        "title": f"{card.model}, {card.scheme}, {what}",
        "scale": card.scale,
        "network_scale": network_scale,
        "factor": network_scale**2,
        "multiple": card.multiple_of,
        "channels": 1 if card.channels == "y" else 3,
        "ports": f"{_said(given)}; {_said(made)}",
        "in_bytes": _BYTES[given.dtype],
        "out_bytes": _BYTES[made.dtype],
        "put": _put(given),
        "get": _get(made),
        "body": _body(card),
    }


def _filled(template: str, words: Mapping[str, object]) -> bytes:
    return string.Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(words).encode()


def _said(port: Tensor) -> str:
    if port.quantization is None or not port.quantization.scales:
        return f"{port.dtype}, 0 black to 1 white"
    scale, zero = _mapping(port)
    return f"{port.dtype}, value = {scale:.8g} * (stored - {zero}), 0 black to 1 white"


def _mapping(port: Tensor) -> tuple[float, int]:
    if port.quantization is None:
        return 1.0, 0
    return float(port.quantization.scales[0]), int(port.quantization.zero_points[0])


def _put(port: Tensor) -> str:
    """Kotlin that stores ``value``, 0..255."""
    if port.dtype == "float32":
        return "input.putFloat(value / 255f)"
    scale, zero = _mapping(port)
    if port.dtype == "uint8" and _is_byte(scale, zero):
        return "input.put(level(value).toByte())"
    limits = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767)}[port.dtype]
    stored = f"(floor(value / 255f / {scale:.9g}f + 0.5f).toInt() + ({zero})).coerceIn({limits[0]}, {limits[1]})"
    return f"input.putShort({stored}.toShort())" if port.dtype == "int16" else f"input.put({stored}.toByte())"


def _get(port: Tensor) -> str:
    """Kotlin that reads a value, 0..255."""
    if port.dtype == "float32":
        return "output.getFloat() * 255f"
    scale, zero = _mapping(port)
    stored = {"uint8": "(output.get().toInt() and 0xFF)", "int8": "output.get()", "int16": "output.getShort()"}[
        port.dtype
    ]
    if port.dtype == "uint8" and _is_byte(scale, zero):
        return f"{stored}.toFloat()"
    return f"({stored}.toInt() - ({zero})) * {scale:.9g}f * 255f"


def _is_byte(scale: float, zero: int) -> bool:
    return zero == 0 and abs(scale * 255 - 1) < 1e-6


def _body(card: ModelCard) -> str:
    """Kotlin of ``restore``: which planes the network sees, and what becomes of the others."""
    lines = [
        "val width = picture.width",
        "val height = picture.height",
        "// Chroma, and what an enlarged network sees, come from Android's bilinear filter; octopix itself is bicubic.",
        f"val large = Bitmap.createScaledBitmap(picture, width * {card.scale}, height * {card.scale}, true)",
        "val pixels = IntArray(large.width * large.height)",
        "large.getPixels(pixels, 0, large.width, 0, 0, large.width, large.height)",
    ]
    if card.enlarged:
        lines += ["val seen = pixels", "val result = run(planes(seen), large.height, large.width)"]
    else:
        lines += [
            "val seen = IntArray(width * height)",
            "picture.getPixels(seen, 0, width, 0, 0, width, height)",
            "val result = run(planes(seen), height, width)",
        ]
    lines += [
        "for (i in pixels.indices) pixels[i] = joined(pixels[i], result, i)",
        "return Bitmap.createBitmap(pixels, large.width, large.height, Bitmap.Config.ARGB_8888)",
    ]
    body = "\n".join(f"        {line}" for line in lines)
    return f"{body}\n    }}\n\n{_LUMA if card.channels == 'y' else _RGB}"


_LUMA = """\
    /** BT.601 luma, 16..235, rounded to 8 bits as in training. */
    private fun planes(pixels: IntArray) = FloatArray(pixels.size) { luma(pixels[it]).toFloat() }

    private fun luma(p: Int): Int =
        (16 + (65.481 * (p shr 16 and 255) + 128.553 * (p shr 8 and 255) + 24.966 * (p and 255)) / 255 + 0.5).toInt()

    /** A pixel with the network's luma and its own chroma: the same is added to red, green and blue. */
    private fun joined(p: Int, result: FloatArray, i: Int): Int {
        val y = 16 + (65.481f * (p shr 16 and 255) + 128.553f * (p shr 8 and 255) + 24.966f * (p and 255)) / 255
        val more = (result[i].coerceIn(0f, 255f) - y) * 255f / 219f
        val r = level((p shr 16 and 255) + more)
        val g = level((p shr 8 and 255) + more)
        val b = level((p and 255) + more)
        return (255 shl 24) or (r shl 16) or (g shl 8) or b"""
_RGB = """\
    private fun planes(pixels: IntArray) =
        FloatArray(pixels.size * 3) { (pixels[it / 3] shr (16 - 8 * (it % 3)) and 255).toFloat() }

    private fun joined(p: Int, result: FloatArray, i: Int): Int {
        val r = level(result[3 * i])
        val g = level(result[3 * i + 1])
        val b = level(result[3 * i + 2])
        return (255 shl 24) or (r shl 16) or (g shl 8) or b"""


def _zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()
