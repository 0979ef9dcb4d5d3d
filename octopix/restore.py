"""Whole pictures through a network: colour, depth, alpha and size are dealt with on purpose.

- Luma networks (card: ``y``) get the Y of BT.601, rounded to 8 bits for 8-bit pictures, as in training; Cb and Cr are
  upscaled bicubically. A grey picture is the plane itself, full range, as super-resolution papers' code takes it.
- RGB networks get a grey picture repeated three times; the grey result is the mean of the three. Not their luma,
  which belongs to studio swing and would count the error of green most.
- 16-bit pictures stay 16-bit through networks with float input and output. Integer networks see them rounded to
  8 bits, and their 8-bit result is widened (×257), so that the file format stays what it was.
- Alpha never meets the network: it is upscaled bicubically.
- Networks that work at the size of their output (card: ``enlarged``) get the picture enlarged bicubically.
- Sides that are no multiple of the card's ``multiple_of`` are padded by repeating the edge, and the result is cropped.
"""

from pathlib import Path

import numpy as np

from octopix.card import ModelCard, read_card
from octopix.errors import ImageError, ModelFileError
from octopix.images import Array, Picture, luma_bytes, rgb_to_ycbcr, to_bytes, to_unit, ycbcr_to_rgb
from octopix.resize import bicubic
from octopix.runtime import Session, open_session
from octopix.schema import naming, read_model_bytes

_CHANNELS = {"y": 1, "rgb": 3}
_BYTE_SCALE = 1 / 255


class Restorer:
    """A network with its card, ready for pictures. Not to be shared between threads.

    Args:
        model: a ``.tflite`` with an octopix card inside, or its bytes.
        threads: CPU threads, at least 1.
        runtime: as for `octopix.runtime.open_session`.
        delegate: as for `octopix.runtime.open_session`.

    Raises:
        ModelFileError: damaged, foreign, without a card, or not what its card says.
        RuntimeMissingError: no TFLite runtime can be imported.
    """

    def __init__(
        self, model: Path | bytes, *, threads: int = 1, runtime: str | None = None, delegate: str = "cpu"
    ) -> None:
        content = read_model_bytes(model)
        with naming(model):
            self.card: ModelCard = read_card(content)
            self.session: Session = open_session(content, threads=threads, runtime=runtime, delegate=delegate)
            _check_network(self.session, self.card)

    def restore(self, picture: Picture) -> Picture:
        """The restored picture: sides × ``card.scale``, depth, colour and alpha as they came."""
        pixels, integer = picture.pixels, self.session.input_dtype.kind != "f" or self.session.output_dtype.kind != "f"
        if pixels.dtype == np.uint16 and integer:
            restored = self._restore_pixels(_narrow(pixels)).astype(np.uint16) * np.uint16(257)
        else:
            restored = self._restore_pixels(pixels)
        return Picture(pixels=restored, alpha=None if picture.alpha is None else self._enlarge(picture.alpha))

    def run_plane(self, plane: Array) -> Array:
        """One raw call of the network on a plane that is already in its colour space.

        Args:
            plane: (H, W, C), C = 1 (luma) or 3 (RGB): uint8 or uint16 over their full range, or floats in [0, 1].
                uint8 into a uint8 network is copied as it is.

        Returns:
            (H · scale, W · scale, C): uint8 from a network with 8-bit picture output, else float32, 0 black and
            1 white, neither clipped nor rounded (see `plane_bytes`).

        Raises:
            ImageError: another number of channels or dimensions.
            ModelFileError: the network cannot take this size, or its output is not ``card.scale`` times the input.
        """
        channels = _CHANNELS[self.card.channels]
        if plane.ndim != 3 or plane.shape[2] != channels:
            raise ImageError(
                expected=f"a plane (H, W, {channels}) for {self.card.model}",
                got=f"shape {plane.shape}",
                do="give the channels last",
            )
        seen, scale = self._network_input(plane)
        padded = _pad(seen, self.card.multiple_of)
        result = self.session.invoke(_encode(padded, self.session)[np.newaxis])[0]
        height, width = (side * scale for side in padded.shape[:2])
        if result.shape != (height, width, channels):
            raise ModelFileError(
                expected=f"an output of {(height, width, channels)}, as the card's scale {self.card.scale} says",
                got=f"{result.shape}",
                do="write the model again with `make quantize`",
            )
        height, width = (side * scale for side in seen.shape[:2])
        return _decode(result[:height, :width], self.session)

    def _restore_pixels(self, pixels: Array) -> Array:
        grey = pixels.shape[2] == 1
        if self.card.channels == "y" and not grey:
            return self._restore_luma(pixels)
        if self.card.channels == "rgb" and grey:
            restored = _unit(self.run_plane(np.repeat(pixels, 3, axis=2))).mean(axis=2, keepdims=True)
        else:
            restored = self.run_plane(pixels)
        return _to_depth(restored, pixels.dtype)

    def _restore_luma(self, rgb: Array) -> Array:
        ycbcr = rgb_to_ycbcr(to_unit(rgb))
        y = luma_bytes(rgb)[..., np.newaxis] if rgb.dtype == np.uint8 else ycbcr[..., :1]
        restored = _unit(self.run_plane(y))
        # Clipping Y first gives float networks what saturation gives integer ones.
        planes = [np.clip(restored, 0, 1), self._enlarge(ycbcr[..., 1:])]
        return _to_depth(ycbcr_to_rgb(np.concatenate(planes, axis=2)), rgb.dtype)

    def _network_input(self, plane: Array) -> tuple[Array, int]:
        """What the network itself sees of a plane, and its own scale."""
        return (self._enlarge(plane), 1) if self.card.enlarged else (plane, self.card.scale)

    def _enlarge(self, image: Array) -> Array:
        return image if self.card.scale == 1 else bicubic(image, scale=self.card.scale)


def plane_bytes(plane: Array) -> Array:
    """What `Restorer.run_plane` returns, as uint8: floats are clipped and rounded half up, uint8 stays as it is."""
    return plane if plane.dtype == np.uint8 else to_bytes(plane)


def _check_network(session: Session, card: ModelCard) -> None:
    graph, channels = session.graph, _CHANNELS[card.channels]
    ports = (len(graph.inputs), len(graph.outputs))
    shape = session.input_shape
    if ports != (1, 1) or len(shape) != 4 or shape[3] != channels:
        raise ModelFileError(
            expected=f"one input (1, H, W, {channels}) and one output, as the card says",
            got=f"{ports[0]} inputs, {ports[1]} outputs, first input {shape}",
            do="write the model again with `make quantize`",
        )
    if card.value_range != (0.0, 1.0):
        raise ModelFileError(
            expected="a network of values 0 to 1",
            got=f"{card.value_range[0]} to {card.value_range[1]} in the card",
            do="put the scaling into the network, then convert it again",
        )


def _encode(plane: Array, session: Session) -> Array:
    """Values as the network's input stores them: value = scale · (stored − zero point)."""
    if session.input_dtype.kind == "f":
        return plane.astype(session.input_dtype, copy=False) if plane.dtype.kind == "f" else to_unit(plane)
    if _holds_bytes(session.input_dtype, session.input_quantization):
        return plane_bytes(plane if plane.dtype.kind == "f" or plane.dtype == np.uint8 else to_unit(plane))
    scale, zero_point = session.input_quantization
    limits = np.iinfo(session.input_dtype)
    levels: Array = np.floor(_unit(plane) / np.float32(scale) + np.float32(0.5)) + zero_point
    return np.clip(levels, limits.min, limits.max).astype(session.input_dtype)


def _decode(stored: Array, session: Session) -> Array:
    if stored.dtype.kind == "f" or _holds_bytes(session.output_dtype, session.output_quantization):
        return stored
    scale, zero_point = session.output_quantization
    values: Array = (stored.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values


def _holds_bytes(dtype: np.dtype[np.generic], quantization: tuple[float, int]) -> bool:
    """Whether the stored values are an 8-bit picture: uint8, scale 1/255 (to float32's precision), zero point 0."""
    scale, zero_point = quantization
    return dtype == np.uint8 and zero_point == 0 and abs(scale / _BYTE_SCALE - 1) < 1e-6


def _unit(plane: Array) -> Array:
    return plane if plane.dtype.kind == "f" else to_unit(plane)


def _to_depth(plane: Array, dtype: np.dtype[np.generic]) -> Array:
    """Clip and round half up to the picture's own depth."""
    if dtype == np.uint8:
        return plane_bytes(plane)
    levels: Array = np.clip(plane, 0, 1).astype(np.float64) * 65535
    return np.floor(levels + 0.5).astype(np.uint16)


def _narrow(pixels: Array) -> Array:
    """16 bits to 8: divided by 257, rounded half up."""
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _pad(plane: Array, multiple: int) -> Array:
    height, width = plane.shape[:2]
    below, right = -height % multiple, -width % multiple
    return np.pad(plane, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else plane
