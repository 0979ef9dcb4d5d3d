"""Pipelines on all cores: what is made of the times, and that all of it runs."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.pipelines.measure import WAYS, CoresTiming, FolderTiming, run_folder, time_cores, time_folder
from octopix.errors import DataError
from octopix.latency import available_cores
from train.data.sources import DataHome

BUILTIN = DataHome("builtin", None)


def folder(wall: float, cpu: float, chain: float) -> FolderTiming:
    return FolderTiming("espcn_x2", "float32", 20, 2.0, 2, (wall, wall, 2 * wall), (cpu,) * 3, (chain,) * 3)


@pytest.mark.parametrize(("cpu", "chain", "ratio"), [(16.0, 1.0, 1.25), (4.0, 5.0, 2.0)])
def test_a_folder_is_held_against_what_cpus_and_its_longest_photograph_allow(
    cpu: float, chain: float, ratio: float
) -> None:
    assert folder(10.0, cpu, chain).ratio == ratio


def test_a_ways_throughput_is_that_of_its_median() -> None:
    samples = dict.fromkeys(WAYS, (10.0, 11.0, 12.0)) | {WAYS[2]: (5.0, 5.5, 90.0)}
    timing = CoresTiming("lesrcnn_x2", "float32", 512, 2, samples, 1.9)
    assert (timing.speed_up(WAYS[0]), timing.speed_up(WAYS[2])) == (1, 2)


def test_a_folder_goes_through_the_command_line(artifacts: Any) -> None:
    rounds = []
    found = time_folder(
        artifacts / "espcn_x4" / "float32.tflite",
        BUILTIN,
        rounds=2,
        photos=3,
        megapixels=0.01,
        watch=lambda: rounds.append(1),
    )
    assert (found.model, found.photos, found.threads, len(rounds)) == ("espcn_x4", 3, available_cores(), 2)
    assert all(wall > chain > 0 for wall, chain in zip(found.wall_s, found.chain_s, strict=True))
    assert min(found.cpu_s) > 0


def test_what_octopix_says_is_told_where_it_fails(artifacts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTOPIX_RUNTIME", "abacus")
    with pytest.raises(DataError, match="abacus"):
        run_folder(artifacts / "espcn_x4" / "float32.tflite", Path("photos"), Path("out"), 1)


def test_all_ways_restore_the_same_picture(artifacts: Any) -> None:
    found = time_cores(artifacts / "espcn_x4" / "float32.tflite", BUILTIN, seconds=0.05, side=32)
    assert tuple(found.samples_ms) == WAYS
    assert found.processes_ratio > 0
