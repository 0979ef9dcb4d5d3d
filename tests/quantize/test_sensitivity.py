"""Which layer loses what."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from octopix.card import graph_sha256
from octopix.graph import read_graph
from quantize.__main__ import main
from quantize.corrections import Corrector
from quantize.filters import filters
from quantize.sensitivity import sensitivity


def test_a_layer_with_coarse_weights_stands_out(corrector: Callable[[str], Corrector]) -> None:
    """Of its weights only seven levels to either side are left, as if it were rounded to 4 bits."""
    bench = corrector("espcn")
    before = sensitivity(bench.start, bench.judge)
    mapping = filters(read_graph(bench.start.float_model))[1]
    step = np.abs(mapping.weights).max() / 7
    coarse = mapping.replaced(weights=np.rint(mapping.weights / step) * step)
    after = sensitivity(bench.start.changed(coarse), bench.judge)
    assert sum(each.macs_share for each in after) == 1
    assert after[1].fidelity_alone < before[1].fidelity_alone - 3  # at least twice the error
    assert min(after, key=lambda each: each.fidelity_alone) is after[1]


def test_the_drop_is_measured_where_there_is_ground_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes what the report reads."""
    assert main(["sensitivity", "--model", "espcn_x4", "--quick", "--out", str(tmp_path)]) == 0
    path = tmp_path / "espcn_x4" / "sensitivity.json"
    assert main(["--model", "espcn_x4", "--scheme", "float32", "--quick", "--out", str(tmp_path)]) == 0
    assert str(path) in capsys.readouterr().out
    found = json.loads(path.read_text())
    assert (found["version"], found["model"], found["protocol"]) == (1, "espcn_x4", "y")
    assert found["float_sha256"] == graph_sha256(path.with_name("float32.tflite"))
    assert len(found["layers"]) == 3
    alone = [layer["alone_drop_db"] for layer in found["layers"]]
    # Errors of layers add up about as their squares do: each alone loses less than all together, and at least one
    # loses something.
    assert 0 < max(alone) < 1
    assert max(layer["left_out_gain_db"] for layer in found["layers"]) > 0
