import math

import pytest
import yaml

from octopix.errors import ConfigError
from train.models import MODELS
from train.recipe import read_recipe
from train.trainer import learning_rate

STAGE = {"steps": 3, "loss": "mae", "learning_rate": 1e-3, "final_learning_rate": 1e-4, "batch": 2, "patch": 8}


def edited(recipe, tmp_path, **changes):
    raw = {**recipe.model_dump(mode="json"), **changes}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


def test_a_recipe_comes_back_as_it_was_written(recipe, tmp_path):
    assert read_recipe(edited(recipe, tmp_path)) == recipe


@pytest.mark.parametrize("name", MODELS)
def test_committed_recipes_are_valid_and_name_their_model(name):
    assert read_recipe(MODELS[name].recipe).model == MODELS[name].trained_as


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"precison": "float32"}, "unknown key precison"),
        ({"precision": "float64"}, "precision: input should be 'float32' or 'bfloat16'"),
        ({"epoch_steps": 0}, "epoch_steps: input should be greater than 0"),
        ({"stages": [{"steps": 3}]}, "stages.0.loss: field required"),
        ({"stages": []}, "stages: tuple should have at least 1 item"),
        ({"stages": [{**STAGE, "warmup_steps": -1}]}, "stages.0.warmup_steps: input should be greater than or equal"),
        ({"stages": [{**STAGE, "learning_rate": math.inf}]}, "stages.0.learning_rate: input should be a finite number"),
        ({"stages": [{**STAGE, "learning_rate": math.nan}]}, "stages.0.learning_rate: input should be a finite number"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0"),
        ({"seed": 2**32}, "seed: input should be less than 4294967296"),
        ({"expansion": -8}, "expansion: input should be greater than or equal to 0"),
        ({"average": 1.0}, "average: input should be less than 1"),
        ({"average": -0.1}, "average: input should be greater than or equal to 0"),
        ({"average": math.nan}, "average: input should be a finite number"),
    ],
)
def test_a_wrong_key_or_value_is_named_and_the_known_keys_listed(recipe, tmp_path, changes, complaint):
    with pytest.raises(ConfigError) as caught:
        read_recipe(edited(recipe, tmp_path, **changes))
    assert complaint in str(caught.value)
    assert "keys model, initialisation, seed" in str(caught.value)


def test_a_file_that_is_not_yaml_or_not_there_is_refused(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("model: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"YAML in broken\.yaml"):
        read_recipe(broken)
    with pytest.raises(ConfigError, match=r"a recipe at .*; correct --recipe"):
        read_recipe(tmp_path / "absent.yaml")


def test_a_recipe_of_another_model_is_refused(recipe, tmp_path):
    with pytest.raises(ConfigError, match="a recipe for lesrcnn_x2, got"):
        read_recipe(edited(recipe, tmp_path), model="lesrcnn_x2")


def test_the_learning_rate_warms_up_and_falls_to_its_end(recipe):
    stage = recipe.stages[0].model_copy(update={"steps": 100, "warmup_steps": 10})
    rates = [learning_rate(stage, step) for step in range(100)]
    assert rates[4] == pytest.approx(0.5 * stage.learning_rate)
    assert max(rates) == pytest.approx(stage.learning_rate)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(stage, 100) == pytest.approx(stage.final_learning_rate)


def test_stages_follow_one_another(recipe):
    assert [recipe.stage_at(step)[1] for step in range(recipe.steps)] == [0, 1, 2, 3, 0, 1]
    assert recipe.stage_at(4)[0].loss == "mse"
