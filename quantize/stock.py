"""What a comparison with other quantizers needs from here: the very crops, the stock converter's model, the seconds.

``<out>/<model>/`` gets ``stock.tflite`` (the public ``TFLiteConverter``, full integer, with a card), ``calibration.npz``
(``crops``: uint8, N × side × side × C, what every quantizer is to calibrate on) and ``prepared.json`` (how long the
conversions took, from a float model and crops in memory to int8 bytes, and what they were made of).
"""

import argparse
import dataclasses
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from octopix.card import graph_sha256
from octopix.conditions import now, read_conditions
from octopix.errors import ConfigError
from octopix.files import write_bytes, write_json
from quantize.schemes import BEST_PTQ, parse_scheme
from train.quiet import native_noise_dropped

PREPARED_VERSION = 1
STOCK_SCHEME = "int8-ptq-minmax"
MODEL, CROPS, FACTS = "stock.tflite", "calibration.npz", "prepared.json"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """``prepared.json``."""

    octopix_prepared: int
    model: str
    scheme: str
    """The scheme of ours that was timed."""
    octopix_seconds: float
    """Statistics, ranges, corrections and conversion, from the float flatbuffer and the crops on."""
    stock_seconds: float
    """``TFLiteConverter`` from the Keras model on, which exports once more."""
    octopix_graph_sha256: str
    """Of the model that the timed conversion gave."""
    calibration_sha256: str
    """Of the crops, as cards have it."""
    weights_sha256: str | None
    created: str


def add_stock(commands: Any, common: argparse.ArgumentParser) -> None:
    """``stock``: what `python -m benchmarks peers` compares with."""
    parser = commands.add_parser(
        "stock", parents=[common], description="Crops, the stock converter's int8 and seconds, for `benchmarks peers`."
    )
    parser.add_argument("--out", type=Path, default=Path("peers"), help="folder (default: %(default)s)")
    parser.set_defaults(run=_stock)


def prepare(model: str, data: Path | None, out: Path) -> Prepared:
    """Make the three files for a model of the zoo.

    Raises:
        OctopixError: unknown model, no weights, unusable images, no place to write.
    """
    from quantize.conversion_speed import convert_stock  # TensorFlow, after the arguments are known to be good
    from quantize.embed import embed_card
    from quantize.methods import METHODS
    from quantize.workbench import Workbench, load_subject
    from train.data.sources import locate

    subject = load_subject(model)
    bench = Workbench(subject, locate(data))
    crops, scheme = bench.calibration, parse_scheme(BEST_PTQ)
    _ = bench.float_model
    made, octopix_seconds = _timed(lambda: METHODS[scheme.kind](bench, scheme).model)
    images = list(crops.images())
    stock, stock_seconds = _timed(lambda: convert_stock(subject.model, images))
    card = bench.card(parse_scheme(STOCK_SCHEME), training="stock TFLiteConverter")
    folder = out / model
    facts = Prepared(
        PREPARED_VERSION,
        model=model,
        scheme=scheme.name,
        octopix_seconds=octopix_seconds,
        stock_seconds=stock_seconds,
        octopix_graph_sha256=graph_sha256(made),
        calibration_sha256=crops.sha256(),
        weights_sha256=subject.weights_sha256,
        created=now(),
    )
    write_bytes(folder / MODEL, embed_card(stock, card))
    write_bytes(folder / CROPS, _packed(np.concatenate(crops.crops)))
    write_json(folder / FACTS, dataclasses.asdict(facts) | {"conditions": dataclasses.asdict(read_conditions())})
    return facts


def _timed(call: Callable[[], bytes]) -> tuple[bytes, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def _packed(crops: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, crops=crops)
    return stream.getvalue()


def _stock(options: argparse.Namespace) -> None:
    from train.models import MODELS, find_model

    models = [name for name, spec in MODELS.items() if spec.weights.exists()]
    if options.model != "all":
        models = [find_model(options.model).name]
    if not models:
        raise ConfigError(expected="a model with weights", got="none", do="run: make train MODEL=…")
    for model in models:
        with native_noise_dropped():
            facts = prepare(model, options.data, options.out)
        print(
            f"{model:<18} {facts.scheme} {facts.octopix_seconds:.1f} s, "
            f"TFLiteConverter {facts.stock_seconds:.1f} s: {options.out / model}"
        )
