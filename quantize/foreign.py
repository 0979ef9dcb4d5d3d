"""A float model of the user's, made ready for the bench: whatever it came as, all meet in a float flatbuffer.

A ``.tflite`` is taken as it is. Keras models and SavedModels go through the exporter of the zoo, so they have float16
and dynamic-range forms too. Quantization-aware training needs a Keras 2 graph that is one picture in [0, 1] as it
stands.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from octopix.card import Channels
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import Graph, constant, read_graph
from octopix.images import Array
from octopix.metrics import psnr
from octopix.ports import plane_bytes
from octopix.receptive import geometry
from octopix.resize import bicubic
from octopix.runtime import open_session
from quantize.embed import without_card
from quantize.export import SIDE, to_dynamic, to_float16, to_float32
from quantize.given import Given
from quantize.own_images import OwnImages, read_own
from quantize.saved import Network, open_keras, open_saved_model
from quantize.schemes import Kind
from quantize.statistics import collect
from quantize.surgery import Span, channels_last, in_unit_range, sized, stated_ranges
from quantize.value_range import UNIT, ValueRange, every_range
from quantize.workbench import QUICK_IMAGES, Subject
from train.data.sources import DataHome, images_for
from train.models.spec import ModelSpec
from train.pipeline import load_pairs

Export = Callable[[], bytes]
TRIED = 3
"""Pictures on which the value range is found out."""
TRIED_SIDE = 128
ALIKE = 0.3
"""Correlation of an output with its enlarged input, below which it is no picture. Restored ones have 0.9 and more."""
GOOD = 20.0
"""dB at which the output is so much like the input that [0, 1] stays possible, however good others are."""
CLEARLY = 6.0
"""dB by which another value range must make the output more like the input than [0, 1] does."""


@dataclass(frozen=True)
class _Opened:
    """A model file."""

    exports: Mapping[Kind, Export]
    """Float flatbuffers by kind, as the file's network has it."""
    network: Network | None = None
    """None for a ``.tflite``."""
    source: str = ""
    """A few words on what the file is."""


def load_given(given: Given, home: DataHome, *, quick: bool = False) -> Subject:
    """The subject; its ``training`` says what was found out about the file.

    Args:
        given: what the user names.
        home: where images come from for a super-resolution network without a calibration folder.
        quick: few validation images.

    Raises:
        ModelFileError: damaged, not float, or not a network that turns one picture into one picture; the message says
            what is in the way.
        ConfigError: no calibration folder where one is needed, or a value range that has to be named.
        DataError: folders that cannot serve.
    """
    opened = _open(given)
    shaped = _shaped(opened.exports["float32"]())
    spec = _spec(given.name, read_graph(shaped))
    _check_any_size(shaped, spec)
    own = _own(given, spec, quick=quick)
    pictures = own.calibrate if own is not None else _tried(spec, home)
    asked = given.value_range
    check_finite(shaped, pictures, (asked or UNIT).given)
    found = found_range(shaped, spec.scale, pictures) if asked is None else Found(asked, sure=True)
    check_picture(shaped, spec.scale, pictures, found.values)
    return _subject(opened, spec, own, found)


def _subject(opened: _Opened, spec: ModelSpec, own: OwnImages | None, found: "Found") -> Subject:
    values = found.values

    def finished(export: Export) -> bytes:
        return in_unit_range(_shaped(export()), values)

    exports = {kind: partial(finished, export) for kind, export in opened.exports.items()}
    content = exports["float32"]()
    trainable = opened.network is not None and opened.network.trainable and values == UNIT
    return Subject(
        spec=spec,
        model=opened.network.model if trainable and opened.network is not None else None,
        weights_sha256=hashlib.sha256(content).hexdigest(),
        training=f"{opened.source}, values {found.name}",
        exports={**exports, "float32": lambda: content},
        own=own,
    )


def _open(given: Given) -> _Opened:
    if given.path.suffix.lower() == ".tflite":
        content = without_card(given.path.read_bytes())
        return _Opened({"float32": lambda: content}, source="from a .tflite")
    network = (open_saved_model(given.path) if given.path.is_dir() else open_keras(given.path)).turned()
    height, width = (side or SIDE for side in network.input_shape[1:3])
    kinds: dict[Kind, Callable[..., bytes]] = {"float32": to_float32, "float16": to_float16, "dynamic": to_dynamic}
    exports = {kind: partial(export, network, height=height, width=width) for kind, export in kinds.items()}
    return _Opened(exports, network, network.source)


def _shaped(content: bytes) -> bytes:
    """One picture in, one out, channels last, static size; refuses everything else."""
    graph = read_graph(content)
    _check_float(graph)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        names = ", ".join(graph.tensors[index].name for index in (*graph.inputs, *graph.outputs))
        raise ModelFileError(
            expected="a network with one input and one output, both pictures",
            got=f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs ({names})",
            do="export the one path from picture to picture",
        )
    turned = channels_last(content)
    graph = read_graph(turned)
    shape = graph.tensors[graph.inputs[0]].shape_signature
    if len(shape) != 4 or shape[0] not in {1, -1} or shape[3] not in {1, 3}:
        raise ModelFileError(
            expected="one grey or RGB picture, (1, H, W, 1) or (1, H, W, 3), as input",
            got=f"{shape} at {graph.tensors[graph.inputs[0]].name}",
            do="export the network for single pictures, channels last",
        )
    height, width = (side if side > 1 else SIDE for side in shape[1:3])
    return sized(turned, height, width)


def _check_float(graph: Graph) -> None:
    ports = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    wrong = next((tensor for tensor in ports if tensor.dtype != "float32"), None)
    wrong = wrong or next((tensor for tensor in graph.tensors if tensor.dtype in {"int8", "uint8", "int16"}), None)
    if wrong is not None:
        raise ModelFileError(
            expected="a float32 model",
            got=f"{wrong.dtype} in {wrong.name}",
            do="convert the float network without quantization (no `optimizations`)",
        )
    for tensor in graph.tensors:
        if tensor.is_constant and tensor.dtype == "float32" and not np.isfinite(constant(tensor)).all():
            raise ModelFileError(
                expected="finite weights",
                got=f"NaN or infinity in {tensor.name}",
                do="go back to the last good checkpoint of this network",
            )


def _spec(name: str, graph: Graph) -> ModelSpec:
    """What the registry would say of it."""
    source, target = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if len(target.shape) != 4 or target.shape[3] != source.shape[3]:
        raise _no_picture(f"{target.shape} out of {source.shape}")
    found = geometry(graph)
    scale = found.scale
    sides = [side * int(scale or 0) for side in source.shape[1:3]]
    if scale is None or scale.denominator != 1 or scale < 1 or list(target.shape[1:3]) != sides:
        raise _no_picture(f"{target.shape} out of {source.shape}")
    channels: Channels = "y" if source.shape[3] == 1 else "rgb"
    return ModelSpec(
        name=name,
        title=name,
        task="super-resolution" if scale > 1 else "enhancement",
        scale=int(scale),
        channels=channels,
        multiple_of=found.multiple_of,
        parameters=sum(int(np.prod(each.shape)) for each in graph.tensors if each.is_constant),
        build=_not_built,
        degradation="bicubic" if scale > 1 else "unknown",
    )


def _not_built() -> Any:
    raise TypeError("a user's model is loaded, not built")


def _no_picture(got: str) -> ModelFileError:
    return ModelFileError(
        expected="an output picture with the input's channels, a whole number of times its size",
        got=got,
        do="export the path from picture to picture, with padded (`same`) convolutions",
    )


def _check_any_size(model: bytes, spec: ModelSpec) -> None:
    """Calibration and tiles need other sizes than the one that was exported."""
    graph = read_graph(model)
    _, height, width, channels = graph.tensors[graph.inputs[0]].shape
    height, width = height + spec.multiple_of, width + 2 * spec.multiple_of
    wanted = (height * spec.scale, width * spec.scale)
    try:
        got = str(shape := open_session(model).invoke(np.zeros((1, height, width, channels), np.float32)).shape[1:3])
    except ModelFileError as error:
        shape, got = (), error.got
    if tuple(shape) != wanted:
        raise ModelFileError(
            expected=f"a network for pictures of any size ({wanted} out of {(height, width)})",
            got=got,
            do="export it without sizes as constants: in RESHAPE, RESIZE_BILINEAR and the like",
        )


def _own(given: Given, spec: ModelSpec, *, quick: bool) -> OwnImages | None:
    if given.calibration is not None:
        few = QUICK_IMAGES if quick else None
        return read_own(given.calibration, given.reference, channels=spec.channels, scale=spec.scale, few=few)
    if spec.scale == 1:
        raise ConfigError(
            expected="a folder of images that this network is to restore",
            got="none, and nobody knows what it was trained to undo",
            do="give CALIBRATION=, and REFERENCE= where there is ground truth",
        )
    return None


def _tried(spec: ModelSpec, home: DataHome) -> tuple[Array, ...]:
    images = images_for(home, "calibrate", lists=spec.lists)
    few = type(images)(images.name, images.title, images.refs[:TRIED])
    return tuple(given for given, _ in load_pairs(spec, few))


@dataclass(frozen=True)
class Found:
    """A value range, and how sure it is."""

    values: ValueRange
    sure: bool
    """False where others would do as well on the images: networks that are nearly linear do not tell."""

    @property
    def name(self) -> str:
        """In a few words, for the user and the card."""
        return self.values.name if self.sure else f"{self.values.name} (assumed; VALUE_RANGE= names another)"


def found_range(model: bytes, scale: int, pictures: Sequence[Array]) -> Found:
    """The value range that the network's ends state; where they state nothing, [0, 1], if the images do not object.

    A restored picture is its input over again, so a wrong range may show: a network of [0, 255] fed with [0, 1] gives
    its biases back.

    Args:
        model: float ``.tflite``, one picture in, one out.
        scale: output over input.
        pictures: uint8 (h, w, C).

    Raises:
        ConfigError: another range than [0, 1] makes the output clearly more like the input.
    """
    given, made = stated_ranges(model)
    open_ones = [each for each in every_range() if each.given in given and each.made in made]
    wanted, outputs = _enlarged(pictures, scale), {span: _outputs(model, pictures, span) for span in given}
    scores = {each: _likeness(wanted, outputs[each.given], each.made) for each in open_ones}
    best = max(scores, key=lambda values: scores[values])
    close = [each for each in scores if scores[each] > scores[best] - CLEARLY]
    if scores.get(UNIT, 0) > GOOD and UNIT not in close:
        close.append(UNIT)
    if UNIT in scores and UNIT not in close:
        raise ConfigError(
            expected="VALUE_RANGE=, the values that this network was trained on",
            got=f"an output that is like its input to {scores[UNIT]:.1f} dB with {UNIT.name}, "
            f"but to {scores[best]:.1f} dB with {best.name}",
            do=f"give VALUE_RANGE={best.name} if that is right, else VALUE_RANGE={UNIT.name}",
        )
    chosen = min(close, key=lambda values: (values != UNIT, values.given != values.made, -scores[values]))
    return Found(chosen, sure=len(close) == 1)


def check_finite(model: bytes, pictures: Sequence[Array], span: Span) -> None:
    """Look at every tensor on a few pictures.

    Raises:
        ModelFileError: NaN or infinity; the message names the tensor.
    """
    collect(model, (_valued(_crop(each), span) for each in pictures[:TRIED]))


def check_picture(model: bytes, scale: int, pictures: Sequence[Array], values: ValueRange) -> None:
    """Whether the network gives the picture that it gets.

    Raises:
        ModelFileError: an output that has nothing to do with the input.
    """
    wanted, outputs = _enlarged(pictures, scale), _outputs(model, pictures, values.given)
    alike = [_correlation(*pair) for pair in zip(wanted, outputs, strict=True)]
    if max(alike) < ALIKE:
        raise ModelFileError(
            expected=f"a network that restores the picture it gets, values {values.name}",
            got=f"an output whose correlation with the input is {max(alike):.2f}",
            do="export the whole network, its shortcut from the image included, or correct VALUE_RANGE=",
        )


def _likeness(wanted: Sequence[Array], outputs: Sequence[Array], made: Span) -> float:
    """Mean PSNR of outputs, whose black and white are ``made``, against enlarged inputs, dB."""
    black, white = made
    pictures = [plane_bytes((each - black) / (white - black)) for each in outputs]
    decibels = [psnr(want, picture) for want, picture in zip(wanted, pictures, strict=True)]
    return float(np.mean(np.minimum(decibels, 100)))  # an identical picture is as much as a very similar one


def _enlarged(pictures: Sequence[Array], scale: int) -> list[Array]:
    crops = [_crop(each) for each in pictures[:TRIED]]
    return [bicubic(crop, scale=scale) for crop in crops] if scale > 1 else crops


def _outputs(model: bytes, pictures: Sequence[Array], given: Span) -> list[Array]:
    """What the network makes of the pictures' middles, (h, w, C) in its own values."""
    session = open_session(model)
    return [session.invoke(_valued(_crop(each), given))[0] for each in pictures[:TRIED]]


def _valued(crop: Array, span: Span) -> Array:
    black, white = span
    return (crop[None].astype(np.float32) / np.float32(255) * (white - black) + black).astype(np.float32)


def _crop(picture: Array) -> Array:
    padding = [(0, max(0, TRIED_SIDE - side)) for side in picture.shape[:2]]
    top, left = (max(0, side - TRIED_SIDE) // 2 for side in picture.shape[:2])
    return np.pad(picture, (*padding, (0, 0)), mode="symmetric")[top : top + TRIED_SIDE, left : left + TRIED_SIDE]


def _correlation(one: Array, other: Array) -> float:
    """Of magnitude, so that negatives count as pictures; 0 where one is flat."""
    if one.std() == 0 or other.std() == 0:
        return 1.0 if one.std() == 0 else 0.0
    return abs(float(np.corrcoef(one.ravel().astype(np.float64), other.ravel().astype(np.float64))[0, 1]))
