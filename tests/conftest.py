"""What several folders of tests share: the wheel, and real models made by the real command line."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# TensorFlow writes its banner, and its search for a GPU, straight to the terminal, past pytest's capture.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is, or is about to be, committed."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    words = ["pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", out, "."]
    subprocess.run([sys.executable, "-m", *words], cwd=source, check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ESPCN ×4 from the committed weights, as float32 and int8: ``espcn_x4/<scheme>.tflite``."""
    out = tmp_path_factory.mktemp("artifacts")
    schemes = "float32,int8-ptq-minmax"
    words = ["quantize", "--model", "espcn_x4", "--scheme", schemes, "--out", out, "--quick"]
    subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return out


@pytest.fixture(scope="session")
def to_tflite() -> Callable[..., bytes]:
    """Keras model -> ``.tflite``: for any size, or of ``size`` (height, width); float32, or with ``int8=True`` int8."""
    return _to_tflite


def _to_tflite(model: Any, *, size: tuple[int | None, int | None] = (None, None), int8: bool = False) -> bytes:
    import tensorflow as tf  # only where a test converts

    signature = tf.TensorSpec((1, *size, model.input_shape[-1]), tf.float32)
    function = tf.function(model).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _random_pictures(size, model.input_shape[-1])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def _random_pictures(size: tuple[int | None, int | None], channels: int) -> Iterator[list[np.ndarray]]:
    random = np.random.default_rng(0)
    for _ in range(4):
        yield [random.random((1, *size, channels), dtype=np.float32)]
