"""What ``--model`` may be besides a name of the zoo: a file of the user's. Needs no TensorFlow: answers at once."""

from dataclasses import dataclass
from pathlib import Path

from octopix.errors import ConfigError, DataError
from octopix.files import name_of
from quantize.value_range import ValueRange
from train.data.sources import image_files
from train.models import MODELS

FILES = (".tflite", ".keras")
REMEDIES = {
    ".h5": "load it and save it as .keras, which can be opened without running code from the file",
    ".hdf5": "load it and save it as .keras, which can be opened without running code from the file",
    ".onnx": "convert it to a float .tflite first, for instance with onnx2tf",
    ".pt": "convert the network to a float .tflite first, for instance with ai-edge-torch",
    ".pth": "convert the network to a float .tflite first, for instance with ai-edge-torch",
    ".safetensors": "these are weights alone: name their model, and give the file as --weights",
}
"""Files that are asked for and cannot be taken, by suffix: what to do."""


@dataclass(frozen=True)
class Given:
    """A float model of the user's, and the images that go with it."""

    path: Path
    """A float ``.tflite``, a ``.keras`` file (Keras 2 or 3), or a SavedModel folder."""
    calibration: Path | None = None
    """Folder of network inputs; three quarters calibrate, one validates."""
    reference: Path | None = None
    """Folder of ground truth under the same names."""
    value_range: ValueRange | None = None
    """None: what the network's ends state."""

    @property
    def name(self) -> str:
        """The file's, in letters that are safe in file names."""
        return name_of(self.path)


def is_given(model: str) -> bool:
    """Whether ``--model`` is meant as a path: not in the zoo, and a known suffix, a slash or a folder."""
    suffix = Path(model).suffix.lower()
    return model not in MODELS and (suffix in {*FILES, *REMEDIES} or "/" in model or Path(model).is_dir())


def check_given(given: Given) -> None:
    """Meet what is missing before the seconds that TensorFlow takes to start.

    Raises:
        ConfigError: no such file, or of a kind that cannot be taken; a reference without a calibration folder.
        DataError: a folder that is none, or holds no image.
    """
    path, suffix = given.path, given.path.suffix.lower()
    wanted = "a float .tflite, a .keras file or a SavedModel folder"
    if suffix in REMEDIES:
        raise ConfigError(expected=wanted, got=path.name, do=REMEDIES[suffix])
    if not path.exists():
        raise ConfigError(expected=wanted, got=f"{path}, which does not exist", do="correct MODEL=")
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        raise ConfigError(expected=wanted, got=f"{path} without saved_model.pb", do="correct MODEL=")
    if not path.is_dir() and suffix not in FILES:
        raise ConfigError(expected=wanted, got=path.name, do="convert it to one of these")
    if given.reference is not None and given.calibration is None:
        raise ConfigError(
            expected="CALIBRATION= with REFERENCE=", got="the reference alone", do="name the folder of network inputs"
        )
    for what, folder in (("CALIBRATION", given.calibration), ("REFERENCE", given.reference)):
        if folder is not None:
            _check_folder(what, folder)


def _check_folder(what: str, folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(expected="a folder of images", got=f"{folder}, which is no folder", do=f"correct {what}=")
    if not image_files(folder):
        raise DataError(expected=f"images in {folder}", got="none", do=f"correct {what}=")
