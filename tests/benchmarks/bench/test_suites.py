"""What a suite may say, and what is said of one that names what does not exist."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench.cells import plan
from benchmarks.bench.suites import Suite, known_suites, read_suite
from octopix.card import read_card
from octopix.errors import ConfigError
from quantize.embed import embed_card


def test_committed_suites_are_sound() -> None:
    assert {"quick", "full"} <= set(known_suites())
    for name in known_suites():
        assert read_suite(name)[0] == name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models": ["espcn_x5"]}, "a model that exists .*espcn_x4.*, got 'espcn_x5'"),
        ({"schemes": ["int9"]}, "a scheme: int8 for the best int8.*float32.*got 'int9'"),
        ({"delegates": ["tpu"]}, "a delegate that octopix knows, got 'tpu'; choose one of: cpu"),
        ({"sizes": ["8"]}, "a size HEIGHTxWIDTH in pixels.*got '8'"),
        ({"sizes": ["0x8"]}, "got '0x8'"),
        ({"threads": [0]}, "1 to 1024 threads in a suite, got 0"),
        ({"threads": [1, 1]}, "each of the threads of a suite once, got 1 twice"),
        ({"models": []}, "cells.0.models"),
        ({"phases": ["latency", "quality"]}, "phases.1"),
        ({"seconds": 0}, "seconds"),
        ({"model": ["plain"]}, "unknown key model"),
        ({"beside": "other"}, "one of the models plain as beside"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(
    plain: Path, make_suite: Callable[..., Suite], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        plan(make_suite(**changes), plain)


@pytest.mark.parametrize(
    ("text", "says"), [("cells: [", "YAML in"), ("[1]", "a suite with the keys"), (None, "a suite .*quick.* YAML file")]
)
def test_a_file_that_is_no_suite(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "suite.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=says):
        read_suite(str(path))


def test_missing_artifacts_come_in_one_error_with_the_commands(plain: Path, make_suite: Callable[..., Suite]) -> None:
    suite = make_suite(models=["plain", "espcn_x4", "abpn_x2"], schemes=["float32", "int8"])

    with pytest.raises(ConfigError) as caught:
        plan(suite, plain)

    assert "make quantize MODEL=espcn_x4 SCHEME=float32,int8-ptq-mse" in caught.value.do
    assert "make quantize MODEL=abpn_x2 SCHEME=float32,int8-ptq-mse" in caught.value.do
    assert "plain" not in caught.value.do


def test_cells_are_the_product_and_groups_stay_together(plain: Path, make_suite: Callable[..., Suite]) -> None:
    suite = make_suite(models=["plain", "other"], sizes=["8x8", "16x8"], threads=[1, 2])

    cells = [each.cell for each in plan(suite, plain)]

    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 2
    assert [cell.scheme for cell in cells[:4]] == ["float32", "int8-ptq-minmax"] * 2
    assert [cell.group for cell in cells] == sorted(cell.group for cell in cells)


def test_int8_is_the_best_on_validation(artifacts: Path, tmp_path: Path, make_suite: Callable[..., Suite]) -> None:
    """Not the first by name; what has no card comes last."""
    folder = tmp_path / "espcn_x4"
    folder.mkdir()
    content = (artifacts / "espcn_x4" / "int8-ptq-minmax.tflite").read_bytes()
    (folder / "int8-ptq-worse.tflite").write_bytes(_with_drop(content, 1.0))
    (folder / "int8-ptq-better.tflite").write_bytes(_with_drop(content, 0.01))
    (folder / "int8-ptq-any.tflite").write_bytes(b"no model")

    (found,) = plan(make_suite(models=["espcn_x4"], schemes=["int8"]), tmp_path)

    assert found.cell.scheme == "int8-ptq-better"


def _with_drop(content: bytes, drop: float) -> bytes:
    card = read_card(content)
    assert card.validation is not None
    quality = dataclasses.replace(card.validation, psnr=card.validation.psnr_float - drop)
    return embed_card(content, dataclasses.replace(card, validation=quality))
