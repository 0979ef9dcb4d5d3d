"""Training curves as a picture."""

import argparse

import pytest

from octopix.errors import ConfigError
from octopix.images import read_picture
from train.commands import curves
from train.curves import draw_curves
from train.run_folder import Epoch, RunFolder

EPOCHS = [Epoch(step, 1 / step, 20 + step / 10, 20 + step / 10, 1e-3, 2.0) for step in (10, 20, 30)]


def folder_with(path, epochs=EPOCHS):
    for epoch in epochs:
        RunFolder(path).log(epoch)
    return path


def drawn(tmp_path, *folders):
    out = tmp_path / "curves.png"
    assert curves.run(argparse.Namespace(run=list(folders), out=out)) == [str(out)]
    return read_picture(out).pixels


def test_every_run_leaves_its_marks(tmp_path):
    one = drawn(tmp_path, folder_with(tmp_path / "espcn_x4"))
    higher = [Epoch(epoch.step, epoch.loss, epoch.psnr + 5, 0, 1e-3, 2.0) for epoch in EPOCHS[:1]]
    two = drawn(tmp_path, tmp_path / "espcn_x4", folder_with(tmp_path / "lesrcnn_x3", higher))
    assert one.shape == two.shape
    assert (one != two).any()
    assert two.min() < 50  # there is ink
    assert two.max() > 250


def test_all_runs_are_drawn_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "RUNS", tmp_path)
    with pytest.raises(ConfigError, match="got none with a validation yet"):
        drawn(tmp_path)
    folder_with(tmp_path / "a")
    named = drawn(tmp_path, tmp_path / "a")
    assert (drawn(tmp_path) == named).all()


def test_folders_and_formats_that_cannot_serve_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"the history of a training in .*nowhere, got none"):
        drawn(tmp_path, tmp_path / "nowhere")
    damaged = folder_with(tmp_path / "damaged")
    for text in ("{", '{"step": 1}', "7"):
        (damaged / "history.jsonl").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"history\.jsonl, got .*; restore it"):
            drawn(tmp_path, damaged)
    with pytest.raises(ConfigError, match=r"got curves\.gif; correct --out"):
        draw_curves({"a": EPOCHS}, tmp_path / "curves.gif")
    assert not list(tmp_path.glob("curves*"))
