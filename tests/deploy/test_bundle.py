"""Bundles: whole, the same each time, usable by the example inside, and comparable."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage

from deploy.__main__ import main
from deploy.bundle import write_bundle
from octopix.__main__ import main as octopix
from octopix.card import graph_sha256
from octopix.errors import ConfigError
from octopix.images import read_picture, write_picture
from octopix.restore import Restorer

NAMES = {"espcn_x4.int8-ptq-minmax.tflite", "restore.py", "Restore.kt", "SHA256SUMS"}
PHOTO = Path(skimage.__file__).parent / "data/chelsea.png"


@pytest.fixture
def model(artifacts: Path) -> Path:
    return artifacts / "espcn_x4/int8-ptq-minmax.tflite"


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return write_bundle(model, tmp_path / "a bundle")


def test_a_folder_and_a_zip_hold_the_same(model: Path, folder: Path, tmp_path: Path) -> None:
    archives = [write_bundle(model, tmp_path / f"{place}/b.zip") for place in (1, 2)]

    assert archives[0].read_bytes() == archives[1].read_bytes()
    inside = {name: zipfile.ZipFile(archives[0]).read(name) for name in zipfile.ZipFile(archives[0]).namelist()}
    assert inside == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert inside.keys() == NAMES


def test_sha256sum_agrees(folder: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, check=False)

    assert done.returncode == 0
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 3


def test_the_python_example_restores_a_picture(model: Path, folder: Path, tmp_path: Path) -> None:
    picture = read_picture(PHOTO)
    small = type(picture)(picture.pixels[:40, :60])
    write_picture(tmp_path / "small.png", small)

    command = [sys.executable, folder / "restore.py", tmp_path / "small.png", tmp_path / "large.png"]
    subprocess.run(command, check=True, cwd=tmp_path)

    assert len((folder / "restore.py").read_text().splitlines()) <= 22
    assert np.array_equal(read_picture(tmp_path / "large.png").pixels, Restorer(model).restore(small).pixels)

    damaged = folder / "espcn_x4.int8-ptq-minmax.tflite"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, "is damaged" in done.stderr) == (1, True)


def test_the_kotlin_snippet_says_how_this_file_stores_values(artifacts: Path, folder: Path, tmp_path: Path) -> None:
    integer = (folder / "Restore.kt").read_text()
    real = (write_bundle(artifacts / "espcn_x4/float32.tflite", tmp_path / "float") / "Restore.kt").read_text()

    assert "input.put(level(value).toByte())" in integer
    assert "(output.get().toInt() and 0xFF).toFloat()" in integer
    assert "input.putFloat(value / 255f)" in real
    assert "output.getFloat() * 255f" in real
    for text in (integer, real):
        assert "private fun luma" in text  # a luma network
        assert "intArrayOf(1, high, wide, 1)" in text
        assert "* 16 *" in text  # output samples for each of the input
        assert text.count("{") == text.count("}")
        assert "$" not in text


def test_a_folder_of_something_else_is_not_touched(model: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")

    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        write_bundle(model, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_bundle_and_compare_from_the_command_line(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for scheme, out in (("float32", "a"), ("int8", "b.zip")):
        words = ["--model", "espcn_x4", "--artifacts", str(artifacts), "--scheme", scheme]
        assert main(["bundle", *words, "--out", str(tmp_path / out)]) == 0
    capsys.readouterr()

    assert octopix(["compare", str(tmp_path / "a"), str(tmp_path / "b.zip"), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "bundles"
    assert found["b"]["graph_sha256"] == graph_sha256(artifacts / "espcn_x4/int8-ptq-minmax.tflite")
    assert "Restore.kt" in found["files_that_differ"]
    assert octopix(["compare", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert "The same files." in capsys.readouterr().out


def _cut(folder: Path) -> None:
    path = folder / "restore.py"
    path.write_bytes(path.read_bytes()[:-1])


def _lose(folder: Path) -> None:
    (folder / "Restore.kt").unlink()


def _unlisted(folder: Path) -> None:
    (folder / "more.txt").write_text("of unknown origin")


def _no_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def _nonsense(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("nonsense\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_cut, "got restore.py"),
        (_lose, "got Restore.kt"),
        (_unlisted, "got more.txt"),
        (_no_sums, "a bundle, with SHA256SUMS"),
        (_nonsense, "the files that SHA256SUMS lists"),
    ],
)
def test_a_bundle_that_is_not_whole_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], spoil: object, says: str
) -> None:
    assert callable(spoil)
    spoil(folder)

    assert octopix(["compare", str(folder), str(folder)]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"PK\3\4 cut off", b"PK\3\4"])
def test_a_damaged_zip_is_refused(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.zip").write_bytes(content)

    assert octopix(["compare", str(tmp_path / "b.zip"), str(tmp_path / "b.zip")]) == 2
    assert "a readable folder or zip" in capsys.readouterr().err


def test_a_zip_with_a_damaged_file_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_bundle(model, tmp_path / "b.zip")
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)  # within the first file's compressed data
    path.write_bytes(content)

    assert octopix(["compare", str(path), str(path)]) == 2
    assert "a readable folder or zip" in capsys.readouterr().err
