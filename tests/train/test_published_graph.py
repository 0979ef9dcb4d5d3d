"""LESRCNN as published, beside the zoo's merged form of it: the same pictures, and the published figures."""

import numpy as np
import pytest

from benchmarks.bench.cells import VARIANTS
from benchmarks.bench.cost import cost_of
from octopix.errors import ConfigError
from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize.export import to_float32
from train.models import COMPARISONS, MODELS, find_model
from train.weights import load_weights


def exported(name: str) -> bytes:
    """The float ``.tflite`` with the committed weights."""
    spec = find_model(name)
    model = spec.build()
    load_weights(model, spec.weights)
    return to_float32(model, height=16, width=24)


@pytest.mark.parametrize("merged", ["lesrcnn_x2", "lesrcnn_x4", "lesrcnn_blind_x3"])
def test_merging_changes_no_picture(merged: str) -> None:
    picture = np.random.default_rng(0).random((1, 16, 24, 3), dtype=np.float32)

    ours, published = (open_session(exported(name)).run([picture])[0] for name in (merged, f"{merged}_published"))

    # Sums of float32 in another order: some ulps of values around 1.
    assert np.abs(ours - published).max() < 1e-5
    assert not np.array_equal(ours, published)  # two graphs, not one twice


@pytest.mark.parametrize(("name", "printed"), [("lesrcnn_x2", "44.459"), ("lesrcnn_x4", "152.592")])
def test_the_published_table_of_flops(name: str, printed: str) -> None:
    """At 3x128x128, by the table's own count; the merged graph has fewer."""
    published, merged = (
        cost_of(read_graph(exported(each)), height=128, width=128, file_bytes=1) for each in (f"{name}_published", name)
    )

    assert f"{published.gflops['lesrcnn-table']:.3f}" == printed
    assert merged.macs < 0.89 * published.macs
    assert merged.parameters == published.parameters


def test_what_is_for_comparison_is_not_in_the_zoo() -> None:
    assert not COMPARISONS.keys() & MODELS.keys()
    assert sorted(COMPARISONS) == sorted(VARIANTS)
    with pytest.raises(ConfigError, match="lesrcnn_x2_published"):
        find_model("lesrcnn_x2_publishd")
