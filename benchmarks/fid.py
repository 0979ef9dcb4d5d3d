"""FID: how far the Inception features of two sets of images are from each other, as Gaussians.

M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017.
The features come from whatever network the ``.tflite`` holds. Scores by the weights that Keras publishes, which
``python -m quantize inception`` exports, compare with each other only: published ones are by the TensorFlow graph of
2015 (FID's own program, pytorch-fid), whose weights are others.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from octopix.card import graph_sha256
from octopix.errors import ConfigError, DataError, ModelFileError
from octopix.images import Array
from octopix.latency import available_cores
from octopix.metrics import feature_statistics, frechet_distance
from octopix.resize import bicubic
from octopix.runtime import Session, open_session
from train.data.sources import file_ref, image_files

INCEPTION_VARIABLE = "OCTOPIX_INCEPTION"
INCEPTION = Path("artifacts/inception_v3.tflite")
"""Where ``python -m quantize inception`` writes, and where it is looked for last."""

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fid:
    """A distance and what must be known to judge it."""

    distance: float
    images: tuple[int, int]
    dimensions: int
    """Features per image."""
    graph_sha256: str
    """Of the network: scores by two networks do not compare."""

    @property
    def biased(self) -> bool:
        """Whether a set has too few images to give its covariance full rank: the distance then comes out too high."""
        return min(self.images) <= self.dimensions


def find_inception(given: Path | None) -> Path:
    """The feature network's file: ``given``, else ``$OCTOPIX_INCEPTION``, else ``INCEPTION``.

    Raises:
        ConfigError: there is none; the message says what is wanted and how to make it.
    """
    named = given or (Path(os.environ[INCEPTION_VARIABLE]) if os.environ.get(INCEPTION_VARIABLE) else None)
    path = named or INCEPTION
    if not path.is_file():
        raise ConfigError(
            expected=f"a float .tflite of Inception (1x299x299x3 RGB in [-1, 1] to 1x2048 pooled features) at {path}",
            got="no such file",
            do=f"make it by `python -m quantize inception --out {path}`, or name another with --inception "
            f"or {INCEPTION_VARIABLE}",
        )
    return path


def fid(a: Path, b: Path, inception: Path, *, advance: Callable[[], None] = lambda: None) -> Fid:
    """FID between all images below folder ``a`` and all below folder ``b``.

    Each picture, as 8-bit RGB (grey repeated, 16 bits shortened, alpha left out), is resized to the network's input by
    antialiased bicubic without keeping its proportions, clipped, and scaled to [-1, 1].

    Args:
        a: folder of two images or more.
        b: the same.
        inception: float network, 1×H×W×3 in [-1, 1] to 1×D.
        advance: called after each image.

    Raises:
        DataError: a folder with fewer than two images.
        ImageError: an image that cannot be read; the message names it.
        ModelFileError: a network of other shapes or types.
    """
    listed = [_images(folder) for folder in (a, b)]
    session = open_session(inception, threads=available_cores())
    _check_network(session, inception)
    features = [_features(session, folder, paths, advance) for folder, paths in zip((a, b), listed, strict=True)]
    statistics = [feature_statistics(rows) for rows in features]
    return Fid(
        distance=frechet_distance(*statistics[0], *statistics[1]),
        images=(len(listed[0]), len(listed[1])),
        dimensions=features[0].shape[1],
        graph_sha256=graph_sha256(inception.read_bytes()),
    )


def image_count(a: Path, b: Path) -> int:
    """How many images both folders hold.

    Raises:
        DataError: as :func:`fid`.
    """
    return len(_images(a)) + len(_images(b))


def _images(folder: Path) -> tuple[Path, ...]:
    found = image_files(folder) if folder.is_dir() else ()
    if len(found) < 2:
        raise DataError(
            expected=f"a folder of at least 2 images at {folder}",
            got=f"{len(found)} images" if folder.is_dir() else "no folder",
            do="give two folders of images, 2049 and more each for figures to quote",
        )
    return found


def _features(session: Session, folder: Path, paths: tuple[Path, ...], advance: Callable[[], None]) -> Features:
    rows = []
    for ref in (file_ref(path, folder) for path in paths):
        with ref.named():
            rows.append(session.invoke(_prepared(ref.read(), session.input_shape))[0])
        advance()
    return np.stack(rows)


def _prepared(pixels: Array, shape: tuple[int, ...]) -> Features:
    """Pixels (H, W, 1 or 3) of uint8 as the network's input."""
    resized = bicubic(pixels.astype(np.float32), size=(shape[1], shape[2]))
    values = resized.clip(0, 255) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(np.broadcast_to(values, shape), np.float32)


def _check_network(session: Session, path: Path) -> None:
    graph = session.graph
    out = graph.tensors[graph.outputs[0]]
    into = session.input_shape
    fits = len(session.input_shapes) == 1 and len(into) == 4 and (into[0], into[3]) == (1, 3)
    floats = session.input_dtype == session.output_dtype == np.float32
    if not fits or not floats or len(out.shape) != 2 or out.shape[0] != 1:
        raise ModelFileError(
            expected=f"a feature network at {path}: float32 1xHxWx3 to float32 1xD",
            got=f"{session.input_dtype} {into} to {session.output_dtype} {out.shape}",
            do="give an Inception without its classifier, e.g. by `python -m quantize inception`",
        )
