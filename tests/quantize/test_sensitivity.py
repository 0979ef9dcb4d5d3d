"""Which layer loses what."""

from collections.abc import Callable
from typing import Any

import numpy as np

from octopix.graph import read_graph
from quantize.calibrators import CALIBRATORS
from quantize.corrections import Corrector, Judge
from quantize.filters import filters
from quantize.sensitivity import sensitivity


def test_a_layer_with_coarse_weights_stands_out(float_model: Callable[[str], bytes], photographs: list[Any]) -> None:
    """Of its weights only seven levels to either side are left, as if it were rounded to 4 bits."""
    crops = [np.rint(each * 255).astype(np.uint8) for each in photographs]
    corrector = Corrector(Judge(float_model("espcn"), crops), CALIBRATORS["mse"])
    before = sensitivity(corrector.start, corrector.judge)
    mapping = filters(read_graph(corrector.start.float_model))[1]
    step = np.abs(mapping.weights).max() / 7
    coarse = mapping.replaced(weights=np.rint(mapping.weights / step) * step)
    after = sensitivity(corrector.start.changed(coarse), corrector.judge)
    assert sum(each.macs_share for each in after) == 1
    assert after[1].fidelity_alone < before[1].fidelity_alone - 3  # at least twice the error
    assert min(after, key=lambda each: each.fidelity_alone) is after[1]
