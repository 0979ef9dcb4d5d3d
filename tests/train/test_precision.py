"""bfloat16 and float32, trained in turns."""

import json
import statistics

import pytest

from octopix.errors import ConfigError
from octopix.files import write_json
from train.models import find_model
from train.precision import compare_precisions
from train.trainer import Member


def test_both_train_the_same_in_turns_and_go_on_when_stopped(recipe, tmp_path, pairs):
    member = Member(find_model("espcn_x4"), pairs, pairs[:1])

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
    ratios = [
        mine["megapixels_per_second"] / its["megapixels_per_second"]
        for mine, its in zip(rows["bfloat16"]["epochs"][1:], rows["float32"]["epochs"][1:], strict=True)
    ]
    assert result["speed_ratio"] == pytest.approx(statistics.median(ratios))


def test_too_few_steps_are_refused(recipe, tmp_path, pairs):
    member = Member(find_model("espcn_x4"), pairs, pairs[:1])
    with pytest.raises(ConfigError, match="--steps of at least 20, got 19"):
        compare_precisions([member], recipe, tmp_path, steps=19, images="")
