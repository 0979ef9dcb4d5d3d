import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from octopix.card import ModelCard, read_card
from quantize.__main__ import main
from train import models

ROOT = Path(__file__).parents[2]
WITHOUT_TENSORFLOW = (
    "-c",
    "import sys; sys.modules['tensorflow'] = sys.modules['tf_keras'] = None; sys.argv[0] = 'quantize'; "
    "from quantize.__main__ import main; sys.exit(main())",
)
"""The command line in an interpreter where importing TensorFlow or Keras fails: what answers here answers fast."""


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in {"OCTOPIX_DATA", "TF_CPP_MIN_LOG_LEVEL"}
    }
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_json_is_all_that_stdout_holds_and_stderr_is_silent(tmp_path: Path) -> None:
    done = _run("-m", "quantize", "--scheme", "int8-ptq-minmax,int16x8-ptq", "--out", tmp_path, "--quick", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)["artifacts"]
    assert [row["card"]["scheme"] for row in rows] == ["float32", "int8-ptq-minmax", "int16x8-ptq"]
    for row in rows:
        card = read_card(Path(row["path"]))
        assert ModelCard.from_json(json.dumps(row["card"])) == card
        assert card.validation is not None
        assert row["drop_db"] == card.validation.drop


def test_the_table_names_each_scheme_and_the_folder(tmp_path: Path) -> None:
    done = _run("-m", "quantize", "--scheme", "float32", "--out", tmp_path, "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert "builtin-validate, protocol y" in done.stdout
    assert done.stdout.splitlines()[2].startswith("float32 ")
    assert str(tmp_path / "espcn_x4") in done.stdout
    assert "warning: made with --quick" in done.stdout


def test_a_budget_stops_at_the_first_rung_within_it(tmp_path: Path) -> None:
    done = _run("-m", "quantize", "--model", "espcn_x2", "--budget", 20, "--out", tmp_path, "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[1] for line in done.stdout.splitlines()[:-1]] == ["int8-ptq-minmax"]
    assert done.stdout.splitlines()[-1] == f"within 20 dB: {tmp_path / 'espcn_x2' / 'int8-ptq-minmax.tflite'}"
    assert {each.name for each in (tmp_path / "espcn_x2").iterdir()} == {"float32.tflite", "int8-ptq-minmax.tflite"}


def test_a_budget_takes_no_scheme_beside_it(tmp_path: Path) -> None:
    done = _run(*WITHOUT_TENSORFLOW, "--scheme", "float32", "--budget", 1, "--out", tmp_path)
    assert done.returncode == 2
    assert "--budget alone" in done.stderr


def test_help_needs_no_tensorflow() -> None:
    done = _run(*WITHOUT_TENSORFLOW, "--help")
    assert done.returncode == 0
    assert "int8-ptq-mse" in done.stdout
    assert "conversion-speed" in done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--scheme", "int7"], "a scheme (float32, "),
        (["--model", "espcn_x5"], "a model of the zoo ("),
        (["--data", "no/such/folder"], "no/such/folder"),
        (["conversion-speed", "--model", "espcn_x5"], "a model of the zoo"),
    ],
)
def test_what_the_user_mistyped_is_said_at_once(words: list[str], complaint: str) -> None:
    done = _run(*WITHOUT_TENSORFLOW, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: expected ")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_empty_folder_is_an_error_and_no_unquantized_model(tmp_path: Path) -> None:
    done = _run(*WITHOUT_TENSORFLOW, "--data", tmp_path, "--out", tmp_path / "artifacts")
    assert done.returncode == 2
    assert "got none" in done.stderr
    assert not (tmp_path / "artifacts").exists()


def test_an_error_in_the_midst_of_the_work_reaches_the_user(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = _run("-m", "quantize", "--data", tmp_path, "--out", tmp_path / "artifacts")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: expected ")
    assert ".png" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_all_takes_every_model_with_weights_and_names_the_command_that_trains_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    listed = {name: models.MODELS[name] for name in ("espcn_x4", "abpn_x3")}
    without = dataclasses.replace(listed["abpn_x3"], family="not_trained")
    monkeypatch.setattr(models, "MODELS", {**listed, "abpn_x3": without})
    monkeypatch.delenv("OCTOPIX_DATA", raising=False)
    assert main(["--model", "all", "--scheme", "float32", "--out", str(tmp_path), "--quick"]) == 0
    assert "abpn_x3: not trained yet: make train MODEL=abpn_x3" in capfd.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["espcn_x4"]


def test_all_models_cannot_share_one_weights_file(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "all", "--weights", "w.safetensors"]) == 2
    assert "name the model these weights are of" in capfd.readouterr().err
