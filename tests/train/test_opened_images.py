"""Training and quantization never open a test image: watched while they run, not read off their imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from train.data.sources import committed_list

ROOT = Path(__file__).parents[2]

WATCHED = """
import json, runpy, sys
from pathlib import Path

opened, module, words = set(), sys.argv[1], sys.argv[2:]

def note(event, arguments):
    if event == "open":
        opened.add(Path(str(arguments[0])).name)

sys.addaudithook(note)
sys.argv = [module, *words]
try:
    runpy.run_module(module, run_name="__main__")
finally:
    Path("opened.json").write_text(json.dumps(sorted(opened)))
"""


@pytest.mark.parametrize(
    ("module", "words", "purposes"),
    [
        ("train", ("--until", "2", "--recipe", "short.yaml", "--run", "run"), ("train", "validate")),
        ("quantize", ("--scheme", "float32,int8-ptq-minmax", "--quick", "--out", "out"), ("calibrate", "validate")),
    ],
)
def test_no_test_image_is_opened(module, words, purposes, recipe, tmp_path, monkeypatch):
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run = [sys.executable, "-c", WATCHED, module, "--model", "espcn_x4", *words]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    opened = set(json.loads((tmp_path / "opened.json").read_text(encoding="utf-8")))
    assert not opened & set(committed_list("builtin", "test"))
    for purpose in purposes:  # proves that the watch sees image files
        assert opened & set(committed_list("builtin", purpose))
