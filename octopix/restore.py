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
- Large pictures go through in tiles (see `octopix.tiling`), whose results join without a trace.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from octopix.card import ModelCard, read_card
from octopix.errors import ImageError, ModelFileError
from octopix.images import Array, Picture, luma_bytes, rgb_to_ycbcr, to_unit, ycbcr_to_rgb
from octopix.planner import Tile, Wish
from octopix.ports import decoded_dtype, plane_bytes, to_depth, unit
from octopix.resize import bicubic
from octopix.runtime import Session, open_session
from octopix.schema import naming, read_model_bytes
from octopix.tiler import OnTile, Tiler
from octopix.tiling import Tiling
from octopix.windows import Source

__all__ = ["Restorer", "plane_bytes"]

_CHANNELS = {"y": 1, "rgb": 3}
_STRIP = 128
"""Rows of a picture whose colour is enlarged at once: the same ones however the network is tiled."""


class Restorer:
    """A network with its card, ready for pictures of any size. Not to be shared between threads.

    Args:
        model: a ``.tflite`` with an octopix card inside, or its bytes.
        threads: CPU threads, at least 1.
        runtime: as for `octopix.runtime.open_session`.
        delegate: as for `octopix.runtime.open_session`.
        tile: ``auto`` cuts pictures that need more than ``memory_mib``, and such of 2 megapixels and more, into tiles
            of the size that a short trial finds fastest; ``none`` cuts nothing; a number is the side of the tiles, in
            pixels of what the network sees.
        allow_fallback: as for `octopix.runtime.open_session`.
        memory_mib: what the network's interpreters may take under ``auto``, by estimate; the pictures come on top.

    Raises:
        ModelFileError: damaged, foreign, without a card, or not what its card says.
        RuntimeMissingError: no TFLite runtime can be imported.
        DelegateError: the delegate is not to be had.
        ConfigError: threads, tiles or memory of less than 1.
    """

    def __init__(
        self,
        model: Path | bytes,
        *,
        threads: int = 1,
        runtime: str | None = None,
        delegate: str = "cpu",
        tile: Tile = "auto",
        memory_mib: int | None = None,
        allow_fallback: bool = False,
    ) -> None:
        content = read_model_bytes(model)

        def open_with(count: int) -> Session:
            return open_session(
                content, threads=count, runtime=runtime, delegate=delegate, allow_fallback=allow_fallback
            )

        with naming(model):
            self.card: ModelCard = read_card(content)
            self._tiler = Tiler(open_with, self.card, Wish(tile=tile, memory_mib=memory_mib, threads=threads))
            self.session: Session = self._tiler.session
            _check_network(self.session, self.card)

    def restore(self, picture: Picture, *, on_tile: OnTile | None = None) -> Picture:
        """The restored picture: sides × ``card.scale``, depth, colour and alpha as they came.

        Args:
            picture: of any size.
            on_tile: told how many tiles are done, and of how many.

        Raises:
            ConfigError: see `tiling`.
            ModelFileError: the network cannot take this size, or its output is not ``card.scale`` times the input.
        """
        pixels = picture.pixels
        if self.card.channels == "y" and pixels.shape[2] == 3:
            restored = self._restore_luma(pixels, on_tile)
        else:
            restored = self._restore_channels(pixels, on_tile)
        return Picture(pixels=restored, alpha=None if picture.alpha is None else self._enlarge(picture.alpha))

    def tiling(self, height: int, width: int) -> Tiling:
        """How a picture of this size goes through the network; tries tile sizes first where that is to decide.

        Raises:
            ConfigError: the tile that was asked for is too small for this network, or the network looks at the whole
                picture; the memory limit is too small for any tile.
        """
        times = self.card.scale if self.card.enlarged else 1
        return self._tiler.tiling((height * times, width * times))

    def release(self) -> None:
        """Give back the memory that large pictures took; the next one takes it again."""
        self._tiler.release()

    def run_plane(self, plane: Array) -> Array:
        """The network on a plane that is already in its colour space.

        Args:
            plane: (H, W, C), C = 1 (luma) or 3 (RGB): uint8 or uint16 over their full range, or floats in [0, 1].
                uint8 into a uint8 network is copied as it is.

        Returns:
            (H · scale, W · scale, C): uint8 from a network with 8-bit picture output, else float32, 0 black and
            1 white, neither clipped nor rounded (see `plane_bytes`).

        Raises:
            ImageError: another number of channels or dimensions.
            ConfigError: see `tiling`.
            ModelFileError: the network cannot take this size, or its output is not ``card.scale`` times the input.
        """
        channels = _CHANNELS[self.card.channels]
        if plane.ndim != 3 or plane.shape[2] != channels:
            raise ImageError(
                expected=f"a plane (H, W, {channels}) for {self.card.model}",
                got=f"shape {plane.shape}",
                do="give the channels last",
            )
        return self._run(plane, lambda pixels: pixels)

    def _run(
        self,
        pixels: Array,
        view: Callable[[Array], Array],
        finish: Callable[[Array], Array] = lambda values: values,
        *,
        dtype: np.dtype[np.generic] | None = None,
        on_tile: OnTile | None = None,
    ) -> Array:
        """The network on a picture, tile by tile.

        Args:
            pixels: (H, W, any number of channels).
            view: makes the network's plane of them, pixel by pixel.
            finish: makes pixels of the network's values, pixel by pixel.
            dtype: of what ``finish`` makes; that of the values, if nothing else is said.
            on_tile: as for `restore`.
        """
        height, width = pixels.shape[:2]
        scale = self.card.scale
        # One pixel tells how many channels come out.
        channels = finish(np.zeros((1, 1, _CHANNELS[self.card.channels]), decoded_dtype(self.session))).shape[2]
        result = np.empty((height * scale, width * scale, channels), dtype or decoded_dtype(self.session))

        def store(values: Array, rows: slice, columns: slice) -> None:
            result[rows, columns] = finish(values)

        self._tiler.run(self._source(pixels, view), store, on_tile=on_tile)
        return result

    def _source(self, pixels: Array, view: Callable[[Array], Array]) -> Source:
        if not self.card.enlarged:
            return Source(pixels, view)
        if view(pixels[:1, :1]).dtype.kind == "f":  # in windows, sums of floats would come out in another order
            return Source(self._enlarge(view(pixels)))
        return Source(pixels, view, self.card.scale)

    def _restore_channels(self, pixels: Array, on_tile: OnTile | None) -> Array:
        """A grey or RGB picture through a network of its colour, or a grey one through an RGB network."""
        dtype, narrow = pixels.dtype, self._narrows(pixels)
        repeats = _CHANNELS[self.card.channels] // pixels.shape[2]

        def view(part: Array) -> Array:
            return np.repeat(_narrow(part) if narrow else part, repeats, axis=2)

        def finish(values: Array) -> Array:
            mean = unit(values).mean(axis=2, keepdims=True) if repeats > 1 else values
            return _widen(to_depth(mean, np.dtype(np.uint8))) if narrow else to_depth(mean, dtype)

        return self._run(pixels, view, finish, dtype=dtype, on_tile=on_tile)

    def _restore_luma(self, rgb: Array, on_tile: OnTile | None) -> Array:
        """An RGB picture through a luma network."""
        narrow, scale = self._narrows(rgb), self.card.scale

        def luma(part: Array) -> Array:
            if part.dtype == np.uint8 or narrow:
                return luma_bytes(_narrow(part) if narrow else part)[..., np.newaxis]
            return rgb_to_ycbcr(to_unit(part))[..., :1]

        restored = self._run(rgb, luma, on_tile=on_tile)
        result = np.empty((*restored.shape[:2], 3), rgb.dtype)
        for top in range(0, len(rgb), _STRIP):
            bottom = min(top + _STRIP, len(rgb))
            rows = slice(top * scale, bottom * scale)
            chroma = self._chroma(rgb, top, bottom, narrow=narrow)
            # Clipping Y first gives float networks what saturation gives integer ones.
            merged = ycbcr_to_rgb(np.concatenate([np.clip(unit(restored[rows]), 0, 1), chroma], axis=2))
            result[rows] = _widen(to_depth(merged, np.dtype(np.uint8))) if narrow else to_depth(merged, rgb.dtype)
        return result

    def _chroma(self, rgb: Array, top: int, bottom: int, *, narrow: bool) -> Array:
        """Cb and Cr of some rows, enlarged."""

        def colour(part: Array) -> Array:
            return rgb_to_ycbcr(to_unit(_narrow(part) if narrow else part))[..., 1:]

        scale, width = self.card.scale, rgb.shape[1]
        return Source(rgb, colour, scale).window(top * scale, 0, (bottom - top) * scale, width * scale)

    def _narrows(self, pixels: Array) -> bool:
        """Whether a picture's 16 bits are more than the network takes."""
        integer = self.session.input_dtype.kind != "f" or self.session.output_dtype.kind != "f"
        return pixels.dtype == np.uint16 and integer

    def _enlarge(self, image: Array) -> Array:
        return image if self.card.scale == 1 else bicubic(image, scale=self.card.scale)


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


def _narrow(pixels: Array) -> Array:
    """16 bits to 8: divided by 257, rounded half up."""
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _widen(pixels: Array) -> Array:
    """8 bits to 16."""
    return pixels.astype(np.uint16) * np.uint16(257)
