"""What the system does to a command: full disks, odd names, folders without permission. Exit codes stay true."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from skimage import data

from octopix import files
from octopix.__main__ import main
from octopix.commands import inspect
from octopix.errors import OctopixError
from octopix.images import Picture, write_picture

Refused = Callable[..., str]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_picture(tmp_path / "photo.png", Picture(pixels=data.coffee()[:20, :30]))
    return tmp_path / "photo.png"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must end with one line of error; returns the line."""

    def run(*words: str | Path) -> str:
        assert main([str(word) for word in words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: expected ")
        assert said.err.count("\n") == 1
        return said.err

    return run


def test_faults_are_not_taken_for_a_worse_result(
    models: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inspect, "execute", lambda args: 1 // 0)

    assert main(["inspect", str(models["bare"])]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_errors_of_the_system_are_one_line(
    models: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def fail(_args: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(inspect, "execute", fail)

    assert "Input/output error" in refused("inspect", models["bare"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_stdout_is_the_users_to_mend(models: Mapping[str, Path]) -> None:
    command = [sys.executable, "-m", "octopix", "inspect", models["bare"]]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("name", [b"\xff\xe9.tflite", "é×😀.tflite".encode()])
def test_any_name_reaches_any_terminal(models: Mapping[str, Path], tmp_path: Path, encoding: str, name: bytes) -> None:
    model = tmp_path / os.fsdecode(name)
    model.write_bytes(models["bare"].read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}

    def run(*words: str) -> str:
        command = [
            sys.executable,
            "-m",
            "octopix",
            *words,
            model,
            *(["--seconds", "0", "--out", "r.json"] if words[0] == "bench" else []),
        ]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=True, encoding=encoding
        ).stdout

    assert ".tflite" in run("inspect")
    assert json.loads(run("inspect", "--json"))["file"] == model.name
    assert json.loads(run("bench", "--json")) == json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


def test_names_too_long_for_the_system(models: Mapping[str, Path], photo: Path, refused: Refused) -> None:
    long = "x" * 300

    assert re.search("image at x.* too long", refused("run", long, "--model", models["nearest"]))
    assert re.search(
        "place for x.* too long", refused("run", photo, "--model", models["nearest"], "--out", f"{long}.png")
    )
    assert re.search("file at x.* too long", refused("compare", photo, long))


def test_folders_without_permission(
    models: Mapping[str, Path], photo: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """Simulated, since permissions do not bind root."""

    def deny(*_args: object, **_options: object) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", deny)
        assert "Permission denied" in refused("run", photo.parent, "--model", models["nearest"])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_dir", deny)
        words = ["run", photo, "--model", models["nearest"], "--out", photo.parent / "x.png"]
        assert "a writable place" in refused(*words)


def test_hidden_files_of_a_folder_are_left_alone(models: Mapping[str, Path], photo: Path, tmp_path: Path) -> None:
    for name in ("._photo.png", ".part-abc.png"):
        (photo.parent / name).write_bytes(b"half")

    assert main(["run", str(photo.parent), "--model", str(models["nearest"]), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".gif", ".jp2", ".avif", ".heic"])
def test_formats_that_are_not_written_make_no_folder(
    models: Mapping[str, Path], photo: Path, tmp_path: Path, refused: Refused, suffix: str
) -> None:
    out = tmp_path / f"large{suffix}"

    assert "a name that ends in .png" in refused("run", photo, "--model", models["nearest"], "--out", out)
    assert not out.exists()
    out.mkdir()
    assert main(["run", str(photo), "--model", str(models["nearest"]), "--out", str(out)]) == 0


def test_links_in_circles(models: Mapping[str, Path], tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")

    assert "symbolic links" in refused("run", tmp_path / "loop.png", "--model", models["nearest"])


def test_pipes_and_devices_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)

    for name in ("pipe", "null"):
        with pytest.raises(OctopixError, match="no regular file"):
            files.write_bytes(tmp_path / name, b"content")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "null").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("words", [("--runs", "x"), ("--threads", "0"), ("--seconds", "x"), ("--seconds", "nan")])
def test_wrong_numbers_are_told_in_words(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "m.tflite", *words])

    said = capsys.readouterr().err
    assert f"argument {words[0]}: expected " in said
    assert repr(words[1]) in said
