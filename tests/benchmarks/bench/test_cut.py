"""One operator alone gives what it gives within the whole graph; without that its time would mean nothing."""

from pathlib import Path

import numpy as np
import pytest

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


def test_a_profile_has_every_operator_and_all_macs(artifacts: Path) -> None:
    path = artifacts / "espcn_x4" / "int8-ptq-minmax.tflite"
    found = dissect(Dissection(Subject(str(path), 16, 16, 1, "cpu"), runs=10, seconds=0.01))

    assert found.left_out == ()
    assert [each.index for each in found.operators] == list(range(len(found.operators)))
    assert sum(each.macs for each in found.operators) == 16 * 16 * 24_640
    assert found.operators[-1].shape == (1, 64, 64, 1)
    assert len(found.whole.samples_ms) >= 10
