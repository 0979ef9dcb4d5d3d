import dataclasses
import shutil
from pathlib import Path

import pytest

from benchmarks.artifacts import find_artifacts
from octopix.card import read_card
from octopix.errors import ConfigError, ModelFileError


@pytest.fixture
def folder(artifacts: Path, tmp_path: Path) -> Path:
    """A copy of the shared artifacts that a test may spoil."""
    shutil.copytree(artifacts / "espcn_x4", tmp_path / "espcn_x4")
    return tmp_path


def test_float32_comes_first_and_size_and_cost_are_those_of_the_file(folder: Path) -> None:
    found = find_artifacts(folder, "espcn_x4")
    assert [artifact.card.scheme for artifact in found] == ["float32", "int8-ptq-minmax"]
    for artifact in found:
        assert artifact.kib == artifact.path.stat().st_size / 1024
        assert artifact.shape == (1, 128, 128, 1)
        # 5×5×1×64, 3×3×64×32 and 3×3×32×16 weights, each applied at every pixel; and 64, 32 and 16 biases.
        assert artifact.macs == (25 * 64 + 9 * 64 * 32 + 9 * 32 * 16) * 128 * 128
        assert artifact.parameters == 25 * 64 + 9 * 64 * 32 + 9 * 32 * 16 + 64 + 32 + 16


def test_without_artifacts_the_command_that_makes_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make quantize MODEL=espcn_x4"):
        find_artifacts(tmp_path, "espcn_x4")


def test_what_a_killed_run_left_is_no_artifact(folder: Path) -> None:
    (folder / "espcn_x4" / ".part-abc.tflite").write_bytes(b"half a fi")
    assert len(find_artifacts(folder, "espcn_x4")) == 2


@pytest.mark.parametrize("content", [b"", b"not a model at all", None], ids=["empty", "foreign", "truncated"])
def test_a_broken_file_among_them_is_named(folder: Path, content: bytes | None) -> None:
    broken = folder / "espcn_x4" / "int8-ptq-minmax.tflite"
    broken.write_bytes(broken.read_bytes()[:9000] if content is None else content)
    with pytest.raises(ModelFileError, match=r"int8-ptq-minmax\.tflite"):
        find_artifacts(folder, "espcn_x4")


def test_two_files_of_one_scheme_are_refused(folder: Path) -> None:
    shutil.copy(folder / "espcn_x4" / "float32.tflite", folder / "espcn_x4" / "older.tflite")
    with pytest.raises(ModelFileError, match=r"float32\.tflite and older\.tflite"):
        find_artifacts(folder, "espcn_x4")


def test_files_of_different_float_weights_are_refused(folder: Path) -> None:
    from quantize.embed import embed_card

    path = folder / "espcn_x4" / "int8-ptq-minmax.tflite"
    card = dataclasses.replace(read_card(path), weights_sha256="0" * 64)
    path.write_bytes(embed_card(path.read_bytes(), card))
    with pytest.raises(ModelFileError, match=r"float32\.tflite and int8-ptq-minmax\.tflite .*make quantize"):
        find_artifacts(folder, "espcn_x4")


def test_a_file_of_another_model_is_refused(folder: Path) -> None:
    (folder / "espcn_x4").rename(folder / "lesrcnn_x2")
    with pytest.raises(ModelFileError, match="espcn_x4 ×4"):
        find_artifacts(folder, "lesrcnn_x2")
