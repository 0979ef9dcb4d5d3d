"""Small, real training: photographs of scikit-image, a recipe of a few steps."""

import pytest

from train.data.sources import images_for, locate
from train.models import find_model
from train.recipe import Recipe, Stage
from train.samples import pairs_of, read_pairs


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in photographs, whatever the developer's machine has."""
    monkeypatch.delenv("OCTOPIX_DATA", raising=False)


@pytest.fixture(scope="session")
def pairs() -> list:
    """LR/HR luma pairs of two built-in training photographs."""
    photographs = images_for(locate_builtin(), "train")
    spec = find_model("espcn_x4")
    return read_pairs(spec, pairs_of(spec, photographs))[:2]


def locate_builtin():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OCTOPIX_DATA", raising=False)
        return locate(None)


@pytest.fixture
def recipe() -> Recipe:
    """Six steps in two stages, float32 so that a restart can be compared exactly."""
    stage = {"learning_rate": 1e-3, "final_learning_rate": 1e-4, "batch": 2, "patch": 8}
    return Recipe(
        model="espcn_x4",
        initialisation="random",
        seed=7,
        precision="float32",
        expansion=8,
        average=0.9,
        epoch_steps=2,
        stages=(Stage(steps=4, loss="mae", **stage), Stage(steps=2, loss="mse", **stage)),
    )
