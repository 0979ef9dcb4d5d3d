"""Networks of one convolution, written without a converter, and suites of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bench import flatbuffer
from benchmarks.bench.suites import Suite, check_suite


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Artifacts with ``plain`` and ``other``, each as float32 and int8."""
    for model, filters in (("plain", 4), ("other", 8)):
        for scheme, dtype in (("float32", "float32"), ("int8-ptq-minmax", "int8")):
            content = flatbuffer.convolution(side=8, channels=4, filters=filters, taps=3, dtype=dtype)
            path = tmp_path / "artifacts" / model / f"{scheme}.tflite"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return tmp_path / "artifacts"


@pytest.fixture
def deadly() -> bytes:
    """A well-formed file that ends the process: XNNPACK looks for weights that are left out."""
    content = flatbuffer.convolution(side=8, channels=4, filters=4, taps=3, dtype="float32")
    whole = flatbuffer.unpacked(content)
    (graph,) = whole.subgraphs
    graph.operators[0].inputs = np.array([0, -1, 2], np.int32)
    return flatbuffer.packed(
        tensors=graph.tensors,
        operators=graph.operators,
        codes=whole.operatorCodes,
        buffers=whole.buffers,
        ports=flatbuffer.Ports((0,), (3,)),
    )


@pytest.fixture
def make_suite() -> Callable[..., Suite]:
    """A short suite of ``plain``, or what ``changes`` make of it; those of its only product by their names, too."""
    return _suite


def _suite(**changes: Any) -> Suite:
    product = {"models": ["plain"], "schemes": ["float32", "int8-*"], "sizes": ["8x8"], "threads": [1]}
    product |= {name: changes.pop(name) for name in (*product, "delegates", "beside") if name in changes}
    return check_suite({"cells": [product], "runs": 10, "seconds": 0.01, "timeout": 60.0} | changes, "a suite")
