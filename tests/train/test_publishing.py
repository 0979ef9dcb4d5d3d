"""What the committed file of the zoo holds."""

import dataclasses

import numpy as np
import pytest

from octopix.errors import ConfigError
from train.equalization import equalize
from train.models import find_model
from train.publishing import publish
from train.samples import Member
from train.weights import load_weights, read_weights, save_weights, weights_sha256

HISTORY = {"step": "7", "validation_psnr": "29.0"}
SPEC = find_model("espcn_x4")
TRAINED = SPEC.weights


@pytest.fixture
def member(pairs):
    return Member(SPEC, [], pairs[:1])


@pytest.fixture
def best(tmp_path):
    """A run's best weights: the trained ones, with channels of very unlike strength."""
    model = SPEC.build()
    load_weights(model, TRAINED)
    features, mapping = model.get_layer("features"), model.get_layer("mapping")
    factors = 10 ** np.random.default_rng(0).uniform(-1, 1, 64).astype(np.float32)
    features.set_weights([weight * factors for weight in features.get_weights()])
    mapping.kernel.assign(mapping.kernel.numpy() / factors[:, None])
    save_weights(model, tmp_path / "best.safetensors", HISTORY)
    return tmp_path / "best.safetensors"


@pytest.fixture(autouse=True)
def zoo(tmp_path, monkeypatch):
    monkeypatch.setattr("train.models.spec.WEIGHTS", tmp_path / "zoo")
    return tmp_path / "zoo" / "espcn_x4.safetensors"


def test_published_weights_are_equalized_and_keep_their_history(member, best, zoo):
    publish([member], best)
    published, trained = SPEC.build(), SPEC.build()
    assert load_weights(published, zoo) == HISTORY
    load_weights(trained, best)
    equalize(trained)
    assert all(np.array_equal(a, b) for a, b in zip(published.get_weights(), trained.get_weights(), strict=True))


def test_large_weights_are_stored_as_float16_and_the_loss_is_told(member, best, zoo, monkeypatch):
    publish([member], best)
    whole, (large, _) = zoo.stat().st_size, read_weights(zoo)
    monkeypatch.setattr("train.publishing.LIMIT", 90_000)  # 99,008 bytes of weights
    publish([member], best)
    assert zoo.stat().st_size < 0.55 * whole  # half, and the names
    arrays, history = read_weights(zoo)
    assert history["stored"].startswith("float16, which costs ")
    assert history.items() > HISTORY.items()
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    for name, array in arrays.items():
        # Half a unit in the last of float16's 11 bits, of numbers that are not subnormal there.
        assert np.abs(array - large[name]).max() <= 2**-11 * max(np.abs(large[name]).max(), 2**-14)
    assert weights_sha256(zoo) == weights_sha256(zoo)
    load_weights(SPEC.build(), zoo)


def test_a_network_that_takes_certain_sizes_only_is_published_as_well(tmp_path, zoo, monkeypatch):
    unet = find_model("unet_x2")
    spec = dataclasses.replace(unet, build=unet.slim)
    truth = np.random.default_rng(0).integers(0, 256, (unet.multiple_of + 3, unet.multiple_of + 5, 3), np.uint8)
    save_weights(spec.build(), tmp_path / "best.safetensors", HISTORY)
    monkeypatch.setattr("train.publishing.LIMIT", 0)
    publish([Member(spec, [], [(truth // 2, truth)])], tmp_path / "best.safetensors")
    assert read_weights(zoo.with_name("unet_x2.safetensors"))[1]["stored"].startswith("float16")


@pytest.mark.parametrize(("factor", "tolerated", "loss"), [(1.0, -1.0, r"-?0\.0\d+"), (1e8, 0.005, "inf")])
def test_weights_that_float16_would_spoil_are_refused(member, best, zoo, monkeypatch, factor, tolerated, loss):
    monkeypatch.setattr("train.publishing.TOLERATED_LOSS", tolerated)  # ESPCN loses less than the real one
    model = SPEC.build()
    load_weights(model, best)
    mapping, subpixels = model.get_layer("mapping"), model.get_layer("subpixels")
    mapping.set_weights([weight * factor for weight in mapping.get_weights()])  # too large for float16, or not
    subpixels.kernel.assign(subpixels.kernel.numpy() / factor)
    save_weights(model, best, HISTORY)
    monkeypatch.setattr("train.publishing.equalize", lambda model: ())
    monkeypatch.setattr("train.publishing.LIMIT", 90_000)
    with pytest.raises(ConfigError, match=rf"to lose less than {tolerated} dB as float16, got {loss} dB"):
        publish([member], best)
    assert not zoo.exists()
