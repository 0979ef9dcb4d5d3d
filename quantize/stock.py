"""What a comparison with other quantizers needs: the very crops, the stock converter's model, the seconds.

``<out>/<model>/`` gets ``stock.tflite`` (the public ``TFLiteConverter``, full integer, with a card),
``ranges.tflite`` (ours with calibrated ranges and no correction, what is quickest), ``nearest.tflite`` (ours with all
corrections but adaptive rounding), ``calibration.npz`` (``crops``: uint8, N × side × side × C, what every quantizer is
to calibrate on) and ``prepared.json`` (how long conversions took, from a float model and crops in memory to int8 bytes,
and of what).
"""

import dataclasses
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from octopix.card import graph_sha256
from octopix.conditions import now, read_conditions
from octopix.files import write_bytes, write_json
from quantize.conversion_speed import convert_stock
from quantize.embed import embed_card
from quantize.methods import METHODS
from quantize.schemes import BEST_PTQ, NEAREST_PTQ, QUICKEST_PTQ, parse_scheme
from quantize.workbench import Subject, Workbench, load_subject
from train.data.sources import DataHome

PREPARED_VERSION = 3
STOCK_SCHEME = "int8-ptq-minmax"
MODEL, CROPS, FACTS = "stock.tflite", "calibration.npz", "prepared.json"
QUICKER: Mapping[str, str] = {QUICKEST_PTQ: "ranges.tflite", NEAREST_PTQ: "nearest.tflite"}
"""Schemes of ours that take less time than the best, and the files that they give."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """``prepared.json``."""

    octopix_prepared: int
    model: str
    scheme: str
    """The scheme of ours that was timed."""
    octopix_seconds: float
    """Statistics, ranges, corrections and conversion, from the float flatbuffer and the crops on."""
    nearest_seconds: float
    """The same of ``nearest.tflite``, without adaptive rounding."""
    ranges_seconds: float
    """The same of ``ranges.tflite``, without corrections."""
    stock_seconds: float
    """``TFLiteConverter`` from the Keras model on, which exports once more."""
    octopix_graph_sha256: str
    """Of the model that the timed conversion gave."""
    calibration_sha256: str
    """Of the crops, as cards have it."""
    weights_sha256: str | None
    created: str


def prepare(model: str, home: DataHome, out: Path) -> Prepared:
    """Make the files for a model of the zoo.

    Raises:
        OctopixError: unknown model, no weights, unusable images, no place to write.
    """
    subject = load_subject(model)
    bench = Workbench(subject, home)
    made = {scheme: _converted(subject, home, scheme) for scheme in (*QUICKER, BEST_PTQ)}
    crops, best = bench.calibration, made[BEST_PTQ]
    images = list(crops.images())
    stock, stock_seconds = _timed(lambda: convert_stock(subject.model, images))
    card = bench.card(parse_scheme(STOCK_SCHEME), training="stock TFLiteConverter")
    folder = out / model
    facts = Prepared(
        PREPARED_VERSION,
        model=model,
        scheme=BEST_PTQ,
        octopix_seconds=best.seconds,
        nearest_seconds=made[NEAREST_PTQ].seconds,
        ranges_seconds=made[QUICKEST_PTQ].seconds,
        stock_seconds=stock_seconds,
        octopix_graph_sha256=graph_sha256(best.model),
        calibration_sha256=crops.sha256(),
        weights_sha256=subject.weights_sha256,
        created=now(),
    )
    write_bytes(folder / MODEL, embed_card(stock, card))
    for scheme, name in QUICKER.items():
        write_bytes(folder / name, made[scheme].model)
    write_bytes(folder / CROPS, _packed(np.concatenate(crops.crops)))
    write_json(folder / FACTS, dataclasses.asdict(facts) | {"conditions": dataclasses.asdict(read_conditions())})
    return facts


@dataclasses.dataclass(frozen=True)
class _Converted:
    """A scheme's model, with its card, and how long it took without that."""

    model: bytes
    seconds: float


def _converted(subject: Subject, home: DataHome, name: str) -> _Converted:
    """On a bench of its own: all that a scheme gains from one before is a warm process, as peers get."""
    bench, scheme = Workbench(subject, home), parse_scheme(name)
    _ = bench.float_model, bench.calibration
    made, seconds = _timed(lambda: METHODS[scheme.kind](bench, scheme).model)
    return _Converted(embed_card(made, bench.card(scheme)), seconds)


def _timed(call: Callable[[], bytes]) -> tuple[bytes, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def _packed(crops: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, crops=crops)
    return stream.getvalue()
