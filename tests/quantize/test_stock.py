"""What a comparison with other quantizers is handed."""

import json
from pathlib import Path

import numpy as np
import pytest

from octopix.card import graph_sha256, read_card
from octopix.errors import ConfigError
from octopix.graph import read_graph
from quantize.pipeline import quantize
from quantize.schemes import BEST_PTQ
from quantize.stock import CROPS, FACTS, MODEL, QUICKER, prepare
from train.data.sources import DataHome


def test_everyone_gets_the_crops_and_the_float_model_that_ours_came_from(tmp_path: Path) -> None:
    found = prepare("espcn_x4", DataHome("builtin", None), tmp_path)
    folder = tmp_path / "espcn_x4"
    assert sorted(path.name for path in folder.iterdir()) == sorted((MODEL, *QUICKER.values(), CROPS, FACTS))
    with np.load(folder / CROPS) as kept:
        assert kept["crops"].dtype == np.uint8
        assert len(kept["crops"]) == len({crop.tobytes() for crop in kept["crops"]})
    _, ours = quantize("espcn_x4", [BEST_PTQ], home=DataHome("builtin", None), out=tmp_path / "artifacts", quick=True)
    assert found.octopix_graph_sha256 == graph_sha256(ours.path)
    assert ours.card.calibration is not None
    assert found.calibration_sha256 == ours.card.calibration.sha256
    assert json.loads((folder / FACTS).read_text())["stock_seconds"] == found.stock_seconds > 0
    assert read_card(folder / MODEL).scheme == "int8-ptq-minmax"
    assert all(read_card(folder / name).scheme == scheme for scheme, name in QUICKER.items())
    stock = read_graph(folder / MODEL)
    assert {stock.tensors[index].dtype for index in (*stock.inputs, *stock.outputs)} == {"uint8"}


def test_a_model_that_is_none_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="espcn_x9"):
        prepare("espcn_x9", DataHome("builtin", None), tmp_path)
    assert not list(tmp_path.iterdir())
