"""Networks of one convolution, written without a converter, and suites of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite

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
    """A well-formed file that ends the process: its only graph asks for itself, until the stack is full."""
    itself = tflite.IfOptionsT()
    itself.thenSubgraphIndex = itself.elseSubgraphIndex = 0
    operator = tflite.OperatorT()
    operator.inputs, operator.outputs = np.array([1, 0], np.int32), np.array([2], np.int32)
    operator.builtinOptionsType, operator.builtinOptions = tflite.BuiltinOptions.IfOptions, itself
    code = tflite.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tflite.BuiltinOperator.IF
    code.version = 1
    condition = flatbuffer.tensor_of("condition", (1,), "int8", buffer=1)
    condition.type = tflite.TensorType.BOOL
    picture, restored = (flatbuffer.tensor_of(name, (1, 8, 8, 4), "float32") for name in ("input", "output"))
    return flatbuffer.packed(
        tensors=[picture, condition, restored],
        operators=[operator],
        codes=[code],
        buffers=[flatbuffer.buffer_of(), flatbuffer.buffer_of(np.array([1], np.uint8))],
        ports=flatbuffer.Ports((0,), (2,)),
    )


@pytest.fixture
def make_suite() -> Callable[..., Suite]:
    """A short suite of ``plain``, or what ``changes`` make of it; those of its only product by their names, too."""
    return _suite


def _suite(**changes: Any) -> Suite:
    product = {"models": ["plain"], "schemes": ["float32", "int8-*"], "sizes": ["8x8"], "threads": [1]}
    product |= {name: changes.pop(name) for name in (*product, "delegates", "beside") if name in changes}
    return check_suite({"cells": [product], "runs": 10, "seconds": 0.01, "timeout": 60.0} | changes, "a suite")
