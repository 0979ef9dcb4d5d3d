"""Targets keep their promises, and a deployment brings back this model's numbers or nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.bench import bench_on
from deploy.local import LocalTarget
from deploy.target import StableTargetError, Target, TransientTargetError
from deploy.targets import TARGETS
from octopix.card import graph_sha256
from octopix.errors import ResultError
from octopix.results import read_result


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """Every kind of target that this machine has."""
    folder = tmp_path / "on the device"
    folder.mkdir()
    return TARGETS[request.param](folder)


@pytest.fixture
def model(artifacts: Path) -> Path:
    return artifacts / "espcn_x4/int8-ptq-minmax.tflite"


def test_files_go_there_and_come_back(target: Target, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    (tmp_path / "here").write_bytes(content)

    target.push(tmp_path / "here", "there.bin")
    listed = target.run(["ls"], timeout=30)
    target.pull("there.bin", tmp_path / "new folder/back")

    assert listed.stdout.split() == ["there.bin"]
    assert (tmp_path / "new folder/back").read_bytes() == content


def test_a_missing_file_is_a_stable_error(target: Target, tmp_path: Path) -> None:
    with pytest.raises(StableTargetError, match="not there"):
        target.push(tmp_path / "missing", "there")
    with pytest.raises(StableTargetError, match="not there"):
        target.pull("missing", tmp_path / "back")

    assert not (tmp_path / "back").exists()


def test_a_command_tells_how_it_ended(target: Target) -> None:
    done = target.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=30)

    assert (done.exit_code, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_an_unknown_program_is_a_stable_error(target: Target) -> None:
    with pytest.raises(StableTargetError, match="no-such-program"):
        target.run(["no-such-program"], timeout=30)


def test_a_command_that_does_not_end_is_ended_and_may_be_tried_again(target: Target) -> None:
    with pytest.raises(TransientTargetError, match=r"within 0\.2 s"):
        target.run(["sleep", "60"], timeout=0.2)


def test_deploy_from_the_command_line(model: Path, tmp_path: Path) -> None:
    words = ["--target", "local", "--model", model, "--reports", tmp_path, "--size", "32x48", "--runs", "5", "--json"]

    done = subprocess.run([sys.executable, "-m", "deploy", *words], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*-deploy-local-espcn_x4-int8-ptq-minmax/results.json")
    assert json.loads(done.stdout) == json.loads(path.read_text())
    (row,) = read_result(path).rows
    assert row.graph_sha256 == graph_sha256(model)
    assert row.shape == (1, 32, 48, 1)


def test_a_name_like_an_option_is_a_name(model: Path, tmp_path: Path) -> None:
    odd = tmp_path / "-x.tflite"
    odd.write_bytes(model.read_bytes())

    measured = bench_on(LocalTarget(tmp_path), odd, reports=tmp_path, options=["--runs", "2", "--seconds", "0"])

    assert measured.result.rows[0].graph_sha256 == graph_sha256(model)


def test_an_interruption_is_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupt)

    assert main(["--model", str(model), "--reports", str(tmp_path / "reports")]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_damaged_model_is_refused_with_the_words_of_the_device(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(model.read_bytes()[:1000])

    code = main(["--model", str(damaged), "--reports", str(tmp_path / "reports")])

    said = capsys.readouterr().err
    assert code == 2
    assert "exit code 2, saying:\nerror: expected" in said
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ("another model's", StableTargetError, "a measurement of int8-ptq-minmax.tflite"),
        ("nonsense", ResultError, "JSON"),
    ],
)
def test_what_is_no_result_of_this_model_is_not_kept(
    artifacts: Path, model: Path, tmp_path: Path, answer: str, error: type[Exception], says: str
) -> None:
    other = bench_on(
        LocalTarget(tmp_path), artifacts / "espcn_x4/float32.tflite", reports=tmp_path / "old", options=["--runs", "2"]
    )
    (tmp_path / "answer").write_bytes(other.path.read_bytes() if answer == "another model's" else b"{]")
    copies = ("sh", "-c", 'for last; do :; done; cp answer "$last"', "octopix")

    with pytest.raises(error, match=says):
        bench_on(LocalTarget(tmp_path, octopix=copies), model, reports=tmp_path / "reports")

    assert not (tmp_path / "reports").exists()
