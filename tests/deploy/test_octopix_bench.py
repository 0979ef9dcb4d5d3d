"""Devices that have octopix, with this machine as one: the whole way, and what comes back of other models."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.artifacts import ModelFile
from deploy.bench import Job, Way
from deploy.local import LocalTarget, this_octopix
from deploy.octopix_bench import OctopixBench
from deploy.parity import check_parity, host_outputs
from deploy.pictures import SampleSet
from deploy.target import StableTargetError
from octopix.card import graph_sha256
from octopix.device_rows import DeviceRow
from octopix.results import read_result

CPU = Way("cpu", 1)
QUICK = ["--size", "24x32", "--processes", "1", "--runs", "3", "--warmup", "1", "--cooldown", "0"]


def test_deploy_from_the_command_line(artifacts: Path, tmp_path: Path) -> None:
    words = ["bench", "--target", "local", "--model", "espcn_x4", "--artifacts", artifacts, "--out", tmp_path / "out"]

    done = subprocess.run([sys.executable, "-m", "deploy", *words, *QUICK], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    path = tmp_path / "out/local/results.json"
    assert done.stdout == f"{path}\n"
    result = read_result(path)
    rows = [row for row in result.rows if isinstance(row, DeviceRow)]
    assert [row.scheme for row in rows[:2]] == ["float32", "int8-ptq-minmax"]
    for row in rows:
        assert row.graph_sha256 == graph_sha256(artifacts / f"espcn_x4/{row.scheme}.tflite")
        assert row.shape == (1, 24, 32, 1)
        assert (row.parity.state, row.psnr_db) == ("identical", row.host_psnr_db)
        assert len(row.samples_ms) == 3
        assert row.peak_memory_mib is not None
        assert row.peak_memory_mib > 20  # NumPy and a runtime alone take more
        assert row.init_ms is not None
    assert any(note.startswith("gpu: ") for note in result.notes) or rows[-1].facts.delegate_got == "gpu"


def test_a_device_leaves_only_what_the_next_run_can_use(
    files: tuple[ModelFile, ...], samples: SampleSet, job: Job, tmp_path: Path
) -> None:
    bench = OctopixBench(LocalTarget(tmp_path), this_octopix(), "here")

    bench.outputs(files[0], CPU, samples.samples, job)
    bench.time(files[0], CPU, job)

    assert {path.suffix for path in tmp_path.iterdir()} == {".tflite", ".png"}


@dataclass(frozen=True)
class Swapping(LocalTarget):
    """A device on which another model takes the place of each that is pushed."""

    other: Path = Path()

    def push(self, local: Path, name: str) -> None:
        super().push(self.other if name.endswith(".tflite") else local, name)


def test_another_model_on_the_device_is_caught(
    files: tuple[ModelFile, ...], samples: SampleSet, job: Job, tmp_path: Path
) -> None:
    float32, int8 = files
    bench = OctopixBench(Swapping(tmp_path, other=float32.path), this_octopix(), "here")

    with pytest.raises(StableTargetError, match="one of another file"):
        bench.time(int8, CPU, job)
    with pytest.raises(StableTargetError, match="at most 0 LSB"):
        check_parity(
            int8, bench.outputs(int8, CPU, samples.samples, job), host_outputs(int8, samples), samples, where="here"
        )


def test_what_the_device_says_of_a_damaged_model_reaches_the_user(
    files: tuple[ModelFile, ...], job: Job, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(files[0].path.read_bytes()[:5000])
    bench = OctopixBench(Swapping(tmp_path, other=damaged), this_octopix(), "here")

    with pytest.raises(StableTargetError, match="exit code 2, saying: error: expected") as caught:
        bench.time(files[0], CPU, job)

    assert caught.value.finished is not None
    assert caught.value.finished.exit_code == 2


def test_an_octopix_that_answers_nonsense_is_said(
    files: tuple[ModelFile, ...], samples: SampleSet, job: Job, tmp_path: Path
) -> None:
    bench = OctopixBench(LocalTarget(tmp_path), ("echo", "not JSON"), "here")

    with pytest.raises(StableTargetError, match="JSON from `octopix run --json`"):
        bench.outputs(files[0], CPU, samples.samples, job)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "no_such_model"], "run: make quantize MODEL=no_such_model"),
        (["--model", "espcn_x4", "--schemes", "float32,int8-qat"], "expected int8-qat as .tflite"),
        (["--model", "espcn_x4", "--target", "raspberry_pi"], "host: Field required"),
        (["--model", "espcn_x4", "--target", "raspberry_pi", "--host", "a;b"], "HOST"),
        (["--model", "espcn_x4", "--target", "local", "--host", "board"], "host: Extra inputs"),
        (["--model", "espcn_x4", "--target", "desk"], "devices.yaml that names it"),
    ],
)
def test_bad_words_are_one_line(
    artifacts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    code = main(["bench", "--artifacts", str(artifacts), "--out", str(tmp_path / "out"), *QUICK, *words])

    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert says in said[-1]
    assert not (tmp_path / "out").exists()


def test_an_interruption_is_one_line(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.__main__.measure_all", interrupt)

    assert main(["bench", "--model", "espcn_x4", "--artifacts", str(artifacts), "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_devices_of_a_desk_are_measured_side_by_side_and_fail_alone(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = {"devices": {"one": {"target": "local"}, "two": {"target": "local", "folder": str(tmp_path / "two")}}}
    desk["devices"]["three"] = {"target": "raspberry_pi", "host": "pi@board.invalid", "ssh_options": ["NoSuchOption=1"]}
    (tmp_path / "devices.yaml").write_text(json.dumps(desk))
    words = ["--target", "all", "--devices", str(tmp_path / "devices.yaml"), "--schemes", "float32"]

    code = main(
        ["bench", "--model", "espcn_x4", "--artifacts", str(artifacts), "--out", str(tmp_path / "out"), *QUICK, *words]
    )

    said = capsys.readouterr()
    assert code == 2
    assert {path.parent.name for path in (tmp_path / "out").rglob("results.json")} == {"one", "two"}
    assert "three: failed" in said.err
    assert "three" not in said.out
