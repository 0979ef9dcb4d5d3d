"""Real processes: what crashes, hangs or is refused fails alone, and the command's exit code tells."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from benchmarks.bench.cells import plan
from benchmarks.bench.jobs import Errand, Probe, Race, Subject, Summit
from benchmarks.bench.process import JobFailedError, in_a_process
from benchmarks.bench.records import CellResult, read_bench
from benchmarks.bench.runner import Run, run_suite
from benchmarks.bench.suites import Suite
from octopix.results import read_result

ROOT = Path(__file__).parents[3]


def subject(path: Path, *, delegate: str = "cpu", side: int = 8) -> Subject:
    return Subject(str(path), side, side, 1, delegate)


def test_a_crash_of_the_runtime_fails_its_cell_alone(
    plain: Path, tmp_path: Path, make_suite: Callable[..., Suite], deadly: bytes
) -> None:
    (plain / "plain" / "int8-ptq-deadly.tflite").write_bytes(deadly)
    (plain / "plain" / "int8-ptq-foreign.tflite").write_bytes(b"a page of text, not a model")
    suite = make_suite()

    result = run_suite(Run("x", suite, plan(suite, plain), tmp_path), in_a_process(timeout=60), watch=lambda _: None)

    failed = {each.cell.scheme: each.failure for each in result.failed}
    assert failed.keys() == {"int8-ptq-deadly", "int8-ptq-foreign"}
    crash, foreign = failed["int8-ptq-deadly"], failed["int8-ptq-foreign"]
    assert crash is not None
    assert crash.exit_code < 0
    assert foreign is not None
    assert foreign.exit_code == 2
    assert "expected a TFLite model" in foreign.words
    assert {each.cell.scheme for each in result.cells if measured(each)} == {"float32", "int8-ptq-minmax"}


def measured(each: CellResult) -> bool:
    return each.failure is None and each.latency is not None and len(each.latency.samples_ms) >= 10


def test_first_figures_of_a_network(plain: Path) -> None:
    found = in_a_process(timeout=60)(Probe(subject(plain / "plain" / "float32.tflite", side=16)))

    assert found.shape == (1, 16, 16, 4)
    assert found.cost.macs == 16 * 16 * 3 * 3 * 4 * 4
    # The input, 3·3·4·4 weights and 4 biases, and the output, four bytes each.
    assert found.cost.bytes_moved == 4 * (16 * 16 * 4 + 3 * 3 * 4 * 4 + 4 + 16 * 16 * 4)
    assert found.cost.intensity == pytest.approx(2 * found.cost.macs / found.cost.bytes_moved)
    assert min(found.init_ms, found.first_ms, found.memory.peak_rss_mib) > 0
    assert found.facts.delegate_got == "cpu-xnnpack"


def test_a_job_that_takes_too_long_is_ended_and_says_so(plain: Path) -> None:
    job = Race({"a": subject(plain / "plain" / "float32.tflite")}, runs=10, seconds=60.0)

    with pytest.raises(JobFailedError, match=r"ended after 0\.05 s") as caught:
        in_a_process(timeout=0.05)(job)

    assert caught.value.exit_code == -9


def test_peaks_are_of_convolutions_that_the_runtime_takes() -> None:
    peaks = in_a_process(timeout=120)(Summit(threads=1, seconds=0.01))

    # One thread of any machine of the last ten years, and less than any will have: units are right.
    assert 0.5 < peaks.float32_gmacs < 1e5
    assert 0.5 < peaks.int8_gmacs < 1e6
    assert 0.1 < peaks.gbytes_per_s < 1e4


def test_end_to_end_leaves_the_restored_picture(artifacts: Path, tmp_path: Path) -> None:
    from octopix.images import Picture, read_picture, write_picture
    from train.data.sources import builtin_ref

    source = tmp_path / "in.png"
    write_picture(source, Picture(pixels=builtin_ref("astronaut.png").read()[:32, :48]))
    subjects = {"int8": subject(artifacts / "espcn_x4" / "int8-ptq-minmax.tflite")}

    found = in_a_process(timeout=60)(Errand(subjects, str(source), str(tmp_path), runs=3, seconds=0.01))

    way = found.end_to_end["int8"]
    assert (way.height, way.width) == (32, 48)
    assert read_picture(tmp_path / "int8.png").pixels.shape == (4 * 32, 4 * 48, 3)
    assert way.decode_ms + way.restore_ms + way.encode_ms <= max(way.latency.samples_ms)
    assert way.ms_per_megapixel == pytest.approx(way.latency.median_ms / 0.001536)


def bench(*words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "OCTOPIX_DATA"}
    command = [sys.executable, "-m", "benchmarks", "bench", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    product = {"models": ["plain"], "schemes": ["float32", "int8-*"], "sizes": ["8x8"], "threads": [1]}
    path = tmp_path / "small.yaml"
    suite = {"cells": [product], "runs": 10, "seconds": 0.01, "phases": ["latency", "memory", "profile"]}
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def test_the_command_measures_tells_and_keeps(plain: Path, tmp_path: Path, suite_file: Path, deadly: bytes) -> None:
    words = ("--suite", suite_file, "--artifacts", plain, "--out", tmp_path / "out")
    first = bench(*words)

    assert first.returncode == 0, first.stderr
    assert "What they take" in first.stdout
    assert "peaks with 1 thread(s)" in first.stdout
    kept = read_bench(tmp_path / "out" / "small" / "bench.json")
    for name in ("png", "svg"):
        assert (tmp_path / "out" / "small" / "plots" / f"roofline-8x8-1.{name}").stat().st_size > 1000

    timed = read_result(tmp_path / "out" / "small" / "latency-cpu.json")
    assert [row.latency.samples_ms for row in timed.rows] == [each.latency.samples_ms for each in kept.cells]

    (plain / "plain" / "int8-ptq-deadly.tflite").write_bytes(deadly)
    second = bench(*words, "--json")

    assert second.returncode == 3, second.stderr
    cells = json.loads(second.stdout)["cells"]
    assert [each["cell"]["scheme"] for each in cells if each["failure"]] == ["int8-ptq-deadly"]
    assert [each["latency"]["samples_ms"] for each in cells[:1]] == [list(kept.cells[0].latency.samples_ms)]


def test_a_suite_that_cannot_run_ends_before_anything_does(plain: Path, tmp_path: Path) -> None:
    done = bench("--suite", "quickly", "--artifacts", plain, "--out", tmp_path / "out")

    assert done.returncode == 2
    assert "quick" in done.stderr
    assert not (tmp_path / "out").exists()
