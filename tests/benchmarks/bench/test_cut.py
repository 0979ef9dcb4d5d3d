"""One operator alone gives what it gives within the whole graph; without that its time would mean nothing."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite

from benchmarks.bench import flatbuffer
from benchmarks.bench.cut import cuts
from benchmarks.bench.jobs import Dissection, Subject, dissect
from octopix.proof import noise
from octopix.runtime import open_session


@pytest.mark.parametrize("scheme", ["float32", "int8-ptq-minmax"])
def test_an_operator_alone_computes_what_it_does_in_the_graph(artifacts: Path, scheme: str) -> None:
    content = (artifacts / "espcn_x4" / f"{scheme}.tflite").read_bytes()
    whole = open_session(content, keep_tensors=True)
    whole.run([noise((1, 24, 40, 1), whole.input_dtype)])

    found = list(cuts(content, height=24, width=40))

    assert [cut.operator.name for cut in found] == [operator.name for operator in whole.graph.operators]
    for cut in found:
        (output,) = open_session(cut.model).run([whole.tensor(index) for index in cut.inputs])
        # The same kernels on the same numbers; another split of the sums may round float32 otherwise.
        assert np.allclose(output, whole.tensor(cut.outputs[0]), rtol=1e-5, atol=1e-6)
        assert output.shape == whole.tensor(cut.outputs[0]).shape


def test_weights_in_half_precision_stay_constants(half: bytes) -> None:
    """Their DEQUANTIZE goes with the convolution, as XNNPACK wants it, and is no operator of its own."""
    picture = noise((1, 8, 8, 4), np.dtype(np.float32))
    (expected,) = open_session(half).run([picture])

    (cut,) = cuts(half, height=8, width=8)

    session = open_session(cut.model)
    (output,) = session.run([picture])
    assert cut.operator.name == "CONV_2D"
    assert np.array_equal(output, expected)


@pytest.fixture
def half() -> bytes:
    """A convolution whose weights are float16 behind a DEQUANTIZE."""
    plain = flatbuffer.unpacked(flatbuffer.convolution(side=8, channels=4, filters=4, taps=3, dtype="float32"))
    (graph,) = plain.subgraphs
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 4)).astype(np.float16)
    stored = flatbuffer.tensor_of("stored", weights.shape, "float16", buffer=len(plain.buffers))
    graph.tensors[1].buffer = 0
    code, operator = tflite.OperatorCodeT(), tflite.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = tflite.BuiltinOperator.DEQUANTIZE
    code.version = 3  # the first that takes float16
    operator.opcodeIndex, operator.inputs, operator.outputs = 1, np.array([4], np.int32), np.array([1], np.int32)
    return flatbuffer.packed(
        tensors=[*graph.tensors, stored],
        operators=[operator, *graph.operators],
        codes=[*plain.operatorCodes, code],
        buffers=[*plain.buffers, flatbuffer.buffer_of(weights)],
        ports=flatbuffer.Ports((0,), (3,)),
    )


def test_a_profile_has_every_operator_and_all_macs(artifacts: Path) -> None:
    path = artifacts / "espcn_x4" / "int8-ptq-minmax.tflite"
    found = dissect(Dissection(Subject(str(path), 16, 16, 1, "cpu"), runs=10, seconds=0.01))

    assert found.left_out == ()
    assert [each.index for each in found.operators] == list(range(len(found.operators)))
    assert sum(each.macs for each in found.operators) == 16 * 16 * 24_640
    assert found.operators[-1].shape == (1, 64, 64, 1)
    assert len(found.whole.samples_ms) >= 10
