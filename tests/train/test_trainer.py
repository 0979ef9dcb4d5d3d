import json

import numpy as np
import pytest

from octopix.errors import ConfigError
from train.expansion import collapsed_weights, expanded
from train.models import find_model
from train.trainer import Trainer
from train.weights import read_weights

SPEC = find_model("espcn_x4")


def train(recipe, folder, pairs, until=None):
    return list(Trainer(SPEC, recipe, folder, train=pairs, validate=pairs[:1]).run(until=until))


def history(folder):
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: json.loads(line)[key] for key in ("step", "loss", "psnr")} for line in lines]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(recipe, tmp_path, pairs):
    whole = train(recipe, tmp_path / "whole", pairs)
    first = train(recipe, tmp_path / "killed", pairs, until=2)
    rest = train(recipe, tmp_path / "killed", pairs)
    assert [epoch.step for epoch in first + rest] == [epoch.step for epoch in whole] == [2, 4, 6]
    assert history(tmp_path / "killed") == history(tmp_path / "whole")
    # Exact, not close: same kernels on the same machine in the same order.
    ours, theirs = (read_weights(tmp_path / name / "best.safetensors")[0] for name in ("killed", "whole"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_training_improves_on_its_own_images(recipe, tmp_path, pairs):
    stage = recipe.stages[0].model_copy(update={"steps": 60})
    longer = recipe.model_copy(update={"epoch_steps": 30, "stages": (stage,)})
    epochs = train(longer, tmp_path, pairs)
    assert epochs[-1].loss < epochs[0].loss
    assert epochs[-1].psnr > epochs[0].psnr
    assert list((tmp_path / "tensorboard").iterdir())


def test_best_weights_are_kept_with_their_history(recipe, tmp_path, pairs):
    best = max(train(recipe, tmp_path, pairs), key=lambda epoch: epoch.psnr)
    _, kept = read_weights(tmp_path / "best.safetensors")
    assert int(kept["step"]) == best.step
    assert float(kept["validation_psnr"]) == pytest.approx(best.psnr, abs=1e-4)  # written with four decimals
    assert json.loads(kept["recipe"])["seed"] == recipe.seed


def test_a_folder_of_another_recipe_is_refused(recipe, tmp_path, pairs):
    train(recipe, tmp_path, pairs, until=2)
    with pytest.raises(ConfigError, match="the run of another recipe"):
        train(recipe.model_copy(update={"seed": 8}), tmp_path, pairs)


def test_an_expanded_model_computes_what_its_collapsed_kernels_compute():
    plain = SPEC.build()
    wide = expanded(plain, 256)
    plain.set_weights([np.asarray(weight) for weight in collapsed_weights(wide)])
    image = np.random.default_rng(0).random((1, 9, 11, 1), dtype=np.float32)
    # The same kernels through the same convolution: only the order of bias and sum may differ, by float32's 1e-7.
    assert np.abs(wide(image) - plain(image)).max() < 1e-6
    assert sum(np.size(weight) for weight in wide.weights) > sum(np.size(weight) for weight in plain.weights)


def test_bfloat16_trains_float32_weights(recipe, tmp_path, pairs):
    train(recipe.model_copy(update={"precision": "bfloat16"}), tmp_path, pairs, until=2)
    arrays, _ = read_weights(tmp_path / "best.safetensors")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
