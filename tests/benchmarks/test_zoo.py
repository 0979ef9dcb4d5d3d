"""The zoo's figures: taken from reports, kept in one JSON, shown in a README."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.zoo import BEGIN, END, GOALS, RESULTS, Goal, entry_of, read_goals, read_zoo, table_of, update
from octopix.errors import ResultError
from octopix.results import Result, write_result
from train.models import MODELS

Make = Callable[..., Result]


def reported(folder: Path, result: Result, model: str = "espcn_x4") -> Path:
    write_result(folder / model / "results.json", result)
    return folder


def test_an_entry_holds_float_figures_of_every_set_and_mean_drops(make_result: Make) -> None:
    entry = entry_of(make_result())
    assert {name: figures.psnr for name, figures in entry.float32.items()} == {"Set5": 34.0, "Set14": 26.0}
    # bicubic is one dB below float32 in these results
    assert entry.float32["Set5"].baseline_psnr == 33.0
    assert entry.drops == {"float16": 0.0, "int8-ptq-mse": 0.125, "int8-qat": 0.0625}


def test_models_without_a_new_report_keep_their_figures(make_result: Make, tmp_path: Path) -> None:
    first = update(read_zoo(tmp_path / "none.json"), reported(tmp_path / "a", make_result(), "espcn_x2"))
    both = update(first, reported(tmp_path / "b", make_result(), "espcn_x4"))
    assert list(both.models) == ["espcn_x2", "espcn_x4"]
    assert both.models["espcn_x2"] == first.models["espcn_x2"]


def test_quick_reports_bring_no_figures(make_result: Make, tmp_path: Path) -> None:
    result = make_result(images={"Set5 (quick)": {"Set5/baby.png": 33.0}})
    assert not update(read_zoo(tmp_path / "none.json"), reported(tmp_path, result)).models


def test_reports_without_float32_and_folders_without_reports_are_refused(make_result: Make, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="rows of float32"):
        entry_of(make_result(schemes=("bicubic", "int8-qat")))
    with pytest.raises(ResultError, match="make quantize MODEL=all"):
        update(read_zoo(tmp_path / "none.json"), tmp_path)


@pytest.mark.parametrize(
    ("goal", "state"),
    [
        (Goal("Set5", "psnr", 33.9, 34.0, "x"), "aim reached"),
        (Goal("Set5", "psnr", 33.9, 34.1, "x"), "floor reached"),
        (Goal("Set5", "psnr", 34.25, None, "x"), "0.25 dB below the floor"),
        (Goal("Set5", "gain", 0.75, 1.5, "x"), "gain 1.000: floor reached"),
    ],
)
def test_the_table_says_what_a_model_falls_short_of(make_result: Make, tmp_path: Path, goal: Goal, state: str) -> None:
    zoo = update(read_zoo(tmp_path / "none.json"), reported(tmp_path, make_result()))
    (line,) = [line for line in table_of(zoo, {"espcn_x4": goal}).splitlines() if "espcn_x4" in line]
    assert state in [cell.strip() for cell in line.split("|")]


def test_a_model_with_a_goal_and_without_figures_stands_in_the_table() -> None:
    assert "no figures yet" in table_of(read_zoo(Path("none.json")), {"qecnn": Goal("Set5", "psnr", 1.0, None, "")})


def test_the_command_writes_json_and_table_and_leaves_the_rest_of_the_readme(make_result: Make, tmp_path: Path) -> None:
    readme, out = tmp_path / "README.md", tmp_path / "zoo.json"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    reports = reported(tmp_path / "reports", make_result())
    assert main(["zoo", "--reports", str(reports), "--out", str(out), "--readme", str(readme)]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| `espcn_x4` | 0.025 | 0.81 | Set5 |" in text
    assert read_zoo(out).models["espcn_x4"].float32["Set5"].images == 2


def test_a_readme_without_marks_is_left_alone(make_result: Make, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("mine\n", encoding="utf-8")
    reports = reported(tmp_path / "reports", make_result())
    code = main(["zoo", "--reports", str(reports), "--out", str(tmp_path / "zoo.json"), "--readme", str(readme)])
    assert (code, readme.read_text(encoding="utf-8")) == (2, "mine\n")


def test_goals_are_for_models_of_the_zoo() -> None:
    assert read_goals(GOALS).keys() <= MODELS.keys()


def test_the_committed_table_is_that_of_the_committed_figures() -> None:
    text = RESULTS.parent.parent.joinpath("README.md").read_text(encoding="utf-8")
    assert table_of(read_zoo(RESULTS), read_goals(GOALS)) in text


@pytest.mark.parametrize("scheme", ["float32", "int8-qat"])
def test_psnr_by_image_is_drawn_for_several_models(make_result: Make, tmp_path: Path, scheme: str) -> None:
    one = make_result(images={"Set5": {"Set5/baby.png": 33.0, "Set5/bird.png": 35.0}})
    for name in ("a.json", "b.json"):
        write_result(tmp_path / name, one)
    out = tmp_path / "plot.png"
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    assert main(["by-image", "--results", *files, "--scheme", scheme, "--out", str(out)]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"


def test_models_measured_on_other_images_are_not_drawn_together(
    make_result: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = make_result(images={"Set5": {"Set5/baby.png": 33.0}})
    other = dataclasses.replace(make_result(images={"Set5": {"Set5/bird.png": 33.0}}))
    for name, result in (("a.json", one), ("b.json", other)):
        write_result(tmp_path / name, result)
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    assert main(["by-image", "--results", *files, "--out", str(tmp_path / "plot.png")]) == 2
    assert "measure both again on the same images" in capsys.readouterr().err
    assert not (tmp_path / "plot.png").exists()
