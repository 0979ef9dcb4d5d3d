"""Networks with layers in common, trained together and kept in one file."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from octopix.errors import ModelFileError
from train.data.degradations import network_pair
from train.data.sources import images_for, locate
from train.forms import deployable, shared, trainable, trained_variables, variables
from train.models import MODELS, find_family, lesrcnn
from train.publishing import publish
from train.recipe import Recipe, Stage
from train.samples import Member
from train.trainer import Trainer
from train.weights import load_weights, read_weights

FAMILY = find_family("lesrcnn_blind")
SLIM = [
    dataclasses.replace(spec, build=partial(lesrcnn.build, scale=spec.scale, filters=8, blind=True)) for spec in FAMILY
]
STAGE = Stage(steps=6, loss="mae", learning_rate=1e-3, final_learning_rate=1e-4, batch=1, patch=6)
RECIPE = Recipe(
    model="lesrcnn_blind",
    initialisation="random",
    seed=7,
    precision="float32",
    average=0.9,
    epoch_steps=4,
    stages=(STAGE,),
)


@pytest.fixture(scope="module", autouse=True)
def shallow():
    """Fewer layers of the kind there are many of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesrcnn, "PAIRS", 1)
        yield


@pytest.fixture(scope="module")
def members():
    photograph = images_for(locate(None), "train").refs[0].read()[100:136, 100:136]
    pairs = {spec.scale: [network_pair(photograph, scale=spec.scale, channels="rgb")] for spec in FAMILY}
    return [Member(spec, pairs[spec.scale], pairs[spec.scale]) for spec in SLIM]


def picture():
    return np.random.default_rng(0).random((1, 5, 6, 3), dtype=np.float32)


def test_a_family_is_found_by_its_name_and_by_its_members():
    assert [spec.name for spec in FAMILY] == ["lesrcnn_blind_x2", "lesrcnn_blind_x3", "lesrcnn_blind_x4"]
    assert find_family("lesrcnn_blind_x3") == FAMILY
    assert find_family("lesrcnn_x3") == (MODELS["lesrcnn_x3"],)
    assert len({spec.weights for spec in FAMILY}) == len({spec.recipe for spec in FAMILY}) == 1


def test_layers_of_one_name_are_one_layer():
    models = deployable(SLIM)
    names = [weight.name for weight in SLIM[2].build().weights if weight.name.startswith("up")]
    assert names == ["up0_x4/kernel:0", "up0_x4/bias:0", "up1_x4/kernel:0", "up1_x4/bias:0"]
    heads = sum(name.startswith("up") for name in variables(models))
    assert heads == 2 * (1 + 1 + 2)
    assert len(variables(models)) == len(variables(models[:1])) - 2 + heads
    models[0].get_layer("conv3").kernel.assign_add(np.ones((1, 1, 8, 8)))
    assert np.array_equal(models[0].get_layer("conv3").kernel, models[2].get_layer("conv3").kernel)
    # What is shared does not change what a member computes.
    alone = SLIM[2].build()
    for weight in alone.weights:
        weight.assign(variables(models)[weight.name])
    assert np.array_equal(alone(picture()), models[2](picture()))


def test_layers_of_one_name_that_are_not_alike_are_refused():
    with pytest.raises(ValueError, match="unlike layers up0"):
        shared([MODELS["lesrcnn_x2"].build(), MODELS["lesrcnn_x3"].build()])


def test_an_expanded_family_shares_its_factors():
    models = trainable(SLIM, RECIPE.model_copy(update={"expansion": 8}))
    names = [variable.name for variable in trained_variables(models)]
    assert len(names) == len(set(names))
    assert names.count("conv2/expand:0") == 1


def test_a_family_trains_in_turns_stops_resumes_and_is_published(members, tmp_path, monkeypatch):
    def trainer(name):
        return Trainer(members, RECIPE, tmp_path / name, images="a photograph")

    whole = list(trainer("whole").run())
    (first,) = trainer("stopped").run(until=4)  # the next turn is not the first member's
    (rest,) = trainer("stopped").run()
    assert [(each.step, each.loss, each.psnr) for each in (first, rest)] == [
        (each.step, each.loss, each.psnr) for each in whole
    ]
    ours, theirs = (read_weights(tmp_path / name / "best.safetensors")[0] for name in ("stopped", "whole"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)

    monkeypatch.setattr("train.models.spec.WEIGHTS", tmp_path)
    publish(members, tmp_path / "whole" / "best.safetensors")
    for spec in SLIM:
        best, published = spec.build(), spec.build()
        load_weights(best, tmp_path / "whole" / "best.safetensors")
        load_weights(published, spec.weights)
        # Equalization moves float32 roundings through 23 layers.
        assert np.abs(best(picture()) - published(picture())).max() < 1e-4
        assert not np.array_equal(best.get_layer("conv2").kernel, published.get_layer("conv2").kernel)


def test_each_member_is_trained_in_its_turn(members, tmp_path):
    trainer = Trainer(members, RECIPE, tmp_path, images="a photograph")
    models = trainer._models
    before = {name: variable.numpy() for name, variable in variables(models).items()}

    def changed():
        return {name for name, variable in variables(models).items() if not np.array_equal(before[name], variable)}

    list(trainer.run(until=1))
    moved = changed()
    assert "conv2/kernel:0" in moved
    assert {name for name in moved if name.startswith("up")} == {"up0_x2/kernel:0", "up0_x2/bias:0"}
    list(trainer.run(until=3))
    assert {name for name in changed() if name.startswith("up")} == {name for name in before if name.startswith("up")}


def test_weights_of_siblings_may_stand_in_the_file_but_not_a_strangers(tmp_path, members):
    trainer = Trainer(members, RECIPE, tmp_path, images="a photograph")
    list(trainer.run(until=1))
    load_weights(SLIM[1].build(), trainer.best_weights)
    with pytest.raises(ModelFileError, match="weights of lesrcnn_x3"):
        load_weights(MODELS["lesrcnn_x3"].build(), trainer.best_weights)
