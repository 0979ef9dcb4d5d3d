"""What `python -m quantize stock` writes is what the comparison reads; anything else is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.prepared import CROPS, FACTS, read_prepared
from octopix.card import read_card
from octopix.errors import ConfigError, ResultError
from octopix.restore import Restorer


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds ``espcn_x4``, made by the stage itself; without corrections, which take long."""
    from quantize import stock
    from train.data.sources import locate

    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stock, "BEST_PTQ", "int8-ptq-minmax")
        patch.delenv("OCTOPIX_DATA", raising=False)
        stock.prepare("espcn_x4", locate(None), folder)
    return folder


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    (tmp_path / "espcn_x4").mkdir()
    for path in (prepared / "espcn_x4").iterdir():
        (tmp_path / "espcn_x4" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_read_as_written(prepared: Path) -> None:
    found = read_prepared(prepared, "espcn_x4")

    assert (found.crops.dtype, found.crops.shape[1:]) == (np.uint8, (128, 128, 1))
    assert len(found.crops) == read_card(found.stock).calibration.images
    facts = found.facts
    assert min(facts.octopix_seconds, facts.nearest_seconds, facts.ranges_seconds, facts.stock_seconds) > 0
    assert found.facts.weights_sha256 == read_card(found.stock).weights_sha256
    for path in (found.stock, found.nearest, found.ranges):
        assert read_card(path).calibration.sha256 == found.facts.calibration_sha256
    assert read_card(found.ranges).scheme == "int8-ptq-mse"


def test_the_stock_model_restores(prepared: Path) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (20, 30, 1), np.uint8)

    assert Restorer(read_prepared(prepared, "espcn_x4").stock).run_plane(plane).shape == (80, 120, 1)


def test_nothing_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="python -m quantize stock --model espcn_x4"):
        read_prepared(tmp_path, "espcn_x4")


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _other_crops(path: Path) -> None:
    np.savez(path, crops=np.zeros((2, 8, 8, 1), np.uint8))


def _other_model(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": "cnn_x4"}))


@pytest.mark.parametrize(
    ("name", "spoil"),
    [(FACTS, _shorten), (CROPS, _shorten), (CROPS, _other_crops), (FACTS, _other_model)],
)
def test_what_is_damaged_or_foreign_is_refused(copy: Path, name: str, spoil: Callable[[Path], None]) -> None:
    spoil(copy / "espcn_x4" / name)

    with pytest.raises(ResultError, match="python -m quantize stock"):
        read_prepared(copy, "espcn_x4")
