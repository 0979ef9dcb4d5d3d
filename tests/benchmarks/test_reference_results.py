"""The committed measurements, which the README's claims rest on."""

import math
from pathlib import Path

import pytest

from benchmarks.peers.contenders import OURS
from benchmarks.peers.results import RESULTS as PEERS
from benchmarks.peers.results import read_peers
from octopix.results import ConversionSpeedRow, QuantizeRow, read_result
from quantize.schemes import BEST_PTQ

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], QuantizeRow]:
    """(image set, scheme) -> row of the committed table of ESPCN ×4."""
    return table("espcn_x4")


def table(name: str) -> dict[tuple[str, str], QuantizeRow]:
    """(image set, scheme) -> row of a committed table."""
    result = read_result(RESULTS / f"{name}.json")
    return {(row.image_set, row.scheme): row for row in result.rows if isinstance(row, QuantizeRow)}


def test_float32_upscales_set5_as_the_readme_says(rows: dict[tuple[str, str], QuantizeRow]) -> None:
    row = rows["Set5", "float32"]
    assert (len(row.psnr_per_image), row.protocol) == (5, "y")
    assert row.psnr_db >= 30.3


@pytest.mark.parametrize(("scheme", "limit"), [("int8-qat", 0.05), ("int8-ptq-mse", 0.10)])
def test_int8_keeps_set14(rows: dict[tuple[str, str], QuantizeRow], scheme: str, limit: float) -> None:
    row = rows["Set14", scheme]
    assert len(row.psnr_per_image) == 14
    assert row.drop_db is not None
    assert row.drop_db <= limit


@pytest.mark.parametrize("scheme", ["int8-qat", "int8-ptq-mse"])
def test_int8_is_twice_as_fast_as_float32(rows: dict[tuple[str, str], QuantizeRow], scheme: str) -> None:
    row, reference = rows["Set14", scheme], rows["Set14", "float32"]
    assert row.latency is not None
    assert reference.latency is not None
    assert reference.latency.median_ms / row.latency.median_ms >= 2
    assert row.facts is not None
    assert row.facts.threads == 1


def test_the_table_was_made_without_quick(rows: dict[tuple[str, str], QuantizeRow]) -> None:
    cards = [row.card for row in rows.values() if row.card is not None]
    assert cards
    assert not any("--quick" in (card.training or "") for card in cards)


def test_conversion_is_twice_as_fast_as_the_stock_converters() -> None:
    result = read_result(RESULTS / "conversion-speed.json")
    ours = [row for row in result.rows if isinstance(row, ConversionSpeedRow) and row.method == "octopix"]
    assert [row.images for row in ours] == [64]
    assert (ours[0].ratio or 0) >= 2


def test_the_published_lesrcnn_keeps_the_floor_of_training_without_it() -> None:
    rows = table("lesrcnn_x2-published")
    drops = [rows[name, BEST_PTQ].drop_db for name in ("Set5", "Set14", "BSDS500 val")]
    assert math.fsum(drop for drop in drops if drop is not None) / 3 <= 0.08
    assert all("quick" not in (row.card.training or "") for row in rows.values() if row.card is not None)


@pytest.mark.parametrize(
    ("family", "floor"),
    [("espcn", 0.03), ("abpn", 0.03), ("cnn", 0.03), ("octonet", 0.03), ("lesrcnn", 0.08)]
    + [(name, 0.05) for name in ("srresnet", "qecnn", "srcnn", "unet")],
)
def test_corrections_keep_the_floors_that_were_set_for_training(family: str, floor: float) -> None:
    entries = read_peers(PEERS).models.items()
    rows = {name: entry.row(OURS) for name, entry in entries if name.startswith(family)}
    drops = {name: row.drop_db for name, row in rows.items() if row is not None and row.drop_db is not None}
    assert drops.keys() == rows.keys() != set()
    assert max(drops.values()) <= floor, drops
