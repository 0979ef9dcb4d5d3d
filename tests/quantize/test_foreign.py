"""A user's own model and images: what comes out, and what is refused, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data

from octopix.card import read_card
from octopix.errors import ConfigError, DataError, ModelFileError, OctopixError
from octopix.graph import read_graph
from octopix.images import Picture, read_picture, write_picture
from octopix.restore import Restorer
from octopix.runtime import open_session
from quantize.__main__ import main
from quantize.given import Given, check_given, is_given
from quantize.value_range import UNIT, ValueRange, parse_value_range
from train.data.sources import DataHome

BUILTIN = DataHome("builtin", None)
SIDE = 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Four noisy crops of a photograph, and the clean ones under the same names."""
    root, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    given, truth = root / "noisy", root / "clean"
    given.mkdir()
    truth.mkdir()
    for number in range(4):
        clean = skimage.data.camera()[number * 128 : number * 128 + 128, 128:256, None]
        noisy = np.clip(clean + random.normal(0, 5, clean.shape), 0, 255).astype(np.uint8)
        write_picture(truth / f"{number}.png", Picture(clean, None))
        write_picture(given / f"{number}.png", Picture(noisy, None))
    return given, truth


@pytest.fixture(scope="module")
def denoiser() -> Any:
    """A Keras 2 network that changes its picture a little, as trained ones do."""
    import tf_keras

    tf_keras.utils.set_random_seed(20261122)
    layers, image = tf_keras.layers, tf_keras.Input((None, None, 1), name="image")
    features = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(4, 3, padding="same")(image))
    faint = tf_keras.initializers.VarianceScaling(0.01)
    residual = layers.Conv2D(1, 3, padding="same", kernel_initializer=faint)(features)
    return tf_keras.Model(image, layers.Add()([image, residual]))


@pytest.fixture(scope="module")
def flatbuffer(denoiser: Any) -> Callable[..., bytes]:
    """A float ``.tflite`` of a function around the denoiser."""
    import tensorflow as tf

    def make(function: Callable[[Any, Any], Any], shape: tuple[int | None, ...] = (1, None, None, 1)) -> bytes:
        concrete = _traced(lambda image: function(denoiser, image), shape)
        owner = tf.Module()
        owner.kept = denoiser.variables
        return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], owner).convert())

    return make


def _traced(function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> Any:
    import tensorflow as tf

    return tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape))


def _load(path: Path, calibration: Path | None, reference: Path | None = None, values: ValueRange | None = None) -> Any:
    from quantize.foreign import load_given

    return load_given(Given(path, calibration, reference, values), BUILTIN)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_tflite_and_two_folders_give_an_int8_model_that_octopix_runs(
    tmp_path: Path,
    folders: tuple[Path, Path],
    flatbuffer: Callable[..., bytes],
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = _written(tmp_path / "my denoiser.tflite", flatbuffer(lambda model, image: model(image)))
    given, truth = map(str, folders)
    words = ["--calibration", given, "--reference", truth, "--scheme", "int8-ptq-minmax", "--out", str(tmp_path)]
    assert main(["--model", str(path), *words]) == 0
    assert "values 0..1" in capfd.readouterr().out
    made = tmp_path / "my_denoiser" / "int8-ptq-minmax.tflite"
    card = read_card(made)
    assert (card.scale, card.channels, card.task) == (1, "y", "enhancement")
    assert card.validation is not None
    assert card.validation.images == 1  # a quarter of four
    picture = read_picture(folders[0] / "0.png")
    assert Restorer(made).restore(picture).pixels.shape == picture.pixels.shape


def test_without_ground_truth_there_is_fidelity_alone_and_all_leaves_out_what_a_tflite_has_not(
    tmp_path: Path,
    folders: tuple[Path, Path],
    flatbuffer: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("quantize.schemes.DEFAULT_SCHEMES", ("float32", "float16", "int8-ptq-mse", "int8-qat"))
    path = _written(tmp_path / "mine.tflite", flatbuffer(lambda model, image: model(image)))
    assert main(["--model", str(path), "--calibration", str(folders[0]), "--out", str(tmp_path)]) == 0
    assert "left out: float16, int8-qat" in capfd.readouterr().out
    assert sorted(each.stem for each in (tmp_path / "mine").iterdir()) == ["float32", "int8-ptq-mse"]
    card = read_card(tmp_path / "mine" / "int8-ptq-mse.tflite")
    assert card.validation is None
    assert card.faithful is not None
    assert card.faithful.fidelity is not None
    words = ["--model", str(path), "--calibration", str(folders[0]), "--out", str(tmp_path), "--scheme", "int8-qat"]
    assert main(words) == 2
    assert "int8-qat a Keras 2 model" in capfd.readouterr().err


@pytest.mark.parametrize("span", [(0.0, 255.0), (-1.0, 1.0)])
def test_value_ranges_that_a_network_states_become_0_to_1(
    tmp_path: Path, folders: tuple[Path, Path], flatbuffer: Callable[..., bytes], span: tuple[float, float]
) -> None:
    black, white = span

    def scaled(model: Any, image: Any) -> Any:
        return model((image - black) / (white - black)) * (white - black) + black

    plain = _load(_written(tmp_path / "plain.tflite", flatbuffer(lambda model, image: model(image))), folders[0])
    other = _load(_written(tmp_path / "other.tflite", flatbuffer(scaled)), folders[0])
    assert f"values {ValueRange(span, span).name}" in other.training
    image = np.random.default_rng(0).random((1, SIDE, SIDE, 1), np.float32)
    ours, theirs = (open_session(subject.export("float32")).invoke(image) for subject in (other, plain))
    # Scalings joined into one number differ from one after the other by float32's rounding, 1e-7 of [-1, 1] or more.
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_range_that_only_the_images_show_has_to_be_named(
    tmp_path: Path, folders: tuple[Path, Path], flatbuffer: Callable[..., bytes]
) -> None:
    import tensorflow as tf

    # Brightness of 50 and more is kept, as by a network of 0..255 with large biases: 0..1 comes out black.
    path = _written(tmp_path / "m.tflite", flatbuffer(lambda model, image: tf.nn.relu(model(image) - 50) + 50))
    with pytest.raises(ConfigError, match=r"give VALUE_RANGE=0\.\.255 "):
        _load(path, folders[0])
    span = (0.0, 255.0)
    assert _load(path, folders[0], values=ValueRange(span, span)).training.endswith("values 0..255")


def test_scalings_that_stand_there_are_joined_with_those_that_come(
    tmp_path: Path, folders: tuple[Path, Path], flatbuffer: Callable[..., bytes]
) -> None:
    function = lambda model, image: model((image - 127.5) / 127.5) * 127.5 + 127.5  # noqa: E731
    subject = _load(_written(tmp_path / "r.tflite", flatbuffer(function)), folders[0])
    assert "values 0..255" in subject.training
    names = [each.name for each in read_graph(subject.export("float32")).operators]
    assert names[:2] == ["MUL", "ADD"]
    assert names[-3:] == ["ADD", "MUL", "ADD"]  # the network's own shortcut, then one scaling
    assert not {"SUB", "DIV"} & set(names)


def _blurred(model: Any, image: Any) -> Any:
    """Channels first around one convolution."""
    import tensorflow as tf

    last = tf.transpose(image, (0, 2, 3, 1))
    kernel = np.eye(3, dtype=np.float32)[None, None] * np.full((3, 3, 1, 1), 1 / 9, np.float32)
    return tf.transpose(tf.nn.conv2d(last, kernel, 1, "SAME"), (0, 3, 1, 2))


def test_channels_first_with_transpositions_are_taken_without_them(
    tmp_path: Path, folders: tuple[Path, Path], flatbuffer: Callable[..., bytes]
) -> None:
    path = _written(tmp_path / "nchw.tflite", flatbuffer(_blurred, (1, 3, SIDE, SIDE)))
    graph = read_graph(_load(path, folders[0]).export("float32"))
    assert graph.tensors[graph.inputs[0]].shape == (1, SIDE, SIDE, 3)
    assert [each.name for each in graph.operators] == ["CONV_2D"]
    path.write_bytes(flatbuffer(lambda model, image: _blurred(model, image) + image, (1, 3, SIDE, SIDE)))
    with pytest.raises(ModelFileError, match="with a TRANSPOSE right"):
        _load(path, folders[0])


@pytest.mark.parametrize("kind", ["keras2", "keras3", "saved_model"])
def test_keras_files_and_saved_models_have_float16_too_and_keras_2_can_be_trained(
    tmp_path: Path, folders: tuple[Path, Path], denoiser: Any, kind: str
) -> None:
    if kind == "keras2":
        path = tmp_path / "k2.keras"
        denoiser.save(path)
    else:
        import keras

        image = keras.Input((None, None, 1))
        features = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
        residual = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros")(features)
        model = keras.Model(image, keras.layers.Add()([image, residual]))
        path = tmp_path / ("k3.keras" if kind == "keras3" else "saved")
        model.save(path) if kind == "keras3" else model.export(path, verbose=False)
    subject = _load(path, folders[0])
    assert {"float16", "dynamic", "int8-ptq"} <= subject.kinds
    assert ("int8-qat" in subject.kinds) == (kind == "keras2")
    assert "float16" in {tensor.dtype for tensor in read_graph(subject.export("float16")).tensors}


def test_an_operator_without_an_int8_kernel_is_named(
    tmp_path: Path, folders: tuple[Path, Path], flatbuffer: Callable[..., bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    path = _written(tmp_path / "sin.tflite", flatbuffer(lambda model, image: tf.math.sin(model(image))))
    words = ["--calibration", str(folders[0]), "--scheme", "int8-ptq-minmax", "--out", str(tmp_path)]
    assert main(["--model", str(path), *words]) == 2
    assert "SIN" in capfd.readouterr().err
    assert not (tmp_path / "sin" / "int8-ptq-minmax.tflite").exists()


def _two_outputs(model: Any, image: Any) -> Any:
    return model(image), image


def _fixed(model: Any, image: Any) -> Any:
    import tensorflow as tf

    return model(image) + 0.001 * tf.image.resize(image[:, ::2, ::2], (SIDE, SIDE))


def _smaller(model: Any, image: Any) -> Any:
    return model(image)[:, ::2, ::2]


def _not_a_number(model: Any, image: Any) -> Any:
    return model(image) * np.float32("nan")


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (_two_outputs, "1 inputs and 2 outputs"),
        (_fixed, "pictures of any size"),
        (_smaller, "a whole number of times its size"),
        (_not_a_number, "NaN or infinity"),
    ],
)
def test_networks_that_are_not_from_picture_to_picture_are_refused(
    tmp_path: Path,
    folders: tuple[Path, Path],
    flatbuffer: Callable[..., bytes],
    function: Callable[[Any, Any], Any],
    complaint: str,
) -> None:
    path = _written(tmp_path / "m.tflite", flatbuffer(function, (1, SIDE, SIDE, 1)))
    with pytest.raises(ModelFileError, match=complaint):
        _load(path, folders[0])


def test_an_output_that_is_no_picture_is_refused(
    tmp_path: Path, folders: tuple[Path, Path], flatbuffer: Callable[..., bytes]
) -> None:
    import tensorflow as tf

    path = _written(tmp_path / "m.tflite", flatbuffer(lambda model, image: tf.abs(model(image)) * 0.0 + 0.5))
    with pytest.raises(ModelFileError, match="restores the picture"):
        _load(path, folders[0])


def test_a_quantized_tflite_and_a_broken_keras_file_are_refused(
    tmp_path: Path, folders: tuple[Path, Path], int8_model: Callable[[str], bytes]
) -> None:
    with pytest.raises(ModelFileError, match="a float32 model, got uint8"):
        _load(_written(tmp_path / "q.tflite", int8_model("residual")), folders[0])
    with pytest.raises(ModelFileError, match=r"a whole \.keras file"):
        _load(_written(tmp_path / "b.keras", b"PK"), folders[0])


def test_enhancers_need_images_of_the_users(tmp_path: Path, flatbuffer: Callable[..., bytes]) -> None:
    path = _written(tmp_path / "m.tflite", flatbuffer(lambda model, image: model(image)))
    with pytest.raises(ConfigError, match="give CALIBRATION="):
        _load(path, None)


def test_folders_that_cannot_serve_are_refused(
    tmp_path: Path, folders: tuple[Path, Path], flatbuffer: Callable[..., bytes]
) -> None:
    path = _written(tmp_path / "m.tflite", flatbuffer(lambda model, image: model(image)))
    few = tmp_path / "few"
    few.mkdir()
    with pytest.raises(DataError, match="got none"):
        check_given(Given(path, few))
    with pytest.raises(ConfigError, match="CALIBRATION= with REFERENCE="):
        check_given(Given(path, None, few))
    with pytest.raises(DataError, match="is no folder"):
        check_given(Given(path, tmp_path / "nowhere"))
    (few / "0.png").write_bytes((folders[0] / "0.png").read_bytes())
    with pytest.raises(DataError, match="at least 4 images"):
        _load(path, few)
    with pytest.raises(DataError, match="without a partner"):
        _load(path, folders[0], few)


def test_tiny_and_flat_pictures_do_not_calibrate(tmp_path: Path) -> None:
    from quantize.own_images import read_own
    from train.models import find_model

    for name, side in (("flat", 128), ("tiny", 8)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(4):
            write_picture(folder / f"{number}.png", Picture(np.full((side, side, 1), 7 + number, np.uint8), None))
        own = read_own(folder, None, channels="y", scale=1, few=None)
        with pytest.raises(DataError, match="with detail" if name == "flat" else "at least 13 pixels"):
            own.crops(find_model("espcn_x2"), receptive_field=13)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("m.h5", "save it as .keras"), ("m.onnx", "onnx2tf"), ("m.tflite", "does not exist"), ("./folder", "saved_model")],
)
def test_files_that_cannot_be_taken_say_what_to_do(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "folder").mkdir()
    assert is_given(name)
    with pytest.raises(OctopixError, match=complaint):
        check_given(Given(tmp_path / name))


def test_names_of_the_zoo_are_no_files_and_value_ranges_have_names() -> None:
    assert not is_given("espcn_x4")
    assert not is_given("espcn_x5")
    assert parse_value_range("0..1") == UNIT
    assert parse_value_range("0..255:0..1") == ValueRange((0.0, 255.0), (0.0, 1.0))
    assert parse_value_range("0..255:0..1").name == "0..255:0..1"
    with pytest.raises(ConfigError, match="a value range"):
        parse_value_range("0..256")
