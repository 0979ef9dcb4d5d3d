"""Who is compared: an explicit registry. A contender is one entry here.

All float contenders get the same weights, all int8 contenders the same float network and the same calibration crops.
Every int8 one has int8 (or uint8) weights and activations. ONNX Runtime's fourth calibrator, ``Distribution``, is for
8-bit floats alone and so not among them.
"""

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.peers import onnxruntime_int8, openvino_int8
from benchmarks.peers.engines import OnnxRuntimeEngine, OpenVinoEngine, session_of
from octopix.images import Array
from octopix.runtime import RunFacts, Session, open_session
from octopix.session import Engine

Group = Literal["octopix", "tflite-converter", "onnxruntime", "openvino"]
Precision = Literal["float32", "bf16", "int8"]
FLOAT, OURS = "LiteRT float32", "octopix int8"
NEAREST, RANGES = "octopix int8, nearest rounding", "octopix int8, ranges alone"
STOCK = "TFLiteConverter int8"
"""With those above, the names of the contenders whose files are given."""

Convert = Callable[[Path, Array, Path], Path]
"""From the float ``.onnx``, the crops and a folder of its own to the file that runs."""


@dataclass(frozen=True)
class Opening:
    """How a network is to be opened."""

    threads: int
    reference: bytes
    """The float ``.tflite``."""
    shape: tuple[int, ...] | None = None
    """The only input shape that will come, (1, H, W, C); None where sizes vary."""


@dataclass(frozen=True)
class Contender:
    """One line of the comparison."""

    name: str
    group: Group
    precision: Precision
    settings: str
    open: Callable[[Path, Opening], Session]
    convert: Convert | None = None
    """None where the file is given."""


def _litert(path: Path, opening: Opening) -> Session:
    return open_session(path, threads=opening.threads)


def _onnxruntime(path: Path, opening: Opening) -> Session:
    def engine(shape: tuple[int, ...]) -> Engine:
        return OnnxRuntimeEngine(path, shape, threads=opening.threads, fixed=opening.shape is not None)

    return session_of(engine, opening.reference, _facts("onnxruntime", opening), shape=opening.shape)


def _openvino(precision: str | None, path: Path, opening: Opening) -> Session:
    def engine(shape: tuple[int, ...]) -> Engine:
        fixed = opening.shape is not None
        return OpenVinoEngine(path, shape, threads=opening.threads, fixed=fixed, precision=precision)

    return session_of(engine, opening.reference, _facts("openvino", opening), shape=opening.shape)


def _facts(package: str, opening: Opening) -> RunFacts:
    return RunFacts(package, importlib.metadata.version(package), "cpu", "cpu", opening.threads, None, None)


def _as_it_is(model: Path, crops: Array, folder: Path) -> Path:
    """A float network needs no conversion."""
    return model


def _quantized_by_onnxruntime(name: str, method: str, settings: str = "", **extra: Any) -> Contender:
    text = f"QDQ, per channel, {method}{settings}; quant_pre_process"
    convert = functools.partial(onnxruntime_int8.quantize_static, method, extra)
    return Contender(f"ONNX Runtime int8 {name}", "onnxruntime", "int8", text, _onnxruntime, convert)


def _quantized_by_nncf(preset: str, *, fast: bool, ranges: str | None = None) -> Contender:
    words = [preset.lower(), *([] if ranges is None else [ranges.lower()]), "fast" if fast else "accurate"]
    given = "" if ranges is None else f", activations' ranges {ranges}"
    text = f"nncf.quantize, preset {preset}, fast_bias_correction={fast}{given}; overflow fix only without VNNI"
    settings = openvino_int8.Settings(preset, fast, ranges)
    return Contender(
        f"OpenVINO int8 {', '.join(words)}",
        "openvino",
        "int8",
        f"{text}; precision hint left to OpenVINO",
        functools.partial(_openvino, None),
        functools.partial(openvino_int8.quantize, settings),
    )


_LISTED = (
    Contender(FLOAT, "octopix", "float32", "the float .tflite", _litert),
    Contender(OURS, "octopix", "int8", "the best post-training scheme by validation", _litert),
    Contender(NEAREST, "octopix", "int8", "int8-ptq-mse+cle+bias, no adaptive rounding", _litert),
    Contender(RANGES, "octopix", "int8", "int8-ptq-mse, no correction: the quickest of ours", _litert),
    Contender(STOCK, "tflite-converter", "int8", "full integer, min-max, uint8 in and out", _litert),
    Contender("ONNX Runtime float32", "onnxruntime", "float32", "", _onnxruntime, _as_it_is),
    _quantized_by_onnxruntime("minmax", "MinMax"),
    _quantized_by_onnxruntime("moving", "MinMax", ", CalibMovingAverage", CalibMovingAverage=True),
    _quantized_by_onnxruntime("entropy", "Entropy"),
    _quantized_by_onnxruntime(
        "percentile", "Percentile", " 99.999, asymmetric ranges", CalibTensorRangeSymmetric=False
    ),
    Contender("OpenVINO float32", "openvino", "float32", "f32", functools.partial(_openvino, "f32"), _as_it_is),
    Contender("OpenVINO bf16", "openvino", "bf16", "bf16", functools.partial(_openvino, "bf16"), _as_it_is),
    _quantized_by_nncf("PERFORMANCE", fast=True),
    _quantized_by_nncf("PERFORMANCE", fast=False),
    _quantized_by_nncf("MIXED", fast=True),
    _quantized_by_nncf("MIXED", fast=False),
    _quantized_by_nncf("MIXED", fast=True, ranges="MINMAX"),
    _quantized_by_nncf("MIXED", fast=False, ranges="MINMAX"),
    _quantized_by_nncf("MIXED", fast=False, ranges="HISTOGRAM"),
)
CONTENDERS: Mapping[str, Contender] = {each.name: each for each in _LISTED}
"""By name, in the order of the table."""

PACKAGES = ("ai-edge-litert", "onnx", "onnxruntime", "openvino", "nncf")


def versions() -> dict[str, str]:
    """Of the packages that are compared."""
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def missing_packages() -> tuple[str, ...]:
    """Packages of the extra ``peers`` that are not installed."""
    found = {each.metadata["Name"].lower() for each in importlib.metadata.distributions()}
    return tuple(package for package in PACKAGES if package not in found)
