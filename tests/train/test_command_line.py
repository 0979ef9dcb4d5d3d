"""``python -m train`` as a user runs it."""

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from octopix.errors import ConfigError
from train.commands import listing
from train.models import MODELS
from train.weights import read_weights, weights_sha256

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
    assert rows["espcn_x4"]["initialisation"].startswith("random (variance scaling")
    # 24,640 weights, each at every input pixel, of which there is one to 16 of the output.
    assert rows["espcn_x4"]["macs_per_output_megapixel"] == 24_640 * 1_000_000 // 16
    assert rows["lesrcnn_blind_x3"]["recipe"] == "train/recipes/lesrcnn_blind.yaml"
    assert (rows["unet_x2"]["enlarged"], rows["unet_x2"]["scale"]) == (True, 2)


def test_a_reader_that_leaves_early_sees_no_traceback():
    words = [sys.executable, "-m", "train", "--list"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        error = running.stderr.read()
    assert (error, running.returncode) == (b"", 128 + signal.SIGPIPE)


def listed(monkeypatch, tmp_path, zoo, macs=None):
    monkeypatch.setattr(listing, "FIGURES", tmp_path / "zoo.json")
    if zoo is not None:
        (tmp_path / "zoo.json").write_text(zoo, encoding="utf-8")
    if macs is not None:
        monkeypatch.setattr(listing, "MACS", tmp_path / "macs.json")
        (tmp_path / "macs.json").write_text(json.dumps(macs), encoding="utf-8")
    monkeypatch.setattr(listing, "MODELS", {"espcn_x4": MODELS["espcn_x4"]})
    (row,) = json.loads(listing.run(argparse.Namespace(json=True))[0])
    return row


def test_figures_are_listed_where_they_are_of_the_committed_weights(monkeypatch, tmp_path):
    figures = {"protocol": "y", "psnr": 30.5, "ssim": 0.86}
    entry = {
        "float32": {"Set5": {**figures, "images": 5}},
        "weights_sha256": weights_sha256(MODELS["espcn_x4"].weights),
    }
    row = listed(monkeypatch, tmp_path, json.dumps({"models": {"espcn_x4": entry}}))
    assert row["float"] == {"Set5": figures}
    other = {**entry, "weights_sha256": "0" * 64}
    assert listed(monkeypatch, tmp_path, json.dumps({"models": {"espcn_x4": other}}))["float"] is None
    assert listed(monkeypatch, tmp_path, json.dumps({"models": {}}))["float"] is None
    (tmp_path / "zoo.json").unlink()
    assert listed(monkeypatch, tmp_path, None)["float"] is None
    for damaged in ("{", "[]", "{}", '{"models": {"espcn_x4": {"float": {}}}}'):
        with pytest.raises(ConfigError, match=r"figures by model in zoo\.json"):
            listed(monkeypatch, tmp_path, damaged)


def test_a_model_whose_macs_were_never_counted_is_counted(monkeypatch, tmp_path):
    assert listed(monkeypatch, tmp_path, None, macs={})["macs_per_output_megapixel"] == 1_540_000_000


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
        (("curves", "--run", "absent", "--out", "c.png"), "expected the history of a training in absent, got none"),
        (("precision", "--model", "espcn_x5"), "expected a model of the zoo (abpn_x2,"),
    ],
)
def test_mistakes_are_said_in_a_line_and_exit_with_2(words, complaint):
    failed = command(*words)
    assert failed.returncode == 2
    assert complaint in failed.stderr
    assert "Traceback" not in failed.stderr
    assert failed.stdout == ""
