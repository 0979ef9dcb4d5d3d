"""bfloat16 and float32, trained in turns."""

import json
import statistics

import pytest

from octopix.errors import ConfigError
from octopix.files import write_json
from train.models import find_model
from train.precision import compare_precisions
from train.samples import Member


def test_both_train_the_same_in_turns_and_go_on_when_stopped(recipe, tmp_path, pairs, monkeypatch):
    member = Member(find_model("espcn_x4"), pairs, pairs[:1])
    monkeypatch.setattr("train.precision.TIMED_STEPS", 5)

    def compare():
        return compare_precisions([member], recipe, tmp_path / "run", steps=20, images="two photographs")

    found = compare()
    assert [epoch.step for epoch in found.epochs["float32"]] == list(range(2, 21, 2))
    first, second = (found.epochs[name] for name in ("float32", "bfloat16"))
    assert [epoch.learning_rate for epoch in first] == [epoch.learning_rate for epoch in second]
    assert [epoch.loss for epoch in first] != [epoch.loss for epoch in second]
    # Same seed and batches: losses differ by bfloat16's 8 bits of mantissa only.
    assert [epoch.loss for epoch in first] == pytest.approx([epoch.loss for epoch in second], rel=0.05)
    assert compare().epochs == found.epochs  # nothing was left to train

    write_json(tmp_path / "result.json", found.to_json())
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    rows = {row["precision"]: row for row in result["rows"]}
    assert result["psnr_difference"] == rows["bfloat16"]["psnr"] - rows["float32"]["psnr"]
    assert {len(row["step_ms"]) for row in rows.values()} == {5}
    turns = zip(rows["float32"]["step_ms"], rows["bfloat16"]["step_ms"], strict=True)
    assert result["speed_ratio"] == pytest.approx(statistics.median(its / mine for its, mine in turns))
    # A batch of 2 patches of 8×8, enlarged fourfold.
    speed = 2 * 32 * 32 / statistics.median(rows["float32"]["step_ms"]) / 1000
    assert rows["float32"]["megapixels_per_second"] == pytest.approx(speed)


def test_too_few_steps_are_refused(recipe, tmp_path, pairs):
    member = Member(find_model("espcn_x4"), pairs, pairs[:1])
    with pytest.raises(ConfigError, match="--steps of at least 10, got 9"):
        compare_precisions([member], recipe, tmp_path, steps=9, images="")
