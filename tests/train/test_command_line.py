"""``python -m train`` as a user runs it."""

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import yaml

from octopix.errors import ConfigError
from octopix.images import Picture, write_picture
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


@pytest.fixture
def pictures(tmp_path):
    """A folder of eight photographs, and one of pairs: the same blurred beside them."""
    for number in range(8):
        piece = skimage.data.astronaut()[20 * number :][:64, 100:180]
        blurred = piece[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
        for folder, pixels in (("photographs", piece), ("pairs", np.hstack([piece, blurred]))):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_picture(tmp_path / folder / f"{number}.png", Picture(pixels))
    return tmp_path


@pytest.mark.parametrize(
    ("model", "source", "folder"), [("srcnn_jpeg20", "--pairs", "pairs"), ("espcn_x4", "--data", "photographs")]
)
def test_a_damaged_picture_ends_the_run_or_is_left_out_on_request(
    recipe_file, pictures, tmp_path, model, source, folder
):
    damaged = pictures / folder / "4.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    recipe_file.write_text(recipe_file.read_text().replace("espcn_x4", model))
    run = tmp_path / "run"
    words = ("--model", model, "--recipe", recipe_file, "--run", run, source, pictures / folder, "--until", 2)
    refused = command(*words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "4.png" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not run.exists()
    done = command(*words, "--skip-damaged")
    assert done.returncode == 0, done.stderr
    assert "left out: 4.png: expected" in done.stderr
    assert done.stdout.strip() == str(run / "best.safetensors")
    _, kept = read_weights(run / "best.safetensors")
    assert f"{folder}, train quarter, " in kept["images"]


def test_pairs_that_cannot_serve_are_said_in_a_line(recipe_file, pictures, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "tiny").mkdir()
    write_picture(tmp_path / "tiny" / "a.png", Picture(np.zeros((8, 16, 3), np.uint8)))
    odd = tmp_path / "odd"
    for side, width in (("good", 80), ("poor", 79)):
        (odd / side).mkdir(parents=True)
        for number in range(4):
            write_picture(odd / side / f"{number}.png", Picture(skimage.data.astronaut()[number:][:64, :width]))
    run = tmp_path / "run"
    recipe_file.write_text(recipe_file.read_text().replace("espcn_x4", "srcnn_jpeg20"))
    for words, complaint in {
        ("--pairs", tmp_path / "absent"): "expected a folder of pairs, got",
        ("--pairs", tmp_path / "empty"): "good/ and poor/, or side-by-side pictures",
        ("--pairs", tmp_path / "tiny"): "expected at least 4 pairs in",
        ("--pairs", odd): "expected a good twin of 79x64, 1 times the size of the poor one, got good/0.png: 80x64",
        ("--pairs", tmp_path / "a.yuv", tmp_path / "b.yuv", "--frame-size", "64"): "a frame size like 480x320",
        ("--pairs", tmp_path / "a.yuv", tmp_path / "b.yuv", "--frame-size", "64x64"): "expected raw video at",
        ("--pairs", pictures / "pairs", "--data", pictures): "expected --data or --pairs, got both",
        ("--validate-pairs", pictures / "pairs"): "expected --pairs with --validate-pairs",
    }.items():
        failed = command("--model", "srcnn_jpeg20", "--recipe", recipe_file, "--run", run, *words)
        assert (failed.returncode, failed.stdout) == (2, ""), words
        assert complaint in failed.stderr, words
        assert "Traceback" not in failed.stderr
    assert not run.exists()


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
