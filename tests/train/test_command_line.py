"""``python -m train`` as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from train.models import MODELS
from train.weights import read_weights

ROOT = Path(__file__).parents[2]


def command(*words, folder=ROOT):
    arguments = [sys.executable, "-m", "train", *map(str, words)]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def recipe_file(recipe, tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    return path


def test_a_run_prints_its_weights_and_resumes(recipe_file, tmp_path):
    words = ("--model", "espcn_x4", "--recipe", recipe_file, "--run", tmp_path / "run")
    first, second = command(*words, "--until", 2), command(*words)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout.strip() == second.stdout.strip() == str(tmp_path / "run" / "best.safetensors")
    assert "step       2" in first.stderr
    assert "step       2" not in second.stderr
    assert "step       6" in second.stderr
    _, kept = read_weights(tmp_path / "run" / "best.safetensors")
    assert kept["images"].startswith("scikit-image photographs, train list, ")
    assert f"images: {kept['images']}" in second.stderr
    # TensorFlow's own lines start with a severity and a date.
    assert not [line for line in first.stderr.splitlines() if line.startswith(("I0", "W0", "E0", "WARNING"))]


def test_the_list_is_json_with_every_model():
    listed = command("--list", "--json")
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows.keys() == MODELS.keys()
    assert rows["espcn_x4"]["parameters"] == 24_752
    assert rows["espcn_x4"]["weights"] == "train/weights/espcn_x4.safetensors"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--model", "espcn_x5"), "expected a model of the zoo (abpn_x2,"),
        (("--data", "phtoos"), "got phtoos, which is no folder"),
        (("--until", "0"), "expected --until of at least 1 step, got 0"),
        (("--recipe", "absent.yaml"), "expected a recipe at absent.yaml"),
        (
            ("import", "absent.pth", "--model", "lesrcnn_x2", "--out", "w.safetensors"),
            "expected a checkpoint at absent.pth",
        ),
    ],
)
def test_mistakes_are_said_in_a_line_and_exit_with_2(words, complaint):
    failed = command(*words)
    assert failed.returncode == 2
    assert complaint in failed.stderr
    assert "Traceback" not in failed.stderr
    assert failed.stdout == ""
