"""What a model card says of its float weights."""

import numpy as np
import pytest

from train.models import find_model
from train.weights import describe_training, load_weights, save_weights, weights_sha256


@pytest.fixture(scope="module")
def model():
    return find_model("espcn_x4").build()


def test_the_hash_is_of_the_weights_and_not_of_their_history(model, tmp_path):
    save_weights(model, tmp_path / "a.safetensors", {"step": "1", "model": "espcn_x4"})
    save_weights(model, tmp_path / "b.safetensors", {"step": "2"})
    first = weights_sha256(tmp_path / "a.safetensors")
    assert weights_sha256(tmp_path / "b.safetensors") == first
    model.weights[-1].assign(np.nextafter(model.weights[-1].numpy(), np.float32(1)))
    save_weights(model, tmp_path / "b.safetensors", {"step": "2"})
    assert weights_sha256(tmp_path / "b.safetensors") != first


def test_the_images_are_named_where_the_history_knows_them(model):
    history = load_weights(model, find_model("espcn_x4").weights)
    assert describe_training(history).endswith(" dB")
    assert describe_training({**history, "images": "folder photos"}).endswith(" dB, images: folder photos")
