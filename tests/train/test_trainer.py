import contextlib
import json
import resource
import shutil

import numpy as np
import pytest

from octopix.errors import ConfigError, OctopixError
from train.models import find_model
from train.samples import Member
from train.trainer import Trainer
from train.weights import read_weights

SPEC = find_model("espcn_x4")


def trainer(recipe, folder, pairs, images="two photographs"):
    return Trainer([Member(SPEC, pairs, pairs[:1])], recipe, folder, images=images)


def train(recipe, folder, pairs, until=None):
    return list(trainer(recipe, folder, pairs).run(until=until))


def history(folder):
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: json.loads(line)[key] for key in ("step", "loss", "psnr")} for line in lines]


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(recipe, tmp_path, pairs):
    whole = train(recipe, tmp_path / "whole", pairs)
    first = train(recipe, tmp_path / "stopped", pairs, until=2)
    rest = train(recipe, tmp_path / "stopped", pairs)
    assert [epoch.step for epoch in first + rest] == [epoch.step for epoch in whole] == [2, 4, 6]
    assert history(tmp_path / "stopped") == history(tmp_path / "whole")
    # The older process's checkpoint was in its turn to go.
    assert sorted(path.stem for path in (tmp_path / "stopped/checkpoints").glob("*.index")) == ["ckpt-4", "ckpt-6"]
    # Exact, not close: same kernels on the same machine in the same order.
    ours, theirs = (read_weights(tmp_path / name / "best.safetensors")[0] for name in ("stopped", "whole"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("form", [{"expansion": 8}, {"expansion": 0, "normalized": "features"}])
def test_training_improves_on_its_own_images(recipe, tmp_path, pairs, form):
    stage = recipe.stages[0].model_copy(update={"steps": 60})
    longer = recipe.model_copy(update={"epoch_steps": 30, "stages": (stage,), **form})
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
    assert kept["images"] == "two photographs"


def test_a_folder_of_another_recipe_or_of_other_images_is_refused(recipe, tmp_path, pairs):
    train(recipe, tmp_path, pairs, until=2)
    with pytest.raises(ConfigError, match="the run of another recipe"):
        train(recipe.model_copy(update={"seed": 8}), tmp_path, pairs)
    with pytest.raises(ConfigError, match="on other images"):
        trainer(recipe, tmp_path, pairs, images="three photographs")


def test_a_training_that_diverges_stops_before_it_saves_anything(recipe, tmp_path, pairs):
    calm, wild = recipe.stages
    wild = wild.model_copy(update={"learning_rate": 1e30})
    recipe = recipe.model_copy(update={"stages": (calm, wild)})
    train(recipe, tmp_path, pairs, until=4)
    best, log = ((tmp_path / name).read_bytes() for name in ("best.safetensors", "history.jsonl"))
    with pytest.raises(ConfigError, match=r"the last good checkpoint is step 4; lower the learning rate"):
        train(recipe, tmp_path, pairs)
    assert (tmp_path / "best.safetensors").read_bytes() == best
    assert (tmp_path / "history.jsonl").read_bytes() == log
    assert trainer(recipe, tmp_path, pairs).step == 4


def test_a_damaged_checkpoint_is_passed_over_for_the_older_one(recipe, tmp_path, pairs):
    whole = train(recipe, tmp_path, pairs)
    folder = tmp_path / "checkpoints"
    (folder / "checkpoint").write_bytes(b"")  # TensorFlow's note of the newest one
    assert trainer(recipe, tmp_path, pairs).step == 6
    newest = folder / "ckpt-6.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[:-2000])
    resumed = trainer(recipe, tmp_path, pairs)
    assert resumed.step == 4
    (again,) = resumed.run()
    assert (again.step, again.loss, again.psnr) == (6, whole[-1].loss, whole[-1].psnr)
    assert sorted(path.stem for path in folder.glob("*.index")) == ["ckpt-4", "ckpt-6"]


@pytest.mark.parametrize(
    ("room", "lacking"), [(150_000, r"room for a checkpoint in"), (50_000, r"a writable place for .*best\.safetensors")]
)
def test_without_room_the_earlier_state_stays_whole(recipe, tmp_path, pairs, room, lacking):
    """The system's limit for a file's size stands in for a full disk: weights have 100 kB, checkpoints twice that."""
    whole = train(recipe, tmp_path / "whole", pairs)
    folder = tmp_path / "run"
    train(recipe, folder, pairs, until=2)
    (folder / "best.safetensors").unlink()  # so that step 4 writes it, whatever its PSNR
    again = trainer(recipe, folder, pairs)
    again._best.assign(-np.inf)
    before = sorted(path.name for path in (folder / "checkpoints").iterdir())
    with limited_files(room), pytest.raises(OctopixError, match=lacking):
        list(again.run())
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == before
    assert [(epoch.step, epoch.loss) for epoch in train(recipe, folder, pairs)] == [
        (epoch.step, epoch.loss) for epoch in whole[1:]
    ]


@contextlib.contextmanager
def limited_files(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
def test_nothing_but_damaged_checkpoints_is_an_error(recipe, tmp_path, pairs, kind):
    train(recipe, tmp_path, pairs, until=2)
    (tmp_path / "checkpoints" / f"ckpt-2.{kind}").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="got damaged ones only"):
        trainer(recipe, tmp_path, pairs)


def test_bfloat16_trains_float32_weights(recipe, tmp_path, pairs):
    train(recipe.model_copy(update={"precision": "bfloat16"}), tmp_path, pairs, until=2)
    arrays, _ = read_weights(tmp_path / "best.safetensors")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def started(recipe, name):
    return recipe.model_copy(update={"start": name, "expansion": 0})


def test_a_start_is_told_and_stands_in_the_weights_file(recipe, tmp_path, pairs):
    warm = trainer(started(recipe, "espcn_x4"), tmp_path, pairs)
    assert warm.start.startswith("6 of 6 variables from espcn_x4, sha256 ")
    assert next(warm.run()).psnr > train(recipe, tmp_path / "cold", pairs, until=2)[0].psnr
    _, kept = read_weights(tmp_path / "best.safetensors")
    assert kept["initialisation"] == f"random; {warm.start}"
    # A resumed run does not start again: it tells what the first one did.
    assert trainer(started(recipe, "espcn_x4"), tmp_path, pairs).start == warm.start


def test_a_start_that_is_not_there_is_named_and_leaves_no_folder(recipe, tmp_path, pairs):
    with pytest.raises(ConfigError, match="a model of the zoo"):
        trainer(started(recipe, "espcn_x5"), tmp_path / "run", pairs)
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_a_folder_claimed_before_a_key_was_invented_is_still_this_recipes(recipe, tmp_path, pairs):
    train(recipe, tmp_path, pairs, until=2)
    known = {key: value for key, value in recipe.model_dump(mode="json").items() if key != "start"}
    stamp = tmp_path / "recipe.json"
    stamp.write_text(json.dumps({"images": "two photographs", "recipe": known}), encoding="utf-8")
    assert trainer(recipe, tmp_path, pairs).step == 2
    stamp.write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="the run of another recipe"):
        trainer(recipe, tmp_path, pairs)


def test_checkpoints_of_another_network_are_not_called_damaged(recipe, tmp_path, pairs):
    train(recipe, tmp_path / "narrow", pairs, until=2)
    wide = recipe.model_copy(update={"expansion": 16})
    shutil.copytree(tmp_path / "narrow" / "checkpoints", tmp_path / "wide" / "checkpoints")
    with pytest.raises(ConfigError, match="got those of another architecture"):
        trainer(wide, tmp_path / "wide", pairs)
    plain = recipe.model_copy(update={"expansion": 0})
    shutil.copytree(tmp_path / "narrow" / "checkpoints", tmp_path / "plain" / "checkpoints")
    with pytest.raises(ConfigError, match="got those of another architecture"):
        trainer(plain, tmp_path / "plain", pairs)
