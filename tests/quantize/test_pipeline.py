import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from octopix.card import graph_sha256, read_card
from octopix.errors import ConfigError, DataError, ImageError, ModelFileError, OctopixError
from octopix.graph import read_graph
from octopix.images import Picture
from octopix.restore import Restorer
from quantize import calibration_set
from quantize.pipeline import Artifact, quantize
from quantize.workbench import Subject, Workbench, load_subject
from train.data.sources import FOLDER_PURPOSES, DataHome
from train.weights import save_weights

SCHEMES = ("int8-ptq-mse", "int8-ptq-minmax", "float16", "dynamic", "int16x8-ptq")
BUILTIN = DataHome("builtin", None)


@pytest.fixture(scope="module")
def made(subject: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    out = tmp_path_factory.mktemp("artifacts")
    return {each.card.scheme: each for each in quantize(subject, SCHEMES, home=BUILTIN, out=out, quick=True)}


def test_each_scheme_is_a_file_with_its_card(made: dict[str, Artifact]) -> None:
    assert list(made) == ["float32", *SCHEMES]
    folder = made["float32"].path.parent
    assert folder.name == "espcn_x4"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{scheme}.tflite" for scheme in made)
    for scheme, artifact in made.items():
        assert read_card(artifact.path) == artifact.card
        assert artifact.card.scheme == scheme
        assert artifact.kib == artifact.path.stat().st_size / 1024


def test_cards_say_where_ranges_and_weights_come_from(made: dict[str, Artifact], subject: Any) -> None:
    for scheme, calibrator in {"int8-ptq-mse": "mse", "int8-ptq-minmax": "minmax", "int16x8-ptq": "minmax"}.items():
        calibration = made[scheme].card.calibration
        assert calibration is not None
        assert (calibration.calibrator, calibration.source) == (calibrator, "builtin-calibrate")
        assert len(calibration.sha256) == 64
    assert made["float16"].card.calibration is None
    for artifact in made.values():
        assert artifact.card.weights_sha256 == subject.weights_sha256
        assert artifact.card.receptive_field == 9  # 5 + 2 + 2
        assert {"octopix", "tensorflow", "ai-edge-litert"} <= artifact.card.versions.keys()


def test_every_scheme_keeps_the_image(made: dict[str, Artifact]) -> None:
    drops = {scheme: each.card.validation.drop for scheme, each in made.items() if each.card.validation}
    assert drops.keys() == made.keys()
    assert drops["float32"] == 0
    # 11 bits of mantissa flip the rounding of a few pixels by 1/255: at these pictures' 37 dB, 0.01 dB were seen.
    assert abs(drops["float16"]) < 0.05
    # 8-bit weights cost ESPCN 0.05 to 0.2 dB at 30 dB and 0.6 dB at 37 dB, where any error shows; a lost bias or a
    # wrong scale costs several.
    assert max(drops.values()) < 1.5
    assert drops["int16x8-ptq"] < drops["int8-ptq-minmax"]


def test_int8_files_are_integers_with_the_operators_of_the_float_graph(made: dict[str, Artifact]) -> None:
    operators = [each.name for each in read_graph(made["int8-ptq-mse"].path).operators]
    assert operators == ["QUANTIZE", "CONV_2D", "CONV_2D", "CONV_2D", "DEPTH_TO_SPACE", "QUANTIZE"]
    assert graph_sha256(made["int8-ptq-mse"].path) != graph_sha256(made["int8-ptq-minmax"].path)


@pytest.mark.parametrize("scheme", ["float32", *SCHEMES])
def test_a_shipped_file_restores_a_picture(made: dict[str, Artifact], scheme: str) -> None:
    picture = Picture(np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8))
    assert Restorer(made[scheme].path).restore(picture).pixels.shape == (84, 136, 3)


def test_nan_weights_end_the_run_without_a_file(subject: Any, tmp_path: Path) -> None:
    import tf_keras

    spoiled = tf_keras.models.clone_model(subject.model)
    spoiled.get_layer("features").bias.assign(np.full(64, np.nan))
    with pytest.raises(ModelFileError, match="features/bias"):
        quantize(dataclasses.replace(subject, model=spoiled), ["int8-ptq-mse"], home=BUILTIN, out=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_output_folder_that_cannot_be_made_is_found_before_the_work(subject: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    told: list[str] = []
    with pytest.raises(OctopixError, match="a writable folder"):
        quantize(
            subject,
            ["float32"],
            home=BUILTIN,
            out=tmp_path / "taken",
            watch=lambda what, done, total: told.append(what),
        )
    assert told == []


def _folder(root: Path, side: int) -> DataHome:
    """A folder of four photographs of ``side`` × ``side`` pixels, one for each purpose."""
    for number in range(4):
        cv2.imwrite(str(root / f"{number}.png"), skimage.data.camera()[50 * number :][:side, 200 : 200 + side])
    return DataHome("folder", root)


def test_small_training_pictures_give_small_patches(subject: Any, tmp_path: Path) -> None:
    patches = Workbench(subject, _folder(tmp_path, 122)).patches
    assert patches.draw(1)[0].shape == (16, 30, 30, 1)


def test_training_pictures_below_the_receptive_field_end_the_run_before_any_file(subject: Any, tmp_path: Path) -> None:
    (pictures := tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match=r"at least 36 pixels a side.*got 32 usable.*leave out int8-qat"):
        quantize(subject, ["float32", "int8-qat"], home=_folder(pictures, 34), out=tmp_path / "out")
    assert not list(tmp_path.rglob("*.tflite"))


def test_a_corrupt_training_picture_ends_the_run_before_any_file(subject: Any, tmp_path: Path) -> None:
    (pictures := tmp_path / "pictures").mkdir()
    home = _folder(pictures, 128)
    corrupt = pictures / f"{FOLDER_PURPOSES.index('train')}.png"
    corrupt.write_bytes(corrupt.read_bytes()[:1000])
    with pytest.raises(ImageError, match=corrupt.name):
        quantize(subject, ["int8-ptq-mse", "int8-qat"], home=home, out=tmp_path / "out")
    assert not list(tmp_path.rglob("*.tflite"))


@pytest.mark.parametrize(("best", "words"), [(48, "best at 48"), (0, "post-training's model was not beaten")])
def test_the_card_says_how_quantization_aware_training_went(
    subject: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: int, words: str
) -> None:
    from quantize import qat
    from quantize.export import to_float32
    from quantize.ranges import to_int8

    def train_aware(model: Any, ranges: Any, **options: Any) -> qat.QatResult:
        return qat.QatResult(to_int8(to_float32(model), ranges), best, ((0, 30.0), (48, 31.0)))

    monkeypatch.setattr(qat, "train_aware", train_aware)
    *_, made = quantize(subject, ["int8-qat"], home=_folder(tmp_path, 128), out=tmp_path / "out", quick=True)
    expected = f"{subject.training}; made with --quick; QAT 60 steps, {words}, seed 20261121"
    assert read_card(made.path).training == expected
    assert {"bias", "adaround"} <= {each.partition(" ")[0] for each in read_card(made.path).corrections}


def test_a_receptive_field_wider_than_crops_and_patches_is_no_obstacle(subject: Any, tmp_path: Path) -> None:
    import tf_keras

    image = tf_keras.Input((None, None, 1))
    far = tf_keras.layers.Conv2D(1, 3, dilation_rate=270, padding="same")(image)  # sees 541 pixels, as ResNet-50 does
    for_tiles = dataclasses.replace(subject.spec, multiple_of=32)
    bench = Workbench(Subject(for_tiles, tf_keras.Model(image, far)), BUILTIN)
    assert bench.calibration.crops[0].shape[1] == 128  # the pictures are 512 pixels large: 128 for a network of ×4
    assert bench.patches.draw(1)[0].shape == (16, 64, 64, 1)  # 48 in multiples of 32


def test_a_network_that_takes_long_is_run_on_parts_of_the_crops(subject: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Workbench(subject, BUILTIN), Workbench(subject, BUILTIN)
    assert small.samples == small.calibration.crops
    # ESPCN ×4 takes 24 600 multiply-accumulates, one per weight, for each of 128×128 pixels.
    monkeypatch.setattr(calibration_set, "DEAR", 24_000 * 128**2)
    assert {each.shape for each in large.samples} == {each.shape for each in large.judge.crops} == {(1, 96, 96, 1)}


def test_both_ways_of_the_speed_comparison_make_the_same_kind_of_model(subject: Any) -> None:
    from quantize.checks import check
    from quantize.conversion_speed import OURS, STOCK, conversion_speed, convert_ours, convert_stock

    result = conversion_speed("espcn_x4", BUILTIN, images=2, rounds=2)
    rows = {row["method"]: row for row in result.to_json()["rows"]}
    assert rows.keys() == {OURS, STOCK}
    assert [len(row["samples_s"]) for row in rows.values()] == [2, 2]
    assert rows[STOCK]["ratio"] == 1
    bench = Workbench(subject, BUILTIN)
    ours = convert_ours(subject.model, bench.samples[:2])
    stock = convert_stock(subject.model, list(bench.calibration.images())[:2])
    check(ours, "int8-ptq")
    assert [each.name for each in read_graph(ours).operators] == [each.name for each in read_graph(stock).operators]


def test_other_weights_of_the_architecture_serve(subject: Any, tmp_path: Path) -> None:
    path, brighter = tmp_path / "mine.safetensors", subject.spec.build()
    brighter.set_weights([weight * 1.5 for weight in subject.model.get_weights()])
    save_weights(brighter, path, {"initialisation": "mine"})
    loaded = load_subject("espcn_x4", path)
    assert np.array_equal(loaded.model.get_weights()[0], brighter.get_weights()[0])
    assert loaded.weights_sha256 not in (None, subject.weights_sha256)
    assert loaded.training == "initialisation mine"
    with pytest.raises(ConfigError, match=r"float weights at none\.safetensors"):
        load_subject("espcn_x4", tmp_path / "none.safetensors")
