"""The command line as people and scripts meet it: exit codes, streams, files."""

import dataclasses
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octopix.__main__ import main
from octopix.images import Picture, read_picture, write_picture
from octopix.results import read_result, write_result

STEADY = (1.0, 1.01, 1.02)
SLOW = (10.0, 10.1, 10.2)


@dataclasses.dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def octopix(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Done]:
    """Run a command in an empty folder; what native code writes to the streams is seen, too."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: str | Path | int) -> Done:
        try:
            code = main([str(word) for word in words])
        except SystemExit as leaving:  # argparse
            code = int(leaving.code or 0)
        streams = capfd.readouterr()
        return Done(code, streams.out, streams.err)

    return run


@pytest.fixture
def photo(photos: Path, tmp_path: Path) -> Path:
    """A small colour photograph."""
    pixels = read_picture(photos / "chelsea.png").pixels[100:150, 120:190]
    write_picture(tmp_path / "photo.png", Picture(pixels=pixels))
    return tmp_path / "photo.png"


def test_run_writes_beside_the_caller_by_default(
    octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path
) -> None:
    done = octopix("run", photo, "--model", models["nearest-uint8"])

    assert (done.code, done.err) == (0, "")
    assert "photo.nearest_x2.int8-ptq-minmax.png  70x50 -> 140x100" in done.out
    assert read_picture(Path("photo.nearest_x2.int8-ptq-minmax.png")).pixels.shape == (100, 140, 3)


def test_run_replaces_an_old_output(octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path) -> None:
    Path("large.png").write_text("old")

    assert octopix("run", photo, "--model", models["nearest"], "--out", "large.png").code == 0
    assert read_picture(Path("large.png")).pixels.shape == (100, 140, 3)
    assert list(Path().iterdir()) == [Path("large.png")]  # no temporary file is left


@pytest.mark.parametrize(
    ("shape", "dtype", "alpha"),
    [
        ((1, 1, 3), np.uint8, False),
        ((9, 7, 1), np.uint8, False),
        ((9, 7, 1), np.uint16, False),
        ((9, 7, 3), np.uint16, True),
        ((9, 7, 3), np.uint8, True),
    ],
)
def test_run_keeps_what_a_picture_is(
    octopix: Callable[..., Done],
    models: Mapping[str, Path],
    tmp_path: Path,
    shape: tuple[int, ...],
    dtype: type,
    alpha: bool,
) -> None:
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    source = Picture(pixels=noise, alpha=noise[..., 0] if alpha else None)
    write_picture(tmp_path / "in.png", source)

    assert octopix("run", tmp_path / "in.png", "--model", models["nearest-uint8"], "--out", "out.png").code == 0

    found = read_picture(Path("out.png"))
    assert found.pixels.shape == (2 * shape[0], 2 * shape[1], shape[2])
    assert found.pixels.dtype == dtype
    assert (found.alpha is not None) == alpha


def test_run_reports_json_and_nothing_else(
    octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path
) -> None:
    done = octopix("run", photo, "--model", models["nearest"], "--out", "new/folder", "--threads", 2, "--json")

    report = json.loads(done.out)
    assert done.err == ""
    assert (report["model"], report["facts"]["threads"]) == ("nearest_x2", 2)
    (entry,) = report["images"]
    assert (entry["input_size"], entry["output_size"]) == ([50, 70], [100, 140])
    assert Path(entry["output"]) == Path("new/folder/photo.nearest_x2.float32.png")
    assert Path(entry["output"]).is_file()


def test_run_carries_on_past_a_bad_picture(
    octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path
) -> None:
    folder = photo.parent / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(photo.read_bytes()[:300])
    (folder / "b.png").write_bytes(photo.read_bytes())
    (folder / "notes.txt").write_text("no picture")

    done = octopix("run", folder, "--model", models["nearest"], "--out", "out", "--json")

    report = json.loads(done.out)
    assert done.code == 2
    assert [Path(entry["input"]).name for entry in report["images"]] == ["b.png"]
    assert [Path(entry["input"]).name for entry in report["failed"]] == ["a.png"]
    assert done.err.startswith("error: ")
    assert "a.png" in done.err


def test_progress_is_shown_to_people_only(models: Mapping[str, Path], photo: Path, tmp_path: Path) -> None:
    (tmp_path / "second.png").write_bytes(photo.read_bytes())
    words = ["run", photo, tmp_path / "second.png", "--model", models["nearest"], "--out", tmp_path / "out"]
    keyboard, terminal = pty.openpty()

    done = subprocess.run(
        [sys.executable, "-m", "octopix", *words], stdout=subprocess.PIPE, stderr=terminal, check=True
    )
    os.close(terminal)

    assert b"\r\x1b[K1/2 photo.png\r\x1b[K2/2 second.png" in os.read(keyboard, 1000)
    os.close(keyboard)
    assert b"1/2" not in done.stdout


def test_inspect(octopix: Callable[..., Done], models: Mapping[str, Path]) -> None:
    done = octopix("inspect", models["gains-uint8"], "--size", "10x20", "--json")

    report = json.loads(done.out)
    assert (report["card"]["model"], report["size"], report["macs"], report["parameters"]) == (
        "gains",
        [10, 20],
        10 * 20 * 9,
        9,
    )
    assert (report["receptive_field"], report["multiple_of"], report["scale"]) == (1, 1, 1.0)
    (port,) = report["inputs"]
    assert (port["dtype"], port["zero_point"]) == ("uint8", 0)
    assert port["scale"] == pytest.approx(1 / 255)
    assert [operator["name"] for operator in report["operators"]] == ["QUANTIZE", "CONV_2D", "QUANTIZE"]
    convolution = report["operators"][1]
    assert convolution["dtypes"] == ["int8", "int8", "int32"]
    assert (convolution["output_scale"], convolution["output_zero_point"]) == (pytest.approx(1 / 255), -128)
    assert (convolution["weight_scales"], convolution["weight_axis"]) == (3, 0)
    text = octopix("inspect", models["gains-uint8"]).out
    assert report["graph_sha256"] in text
    assert re.search(r"CONV_2D .* 0\.00392157 +-128 ", text)


@pytest.mark.parametrize("name", ["bare", "sum"])
def test_inspect_needs_no_card_and_no_single_input(
    octopix: Callable[..., Done], models: Mapping[str, Path], name: str
) -> None:
    done = octopix("inspect", models[name])

    assert (done.code, done.err) == (0, "")
    assert models[name].name in done.out


def test_bench_writes_a_result(octopix: Callable[..., Done], models: Mapping[str, Path]) -> None:
    words = ["--size", "8x24", "--seconds", 0, "--runs", 12, "--out", "r.json", "--json"]
    done = octopix("bench", models["nearest-uint8"], *words)

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == json.loads(Path("r.json").read_text())
    (row,) = read_result(Path("r.json")).rows
    assert (row.model, row.scheme, row.shape) == ("nearest_x2", "int8-ptq-minmax", (1, 8, 24, 1))
    assert (row.macs, row.parameters) == (8 * 24 * 4, 4)
    assert len(row.latency.samples_ms) == 12
    assert row.latency.init_ms > 0
    assert row.kib == models["nearest-uint8"].stat().st_size / 1024


def test_bench_times_the_models_own_size_without_a_card(
    octopix: Callable[..., Done], models: Mapping[str, Path]
) -> None:
    done = octopix("bench", models["bare"], "--seconds", 0, "--delegate", "cpu-builtin")

    assert done.code == 0
    assert "bare (no card)  input 1x16x16x1" in done.out
    assert "asked cpu-builtin, got cpu-builtin" in done.out


def test_compare_pictures(octopix: Callable[..., Done], photo: Path) -> None:
    same = octopix("compare", photo, photo, "--json")

    report = json.loads(same.out)
    assert (same.code, report["psnr_db"], report["identical"], report["ssim"]) == (0, None, True, 1.0)
    assert "inf (identical)" in octopix("compare", photo, photo).out


def test_compare_models(octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path) -> None:
    words = ["compare", models["even"], models["double"], "--images", photo]

    report = json.loads(octopix(*words, "--json").out)
    assert report["operator_changes"]["CONV_2D"] == [0, 1]
    assert report["mean_psnr_db"] == report["fidelity"][0]["psnr_db"] > 0
    assert "photo.png" in octopix(*words).out


def test_compare_results_fails_on_worse_rows_only(octopix: Callable[..., Done], models: Mapping[str, Path]) -> None:
    octopix("bench", models["nearest"], "--seconds", 0, "--out", "fast.json")
    result = read_result(Path("fast.json"))
    for name, samples, warnings in (("fast", STEADY, ()), ("slow", SLOW, ()), ("shaky", SLOW, ("unstable",))):
        latency = dataclasses.replace(result.rows[0].latency, samples_ms=samples, warnings=warnings)
        row = dataclasses.replace(result.rows[0], latency=latency)
        conditions = dataclasses.replace(result.conditions, cpu="A CPU")
        write_result(Path(f"{name}.json"), dataclasses.replace(result, rows=(row,), conditions=conditions))

    worse, better = octopix("compare", "fast.json", "slow.json"), octopix("compare", "slow.json", "fast.json", "--json")

    assert (worse.code, worse.err) == (1, "")
    assert worse.out.endswith("B is worse than A.\n")
    shaky = octopix("compare", "fast.json", "shaky.json")
    assert shaky.code == 0
    assert "time not judged: B unstable" in shaky.out
    report = json.loads(better.out)
    assert (better.code, report["worse"], report["rows"][0]["judgement"]) == (0, False, "better")


BAD_MODELS: Mapping[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "another schema": lambda content: content[:4] + b"TFL2" + content[8:],
    "text": lambda content: b"<html>404</html>" * 99,
}


@pytest.mark.parametrize("damage", BAD_MODELS)
@pytest.mark.parametrize("command", ["run", "bench", "inspect", "compare"])
def test_bad_models(
    octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path, tmp_path: Path, command: str, damage: str
) -> None:
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(BAD_MODELS[damage](models["nearest"].read_bytes()))
    words = {"run": ("run", photo, "--model", bad), "compare": ("compare", models["nearest"], bad)}

    _assert_refused(octopix(*words.get(command, (command, bad)), "--json"), "bad.tflite")


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_bad_pictures(
    octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path, content: bytes | None
) -> None:
    photo.write_bytes(photo.read_bytes()[:-40] if content is None else content)

    _assert_refused(octopix("run", photo, "--model", models["nearest"]), "photo.png")
    _assert_refused(octopix("compare", photo, photo, "--json"), "photo.png")


def test_other_mistakes(octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path, tmp_path: Path) -> None:
    model = models["nearest"]
    again = tmp_path / "again"
    again.mkdir()
    (again / "photo.png").write_bytes(photo.read_bytes())
    mistakes: list[tuple[tuple[Any, ...], str]] = [
        (("run", photo, "--model", models["bare"]), "without a card"),
        (("run", photo, "--model", "none.tflite"), "none.tflite"),
        (("run", "none.png", "--model", model), "none.png"),
        (("run", photo, "--model", model, "--out", model / "in" / "a" / "file"), "a writable place"),
        (("run", photo, "--model", model, "--out", photo), "an input"),
        (("run", photo, again, "--model", model), "another picture's output"),
        (("run", photo, again, "--model", model, "--out", "one.png"), "a folder for several pictures"),
        (("run", ".", "--model", model), "pictures"),
        (("bench", models["sum"]), "one input"),
        (("bench", model, "--seconds", 0, "--out", model / "r.json"), "a writable place"),
        (("compare", photo, model), "a picture and a model"),
        (("compare", photo, photo, "--images", photo), "--images"),
    ]
    for words, says in mistakes:
        _assert_refused(octopix(*words), says)


def _assert_refused(done: Done, says: str) -> None:
    """One line for the user, nothing on stdout, nothing written."""
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: expected ")
    assert done.err.count("\n") == 1
    assert says in done.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "words", [(), ("polish",), ("run",), ("bench", "m", "--threads", 0), ("bench", "m", "--size", 12), ("run", "--no")]
)
def test_wrong_arguments(octopix: Callable[..., Done], words: tuple[str, ...]) -> None:
    done = octopix(*words)

    assert (done.code, done.out) == (2, "")
    assert "usage: octopix" in done.err


def test_no_runtime(
    octopix: Callable[..., Done], models: Mapping[str, Path], photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)

    _assert_refused(octopix("run", photo, "--model", models["nearest"]), 'pip install "octopix[litert]"')
    assert octopix("inspect", models["nearest"]).code == 0


def test_the_public_names_load_what_they_need_and_no_more() -> None:
    code = (
        "import sys, octopix; assert not {'numpy', 'cv2'} & set(sys.modules); "
        "from octopix import ModelCard, Picture, Restorer, read_picture, write_picture; "
        "assert not {'tensorflow', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


KILLED = """
import os, pathlib, signal, sys
from octopix.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner may ignore Ctrl-C
whole = pathlib.Path.write_bytes

def half(path, content):
    whole(path, content[: len(content) // 2])
    os.kill(os.getpid(), int(sys.argv[1]))

pathlib.Path.write_bytes = half
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_leaves_the_old_output_whole(
    models: Mapping[str, Path], photo: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "large.png").write_text("old")
    words = ["run", photo, "--model", models["nearest"], "--out", out / "large.png"]

    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(int(number)), *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in done.stderr
    assert (out / "large.png").read_text() == "old"
    if number != signal.SIGKILL:  # which no process can clean up after
        assert [path.name for path in out.iterdir()] == ["large.png"]


def test_a_reader_that_leaves_early_sees_no_traceback(models: Mapping[str, Path]) -> None:
    command = [sys.executable, "-m", "octopix", "inspect", models["nearest"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()  # type: ignore[union-attr]
        error = running.stderr.read()  # type: ignore[union-attr]

    assert error == b""
    assert running.returncode == 128 + signal.SIGPIPE
