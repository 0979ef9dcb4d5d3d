"""Ours is the best post-training file by validation, and files that do not belong together are refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.artifacts import Artifact
from benchmarks.peers.prepared import Facts, Prepared
from benchmarks.peers.scoring import Marks, Picture, marks_of, means
from benchmarks.peers.subject import subject_of
from octopix.card import Calibration, ModelCard, Quality
from octopix.errors import ConfigError, DataError, ModelFileError

DROPS = {"int8-ptq-minmax": 0.3, "int8-ptq-mse+bias": 0.1, "int8-qat": 0.01, "int8-ptq-mse~0badcafe": 0.0}


def artifact(scheme: str, *, weights: str = "w", crops: str = "c") -> Artifact:
    drop = DROPS.get(scheme)
    card = ModelCard(
        model="espcn_x4",
        scheme=scheme,
        task="super-resolution",
        scale=4,
        channels="y",
        multiple_of=1,
        receptive_field=9,
        calibration=None if drop is None else Calibration("mse", 64, crops, "list"),
        validation=None if drop is None else Quality("list", 3, "y", 30.0, 30.0 - drop, 45.0),
        weights_sha256=weights,
    )
    return Artifact(Path(f"{scheme}.tflite"), card, 1.0, 1, 1, f"graph of {scheme}", "file")


@pytest.fixture
def prepared() -> Prepared:
    facts = Facts(1, "espcn_x4", "int8-ptq-mse+bias", 9.0, 4.0, 2.0, 3.0, "graph of int8-ptq-mse+bias", "c", "", "w")
    files = ("calibration.npz", "stock.tflite", "nearest.tflite", "ranges.tflite")
    return Prepared(facts, np.zeros((1, 8, 8, 1), np.uint8), *map(Path, files))


def test_trained_and_selective_files_are_not_ours(prepared: Prepared) -> None:
    found = subject_of([artifact("float32"), *map(artifact, DROPS)], prepared)

    assert found.ours.card.scheme == "int8-ptq-mse+bias"
    assert found.notes == ()


def test_seconds_of_another_conversion_are_told(prepared: Prepared) -> None:
    found = subject_of([artifact("float32"), artifact("int8-ptq-minmax")], prepared)

    assert "seconds" in found.notes[0]


@pytest.mark.parametrize("schemes", [["float32", "int8-qat"], ["int8-ptq-minmax"]])
def test_a_missing_file_names_the_command(prepared: Prepared, schemes: list[str]) -> None:
    with pytest.raises(ConfigError, match="make quantize MODEL=espcn_x4"):
        subject_of([artifact(scheme) for scheme in schemes], prepared)


@pytest.mark.parametrize("other", [{"weights": "x"}, {"crops": "x"}])
def test_files_of_another_family_are_refused(prepared: Prepared, other: dict[str, str]) -> None:
    weights = {name: value for name, value in other.items() if name == "weights"}

    with pytest.raises(ModelFileError, match="weights and calibration crops"):
        subject_of([artifact("float32", **weights), artifact("int8-ptq-minmax", **other)], prepared)


def test_means_are_of_sets_and_leave_out_what_anyone_restores_exactly() -> None:
    sets = {"a": ["1", "2"], "b": ["3", "4"]}
    pictures = [Picture(name, of, np.zeros((4, 4, 1), np.uint8)) for of, names in sets.items() for name in names]
    exact, identical = float("inf"), (float("inf"),) * 4
    marks = {"float": Marks((30.0, 40.0, 20.0, exact), identical), "int8": Marks((29.0, 39.0, 19.5, 30.0), (45.0,) * 4)}

    found = means(pictures, marks)

    assert (found["float"].psnr_db, found["int8"].psnr_db) == (27.5, 26.75)  # ((30 + 40) / 2 + 20) / 2, and so on
    assert (found["float"].drop_db, found["int8"].drop_db) == (0.0, 0.75)
    assert (found["float"].fidelity_db, found["int8"].fidelity_db) == (None, 45.0)
    assert found["int8"].per_image["4"] is None
    with pytest.raises(DataError, match="none in b"):
        means(pictures, {"float": dataclasses.replace(marks["float"], psnr=(30.0, 40.0, exact, exact))})


def test_marks_compare_with_truth_and_with_float() -> None:
    truth, other = np.zeros((8, 8, 1), np.uint8), np.full((8, 8, 1), 255, np.uint8)

    marks = marks_of([Picture("1", "a", truth)], [other], [other])

    assert marks == Marks((0.0,), (float("inf"),))  # black against white is 0 dB by definition
